"""The known answer: every fact that is planted in the demo data, with where to find it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from temporal_pipeline.crosshot.demo.planted_posts import BURST_BEGINS, BURST_HOURS, ODD_METRICS
from temporal_pipeline.crosshot.demo.rounds import PENDING, search_key
from temporal_pipeline.crosshot.demo.world import (
    END,
    EXTRA_ROUNDS,
    SILENT_DAY,
    TOPICS,
    USERS,
    round_time,
)
from temporal_pipeline.crosshot.records import identity

DANGLING_TASK = search_key(30, TOPICS[0].key, TOPICS[0].queries[0].text)
DANGLING_IDS = tuple(identity("content", "x", f"deleted-{n}") for n in (1, 2))
OLD_LAST_CRAWL = datetime.fromisoformat("2026-01-25T00:00:00+00:00")
APPLICATION_PERIOD = identity("content", "demo", "application-period")
APPLICATION_TASK = f"{USERS[1].key}/application-crawl"
APPLICATION_POSTS = ("application-post-1", "application-post-2", "application-post-3")
APPLICATION_CRAWL = END + timedelta(hours=2, minutes=30)


@dataclass(frozen=True)
class Planted:
    """A fact of the demo data: a key, the fact in a sentence, and what it is about."""

    key: str
    sentence: str
    entity_type: Literal["topic", "user"] | None = None
    entity_id: UUID | None = None
    contents: tuple[UUID, ...] = ()
    tasks: tuple[UUID, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None
    platform: str | None = None
    query: str | None = None


BATTERIES, AI, TRAINS, TIDES = (identity("topic", topic.key) for topic in TOPICS)
ADA, XIAOMAN = (identity("user", user.key) for user in USERS)


def _x(*keys: str) -> tuple[UUID, ...]:
    return tuple(identity("content", "x", key) for key in keys)


PLANTED = (
    Planted(
        "burst",
        "For three hours a fire in Harrowfield makes five times the usual number of posts.",
        "topic",
        BATTERIES,
        contents=_x(*(f"burst-{n + 1:02d}" for n in range(sum(BURST_HOURS)))),
        begins=BURST_BEGINS,
        ends=BURST_BEGINS + timedelta(hours=len(BURST_HOURS)),
    ),
    Planted(
        "edited_post",
        "A post about a night train says Monday in the 30 days and Thursday from the first extra round on.",
        "topic",
        TRAINS,
        contents=_x("edited-post"),
        begins=round_time(EXTRA_ROUNDS[0]),
    ),
    Planted(
        "edited_back",
        "A post about a price is changed in the first extra round and changed back in the second.",
        "topic",
        TRAINS,
        contents=_x("edited-back-post"),
        begins=round_time(EXTRA_ROUNDS[0]),
        ends=round_time(EXTRA_ROUNDS[1]),
    ),
    Planted(
        "vanishing_post",
        "A post of Ada Verne is missing from her timeline from the first extra round on; older ones are not.",
        "user",
        ADA,
        contents=_x("vanishing-post"),
        begins=round_time(EXTRA_ROUNDS[0]),
    ),
    Planted(
        "day_without_crawl",
        "On this day no crawler ran at all; posts were published nevertheless.",
        begins=SILENT_DAY,
        ends=SILENT_DAY + timedelta(days=1),
    ),
    Planted(
        "good_query",
        "Nearly all that this query finds is about the topic.",
        "topic",
        BATTERIES,
        platform="x",
        query="solid-state battery",
    ),
    Planted(
        "bad_query",
        "Nothing that this query finds is about the topic.",
        "topic",
        BATTERIES,
        platform="x",
        query="battery",
    ),
    Planted(
        "lucky_query",
        "This query found a single post in 30 days, and that one is about the topic.",
        "topic",
        BATTERIES,
        contents=_x("lucky-post"),
        platform="x",
        query="dendrite suppression",
    ),
    Planted(
        "long_text",
        "An article of 12,288 characters.",
        "topic",
        BATTERIES,
        contents=(identity("content", "web", "long-text"),),
    ),
    Planted(
        "long_chinese_text",
        "A post of 1,200 Chinese characters.",
        "topic",
        AI,
        contents=(identity("content", "xhs", "long-chinese-text"),),
    ),
    Planted(
        "odd_metrics",
        "Metrics that are null, numeric strings, NaN and Infinity, nonsense, and no object at all.",
        "topic",
        TRAINS,
        contents=_x(*ODD_METRICS),
    ),
    Planted(
        "future_crawl",
        "A post whose crawled_at lies in the year 2100.",
        "topic",
        TRAINS,
        contents=_x("future-crawl"),
        begins=datetime.fromisoformat("2100-01-01T00:00:00+00:00"),
    ),
    Planted(
        "last_crawl_before_first_content",
        "A paused topic whose last_crawl_at precedes its first content.",
        "topic",
        TIDES,
        begins=OLD_LAST_CRAWL,
    ),
    Planted(
        "dangling_ids",
        "A task whose result names two contents that do not exist.",
        "topic",
        BATTERIES,
        contents=DANGLING_IDS,
        tasks=(identity("task", DANGLING_TASK),),
    ),
    Planted(
        "pending_task",
        "A crawl task that found posts and stays pending for ever.",
        "topic",
        AI,
        tasks=(identity("task", search_key(PENDING[0], PENDING[1], TOPICS[1].queries[PENDING[2]].text)),),
        begins=round_time(PENDING[0]),
    ),
    Planted(
        "no_owner",
        "Five posts of a reading list that belong to no topic and no user.",
        contents=tuple(identity("content", "web", f"reading-list-{n}") for n in range(1, 6)),
    ),
    Planted(
        "user_in_topic",
        "Ada Verne also posts in what the topic's searches find: those posts have both owners.",
        "user",
        ADA,
    ),
    Planted(
        "application_period",
        "Before the first extra round the application closes a period of 林小满 by itself, with three posts.",
        "user",
        XIAOMAN,
        contents=tuple(identity("content", "xhs", key) for key in APPLICATION_POSTS),
        tasks=(identity("task", APPLICATION_TASK),),
        begins=APPLICATION_CRAWL,
    ),
)
