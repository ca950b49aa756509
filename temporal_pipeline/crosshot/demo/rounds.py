"""The crawler goes round: which lines of an export each round of the demo makes."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from temporal_pipeline.crosshot.demo.posts import Post, round_of
from temporal_pipeline.crosshot.demo.world import (
    START,
    TOPICS,
    USERS,
    DemoTopic,
    DemoUser,
    Query,
    crawled,
    look_back,
    round_time,
)

# No search and no timeline goes back further.
REACH = timedelta(days=7)
TIMELINE_LENGTH = 10
FIRST_TIMELINE_LENGTH = 30
READING_LIST = "weekly reading list"
# The crawler inserted this task and never came back to it: (round, topic, position of the query).
PENDING = (50, TOPICS[1].key, 1)
_BETWEEN_ENTITIES = timedelta(minutes=5)
_BETWEEN_QUERIES = timedelta(seconds=45)

ExportRecord = dict[str, Any]


def entity_records() -> Iterator[ExportRecord]:
    """The topics and users."""
    for entity in (*TOPICS, *USERS):
        yield entity.record()


def round_records(number: int, everything: list[Post]) -> Iterator[ExportRecord]:
    """What the crawler writes in round `number`, in the order of writing; nothing if it did not run."""
    if not crawled(number):
        return
    begins = round_time(number)
    recent = [post for post in everything if begins - REACH <= post.published_at < begins]
    for topic in TOPICS:
        if round_time(number) <= START + timedelta(days=topic.active_days):
            for position, query in enumerate(topic.queries):
                yield from _search(number, topic, position, query, recent)
            begins += _BETWEEN_ENTITIES
    for user in USERS:
        yield from _timeline(number, user, begins, recent)
        begins += _BETWEEN_ENTITIES
    yield from _reading_list(number, begins, recent)
    if number % 4 == 0:
        yield from _analyses(number, begins + _BETWEEN_ENTITIES)


def search_key(number: int, topic: str, query: str) -> str:
    """The key of a search's task."""
    return f"{topic}/round-{number:03d}/{query}"


def timeline_key(number: int, user: str) -> str:
    """The key of a timeline's task."""
    return f"{user}/round-{number:03d}"


def _search(
    number: int, topic: DemoTopic, position: int, query: Query, recent: list[Post]
) -> Iterator[ExportRecord]:
    found = [
        post
        for post in recent
        if post.topic == topic.key and _finds(number, position, post) and _is_there(number, post)
    ]
    begins = round_time(number) + _BETWEEN_ENTITIES * TOPICS.index(topic) + _BETWEEN_QUERIES * position
    task = {
        "key": search_key(number, topic.key, query.text),
        "label": query.label,
        "action": "search",
        "query": query.text,
        "topic": topic.key,
    }
    pending = (number, topic.key, position) == PENDING
    yield from _crawl(number, task, begins, found, pending=pending)


def _finds(number: int, position: int, post: Post) -> bool:
    if number in post.again:
        return post.query == position and crawled(round_of(post.published_at))
    return position in {post.query, post.also_query} and post.published_at >= look_back(number)


def _timeline(number: int, user: DemoUser, begins: datetime, recent: list[Post]) -> Iterator[ExportRecord]:
    theirs = [post for post in recent if post.user == user.key and _is_there(number, post)]
    length = FIRST_TIMELINE_LENGTH if number == 1 else TIMELINE_LENGTH
    task = {
        "key": timeline_key(number, user.key),
        "label": f"crawler:{user.platform}",
        "action": "timeline",
        "username": user.username,
        "user": user.key,
    }
    yield from _crawl(number, task, begins, theirs[-length:])


def _reading_list(number: int, begins: datetime, recent: list[Post]) -> Iterator[ExportRecord]:
    found = [
        post
        for post in recent
        if post.topic is None and post.user is None and post.published_at >= look_back(number)
    ]
    if found:
        task = {
            "key": f"demo/reading-list/round-{number:03d}",
            "label": "searcher:web",
            "action": "search",
            "query": READING_LIST,
        }
        yield from _crawl(number, task, begins, found)


def _analyses(number: int, begins: datetime) -> Iterator[ExportRecord]:
    for position, topic in enumerate(topic for topic in TOPICS if topic.status == "active"):
        starts = begins + _BETWEEN_QUERIES * position
        yield {
            "kind": "task",
            "key": f"{topic.key}/analysis-{number:03d}",
            "label": "analyst:analyze",
            "action": "analyze",
            "topic": topic.key,
            "status": "completed",
            "created_at": starts.isoformat(),
            "started_at": starts.isoformat(),
            "completed_at": (starts + timedelta(seconds=40)).isoformat(),
        }


def _crawl(
    number: int, task: ExportRecord, begins: datetime, found: Iterable[Post], *, pending: bool = False
) -> Iterator[ExportRecord]:
    """A crawl's task and what it found, newest first."""
    newest_first = sorted(found, key=lambda post: post.published_at, reverse=True)
    starts = begins + timedelta(seconds=3)
    record: ExportRecord = {"kind": "task", "status": "pending", "created_at": begins.isoformat(), **task}
    if not pending:
        record |= {
            "status": "completed",
            "started_at": starts.isoformat(),
            "completed_at": (starts + timedelta(seconds=8 + 0.4 * len(newest_first))).isoformat(),
            "found": len(newest_first),
        }
    yield record
    for position, post in enumerate(newest_first):
        yield _content(number, task, post, starts + timedelta(seconds=2 + 0.4 * position))


def _content(number: int, task: ExportRecord, post: Post, moment: datetime) -> ExportRecord:
    return {
        "kind": "content",
        "task": task["key"],
        "topic": task.get("topic"),
        "user": post.user,
        "platform": post.platform,
        "platform_content_id": post.key,
        "source_url": f"https://{post.platform}.example/{post.author}/{post.key}",
        "crawled_at": (post.found_at or moment).isoformat(),
        "published_at": post.published_at.isoformat(),
        "author_username": post.author,
        "text": post.text_at(number),
        "lang": post.lang,
        "hashtags": list(post.hashtags),
        "metrics": post.metrics_at(moment),
    }


def _is_there(number: int, post: Post) -> bool:
    return post.gone_from is None or number < post.gone_from
