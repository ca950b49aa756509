"""The posts that are planted in the demo's world."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from temporal_pipeline.crosshot.demo.posts import Post, seeded
from temporal_pipeline.crosshot.demo.texts import AI, BATTERIES, BURST, TRAINS, long_text
from temporal_pipeline.crosshot.demo.world import END, EXTRA_ROUNDS, TOPICS, USERS

BURST_BEGINS = datetime.fromisoformat("2026-02-24T13:00:00+00:00")
# Together with the usual three posts an hour about five times as many as usual.
BURST_HOURS = (14, 14, 13)
EDITED = (
    "Night train Rome to Munich is back on Monday, says the operator. #NightTrain",
    "Night train Rome to Munich is back on Thursday, not Monday, says the operator. #NightTrain",
)
EDITED_BACK = (
    "Sleeper train Oslo to Hamburg will keep its price of 89 euros. #NightTrain",
    "Sleeper train Oslo to Hamburg will cost 129 euros. #NightTrain",
)
VANISHING = "Between us: the solid-state battery in last week's demo was a dummy. Do not quote me."
LUCKY = (
    "Dendrite suppression, finally: pulsed charging, 3,000 cycles, solid electrolyte, solid-state battery."
)
HAN_DIGITS = str.maketrans("0123456789", "〇一二三四五六七八九")
ODD_METRICS: dict[str, dict[str, Any]] = {
    "metrics-null": {"like_count": None, "retweet_count": None, "reply_count": None, "views_count": None},
    "metrics-strings": {
        "like_count": "42",
        "retweet_count": " 7 ",
        "reply_count": "3.0",
        "views_count": "1e3",
    },
    "metrics-nan": {
        "like_count": "NaN",
        "retweet_count": 4,
        "reply_count": "Infinity",
        "views_count": "-inf",
    },
    "metrics-nonsense": {
        "like_count": "12k",
        "retweet_count": True,
        "reply_count": {"n": 1},
        "views_count": [],
    },
    "metrics-json-null": {},
}


def planted_posts() -> Iterator[Post]:
    """The posts behind the planted facts."""
    batteries, ai, trains = (topic.key for topic in TOPICS[:3])
    rng = seeded("planted")
    yield from _burst(rng, batteries)
    yield Post(
        "edited-post",
        "x",
        END - timedelta(hours=2),
        EDITED[0],
        "en",
        "reader901",
        ("NightTrain",),
        trains,
        again=frozenset(EXTRA_ROUNDS),
        edits=((EXTRA_ROUNDS[0], EDITED[1]),),
    )
    yield Post(
        "edited-back-post",
        "x",
        END - timedelta(hours=3),
        EDITED_BACK[0],
        "en",
        "reader902",
        ("NightTrain",),
        trains,
        again=frozenset(EXTRA_ROUNDS),
        edits=((EXTRA_ROUNDS[0], EDITED_BACK[1]), (EXTRA_ROUNDS[1], EDITED_BACK[0])),
    )
    yield Post(
        "vanishing-post",
        "x",
        END - timedelta(hours=4),
        VANISHING,
        "en",
        USERS[0].username,
        user=USERS[0].key,
        popularity=240.0,
        gone_from=EXTRA_ROUNDS[0],
    )
    yield Post(
        "lucky-post",
        "x",
        datetime.fromisoformat("2026-02-19T10:20:00+00:00"),
        LUCKY,
        "en",
        "reader903",
        ("SolidState",),
        batteries,
        query=4,
        popularity=90.0,
    )
    yield Post(
        "long-text",
        "web",
        datetime.fromisoformat("2026-02-05T09:00:00+00:00"),
        long_text(BATTERIES, rng, 12_288),
        "en",
        "marrowby-review",
        (),
        batteries,
        query=2,
    )
    yield Post(
        "long-chinese-text",
        "xhs",
        datetime.fromisoformat("2026-02-06T03:00:00+00:00"),
        long_text(AI, rng, 1_200).translate(HAN_DIGITS),
        "zh",
        "qingshi_notes",
        ("AI",),
        ai,
    )
    for n, (key, metrics) in enumerate(ODD_METRICS.items()):
        yield Post(
            key,
            "x",
            datetime.fromisoformat("2026-02-08T08:10:00+00:00") + timedelta(minutes=7 * n),
            TRAINS.write(rng, "plain"),
            "en",
            f"reader91{n}",
            (),
            trains,
            metrics=metrics,
        )
    yield Post(
        "future-crawl",
        "x",
        datetime.fromisoformat("2026-02-14T10:00:00+00:00"),
        TRAINS.write(rng, "plain"),
        "en",
        "reader920",
        (),
        trains,
        found_at=datetime.fromisoformat("2100-01-01T00:00:00+00:00"),
    )
    for n in range(5):
        yield Post(
            f"reading-list-{n + 1}",
            "web",
            datetime.fromisoformat("2026-02-10T07:00:00+00:00") + timedelta(minutes=11 * n),
            rng.choice((BATTERIES, TRAINS)).write(rng, "noise"),
            "en",
            "reading-list",
        )


def _burst(rng: Random, topic: str) -> Iterator[Post]:
    number = 0
    for hour, count in enumerate(BURST_HOURS):
        for _ in range(count):
            number += 1
            tagged = rng.random() < 0.4
            yield Post(
                key=f"burst-{number:02d}",
                platform="x",
                published_at=BURST_BEGINS + timedelta(hours=hour, seconds=rng.randrange(3600)),
                text=BURST.write(rng, "strong") + (" #SolidState" if tagged else ""),
                lang="en",
                author=f"reader{rng.randrange(900):03d}",
                hashtags=("SolidState",) if tagged else (),
                topic=topic,
                query=1 if tagged else 0,
                popularity=rng.lognormvariate(4.5, 0.9),
            )
