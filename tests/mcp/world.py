"""A small world whose every id and time is fixed, so that answers about it can be compared word for word."""

import uuid
from datetime import datetime

from sqlalchemy import Connection, text

from tests.crosshot_rows import add_content, add_task, add_topic, at
from tests.query.world import add_event, add_period, add_snapshot, change, insert

NAME = "Solid-state batteries"
# After everything that is in it.
KNOWN_AT = at(31)
QUERY = "solid-state battery"


def identity(what: str) -> uuid.UUID:
    """The id of a thing in this world."""
    return uuid.uuid5(uuid.NAMESPACE_URL, what)


TOPIC = identity("topic")


def make_world(c: Connection) -> None:
    """A topic with a quiet first day, then six hours in which something burns."""
    add_topic(c, NAME, id=TOPIC)
    for number, (start, end, total) in enumerate(((0, 24, 48), (24, 30, 60))):
        add_period(
            c,
            TOPIC,
            number,
            start,
            end,
            id=identity(f"period {number}"),
            content_count=total,
            summary_short=f"{total} posts, {total // (end - start)} per hour.",
            metrics={"total_contents": total, "total_likes": 10 * total, "avg_relevance": 0.5 + number / 4},
        )
        insert(
            c,
            "crawl_effectiveness",
            {
                "id": identity(f"effectiveness {number}"),
                "period_id": identity(f"period {number}"),
                "entity_type": "topic",
                "entity_id": TOPIC,
                "platform": "x",
                "query": QUERY,
                "total_found": total,
                "relevant_count": total // 2,
                "effectiveness_score": 0.5 + number / 10,
                "created_at": at(end),
            },
        )
    crawl = add_task(c, topic=TOPIC, query=QUERY, started_at=at(29.9), id=identity("crawl"))
    _post(c, crawl, "calm", 26, "The solid electrolyte was not the problem, says the group.")
    _post(c, crawl, "fire", 29, "Smoke above the solid-state plant, windows closed.")
    _event(c, 1, "anomaly", "A burst: 40 posts in an hour, usually 2", 29, None)
    _event(c, 0, "milestone", "1,000 posts in all", 20, at(21))


def _post(c: Connection, crawl: uuid.UUID, name: str, hour: float, words: str) -> None:
    post = add_content(
        c,
        id=identity(name),
        task=crawl,
        topic=TOPIC,
        crawled_at=at(29.9),
        text=words,
        source_url=f"https://x.example/{name}",
    )
    c.execute(
        text("UPDATE contents SET published_at = :at, relevance_score = 0.8 WHERE id = :id"),
        {"at": at(hour), "id": post},
    )
    add_snapshot(c, identity("period 1"), post, at(30), text_snapshot=words, relevance_score=0.8)


def _event(c: Connection, number: int, kind: str, title: str, hour: float, resolved: datetime | None) -> None:
    history = [change(hour, "active")]
    if resolved is not None:
        history += [change(hour + 1, "resolved", resolved_at=resolved.isoformat())]
    event = add_event(
        c,
        identity(f"period {number}"),
        TOPIC,
        hour,
        id=identity(kind),
        event_type=kind,
        severity="warning" if resolved is None else "info",
        title=title,
        description=f"{title}.",
        resolved_at=resolved,
        metadata={"state": history[-1]["state"], "history": history},
    )
    if resolved is None:
        c.execute(
            text("INSERT INTO event_contents VALUES (:event, :post, 0.9, :at)"),
            {"event": event, "post": identity("fire"), "at": at(hour)},
        )
