"""The posts of the demo's world, before anybody crawls them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from temporal_pipeline.crosshot.demo.texts import Strength
from temporal_pipeline.crosshot.demo.world import (
    EXTRA_ROUNDS,
    INTERVAL,
    SEED,
    START,
    TOPICS,
    USERS,
    DemoTopic,
    DemoUser,
    round_time,
)

WORLD_ENDS = round_time(EXTRA_ROUNDS[-1])
# Posts by hour of the day: 1 ± this, highest at 14:00 UTC.
DAILY_RHYTHM = 0.45
# A timeline goes back to before the first crawl.
TIMELINE_BEGINS = START - timedelta(days=5)
FOUND_AGAIN = 0.12
FOUND_BY_ANOTHER = 0.08


@dataclass(frozen=True)
class Post:
    """A post, who finds it, and what changes about it.

    `query` is the position of the search that finds it among the topic's, `again` the rounds after the first
    that find it too, `edits` its texts from a round on, `metrics` (if given) stand for the computed ones,
    `found_at` for the time of the crawl, `gone_from` is the first round that does not find it any more.
    """

    key: str
    platform: str
    published_at: datetime
    text: str
    lang: str
    author: str
    hashtags: tuple[str, ...] = ()
    topic: str | None = None
    user: str | None = None
    query: int = 0
    also_query: int | None = None
    popularity: float = 10.0
    again: frozenset[int] = frozenset()
    edits: tuple[tuple[int, str], ...] = ()
    gone_from: int | None = None
    metrics: dict[str, Any] | None = None
    found_at: datetime | None = None

    def text_at(self, number: int) -> str:
        """What the post says in round `number`."""
        return next((text for since, text in reversed(self.edits) if number >= since), self.text)

    def metrics_at(self, moment: datetime) -> dict[str, Any]:
        """The counters at `moment`: they grow towards the post's popularity, most of it within a day."""
        if self.metrics is not None:
            return self.metrics
        age = max((moment - self.published_at) / timedelta(hours=12), 0)
        likes = round(self.popularity * (1 - math.exp(-age)))
        return {
            "like_count": likes,
            "retweet_count": likes // 5,
            "reply_count": likes // 9,
            "quote_count": likes // 25,
            "views_count": likes * 38,
        }


def ordinary_posts() -> Iterator[Post]:
    """Every post of the world that is nothing special, always the same."""
    for topic in TOPICS:
        yield from _topic_posts(topic)
    for user in USERS:
        yield from _user_posts(user)


def round_of(moment: datetime) -> int:
    """The first round that begins after `moment`."""
    return (moment - START) // INTERVAL + 1


def _topic_posts(topic: DemoTopic) -> Iterator[Post]:
    rng = seeded(topic.key)
    ends = min(START + timedelta(days=topic.active_days), WORLD_ENDS)
    shares = [query.share for query in topic.queries]
    for hour in range((ends - START) // timedelta(hours=1)):
        begins = START + timedelta(hours=hour)
        for n in range(_poisson(rng, topic.posts_per_hour * _rhythm(begins))):
            position = rng.choices(range(len(shares)), shares)[0]
            query = topic.queries[position]
            strength: Strength = "noise"
            if rng.random() < query.relevant:
                strength = "strong" if rng.random() < 0.6 else "plain"
            published_at = begins + timedelta(seconds=rng.randrange(3600))
            text = topic.voice.write(rng, strength)
            hashtags = _hashtags(rng, topic, strength, query.text)
            if hashtags:
                text += " " + " ".join(f"#{tag}" for tag in hashtags)
            others = [i for i, other in enumerate(topic.queries) if i != position and other.share > 0]
            overlaps = strength != "noise" and rng.random() < FOUND_BY_ANOTHER
            other = next((i for i in others if topic.queries[i].platform == query.platform), None)
            number = round_of(published_at)
            yield Post(
                key=f"{topic.key.removeprefix('demo/')}-{hour:03d}-{n:02d}",
                platform=query.platform,
                published_at=published_at,
                text=text,
                lang=topic.voice.lang,
                author=f"reader{rng.randrange(900):03d}",
                hashtags=hashtags,
                topic=topic.key,
                query=position,
                also_query=other if overlaps else None,
                popularity=rng.lognormvariate(2.2, 1.1) * (1.5 if strength == "strong" else 1.0),
                again=frozenset({number + 1}) if rng.random() < FOUND_AGAIN else frozenset(),
            )


def _user_posts(user: DemoUser) -> Iterator[Post]:
    rng = seeded(user.key)
    for hour in range((WORLD_ENDS - TIMELINE_BEGINS) // timedelta(hours=1)):
        begins = TIMELINE_BEGINS + timedelta(hours=hour)
        for n in range(_poisson(rng, user.posts_per_day / 24 * _rhythm(begins))):
            found = user.found_by if begins >= START and rng.random() < 0.3 else None
            yield Post(
                key=f"{user.username}-{hour:03d}-{n:02d}",
                platform=user.platform,
                published_at=begins + timedelta(seconds=rng.randrange(3600)),
                text=user.voice.write(rng, "strong" if found or rng.random() < 0.3 else "plain"),
                lang=user.voice.lang,
                author=user.username,
                topic=found,
                user=user.key,
                popularity=rng.lognormvariate(3.2, 0.8),
            )


def seeded(what: str) -> Random:
    """Chance that is the same in every run."""
    return Random(f"{SEED} {what}")  # noqa: S311


def _hashtags(rng: Random, topic: DemoTopic, strength: Strength, query: str) -> tuple[str, ...]:
    if strength == "noise":
        return ()
    if query.startswith("#"):
        return (query.removeprefix("#"),)
    return (rng.choice(topic.hashtags),) if rng.random() < 0.35 else ()


def _rhythm(hour: datetime) -> float:
    return 1 + DAILY_RHYTHM * math.cos(2 * math.pi * (hour.hour - 14) / 24)


def _poisson(rng: Random, mean: float) -> int:
    """A number of independent events (Knuth's method, fine for small means)."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
