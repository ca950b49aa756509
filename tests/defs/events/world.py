"""A topic or user with hourly posts, and periods as the earlier stages leave them, made by hand."""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.searching import EventReport
from temporal_pipeline.entities import EntityType
from tests.crosshot_rows import add_content, add_task, add_topic, at

HOUR = timedelta(hours=1)
BURST = 20
QUIET_AGAIN = 27


def rows(database: Database, sql: str, **parameters: Any) -> Sequence[Row[Any]]:
    """Run a statement in a transaction of its own."""
    with database.transaction() as connection:
        result = connection.execute(text(sql), parameters)
        return result.all() if result.returns_rows else []


def events(database: Database) -> Sequence[Row[Any]]:
    return rows(database, "SELECT * FROM temporal_events ORDER BY first_detected_at, id")


def everything_written(database: Database) -> dict[str, Sequence[Row[Any]]]:
    """All that the search for events writes, except when it was done."""
    return {
        "events": events(database),
        "evidence": rows(database, "SELECT * FROM event_contents ORDER BY event_id, content_id"),
        "hours": rows(database, "SELECT * FROM temporal_pipeline.period_hour ORDER BY period_id, hour"),
        "watched": rows(database, "SELECT * FROM temporal_pipeline.entity_watch ORDER BY entity_id"),
        "marks": rows(
            database,
            "SELECT period_id, method, done_at FROM temporal_pipeline.period_stage WHERE stage = 'events' ORDER BY 1",
        ),
    }


def forget_everything(database: Database) -> None:
    """As if the search for events had never run."""
    rows(database, "DELETE FROM temporal_events")
    forget_searches(database)


def forget_searches(database: Database) -> None:
    """As if nothing had been searched yet; what was found stays."""
    for table in ("temporal_pipeline.entity_watch", "temporal_pipeline.period_hour"):
        rows(database, f"DELETE FROM {table}")
    rows(database, "DELETE FROM temporal_pipeline.period_stage WHERE stage = 'events'")


def add_burst_topic(
    database: Database, name: str = "AI agents", *, hours: int = 30, burst: int = 30
) -> uuid.UUID:
    """Two posts an hour, and in hour 20 a burst about an outage."""
    with database.transaction() as connection:
        topic = add_topic(connection, name)
        for hour in range(hours):
            if hour == BURST:
                crawl_hour(
                    connection, hour, burst, topic=topic, words="an outage of everything", likes=range(100)
                )
            else:
                crawl_hour(connection, hour, 2, topic=topic)
    return topic


def add_quiet_hours(database: Database, topic: uuid.UUID, start: int, end: int, posts: int = 2) -> None:
    with database.transaction() as connection:
        for hour in range(start, end):
            crawl_hour(connection, hour, posts, topic=topic)


def add_empty_crawls(database: Database, topic: uuid.UUID, start: int, end: int) -> None:
    """Crawls at the end of each hour that found nothing, so that no period is cut."""
    with database.transaction() as connection:
        for hour in range(start, end):
            add_task(connection, topic=topic, started_at=at(hour + 1), found=0)


def close(database: Database, topic: uuid.UUID, number: int, start: float, end: float) -> uuid.UUID:
    with database.transaction() as connection:
        return add_period(connection, "topic", topic, number, at(start), at(end))


def crawl_hour(
    connection: Connection,
    hour: int,
    posts: int,
    *,
    topic: uuid.UUID | None = None,
    user: uuid.UUID | None = None,
    words: str = "a post about agents",
    likes: Sequence[int] = (1,),
    replies: int = 0,
    crawled_at: datetime | None = None,
) -> list[uuid.UUID]:
    """The crawl at the end of an hour (or later), with what was published in it."""
    crawled_at = crawled_at or at(hour + 1)
    task = add_task(connection, topic=topic, user=user, started_at=crawled_at, found=posts)
    ids = [
        add_content(
            connection,
            task=task,
            topic=topic,
            user=user,
            crawled_at=crawled_at + timedelta(milliseconds=i),
            text=words,
            metrics={"like_count": likes[i % len(likes)], "reply_count": replies},
        )
        for i in range(posts)
    ]
    connection.execute(
        text("UPDATE contents SET published_at = :published_at WHERE id = ANY (:ids)"),
        {"published_at": at(hour + 0.5), "ids": ids},
    )
    return ids


def add_period(
    connection: Connection,
    entity_type: EntityType,
    entity_id: uuid.UUID,
    number: int,
    start: datetime,
    end: datetime,
    *,
    is_frozen: bool = True,
    sets_pointers: bool = True,
) -> uuid.UUID:
    """An active period with everything that was crawled in it, frozen unless told otherwise."""
    owner = "topic_id" if entity_type == "topic" else "user_id"
    parameters = {"type": entity_type, "entity": entity_id, "number": number, "start": start, "end": end}
    period: uuid.UUID = connection.execute(
        text(
            "INSERT INTO analysis_periods (entity_type, entity_id, period_number, period_start, period_end, "
            "  status, summary, duration_hours, analyzed_at, content_count, metrics) "
            "SELECT :type, :entity, :number, :start, :end, 'active', '', 1, :end, count(*), jsonb_build_object( "
            "  'contents_per_hour', count(*) / nullif(CAST(extract(epoch FROM :end - :start) AS float8), 0) * 3600) "
            f"FROM contents WHERE {owner} = :entity AND crawled_at >= :start AND crawled_at < :end RETURNING id"
        ),
        parameters,
    ).scalar_one()
    parameters["period"] = period
    if sets_pointers:
        connection.execute(
            text(
                f"UPDATE contents SET analysis_period_id = :period WHERE {owner} = :entity "
                "AND crawled_at >= :start AND crawled_at < :end"
            ),
            parameters,
        )
    if is_frozen:
        freeze(connection, period)
    return period


def freeze(connection: Connection, period: uuid.UUID) -> None:
    """What was crawled in the period becomes its frozen members."""
    connection.execute(
        text(
            "INSERT INTO period_content_snapshots (period_id, content_id, text_snapshot, relevance_score) "
            "SELECT p.id, c.id, c.text, c.relevance_score FROM analysis_periods p JOIN contents c "
            "  ON p.entity_id = CASE p.entity_type WHEN 'topic' THEN c.topic_id ELSE c.user_id END "
            "  AND c.crawled_at >= p.period_start AND c.crawled_at < p.period_end WHERE p.id = :period"
        ),
        {"period": period},
    )
    connection.execute(
        text(
            "INSERT INTO temporal_pipeline.period_stage (period_id, stage, method) "
            "VALUES (:period, 'snapshots', 'test')"
        ),
        {"period": period},
    )


def add_counted_hours(
    connection: Connection,
    entity_type: EntityType,
    owner: uuid.UUID,
    first: int,
    counts: Sequence[int | None],
) -> None:
    """Hours with so many posts each, every one crawled at its end; None: not crawled. In two statements."""
    parameters = {
        "hours": [first + i for i, count in enumerate(counts) if count is not None],
        "counts": [count for count in counts if count is not None],
        "start": at(0),
        "payload": json.dumps({f"{entity_type}_id": str(owner), "action": "search", "query": "agents"}),
        "owner": owner,
        "tag": uuid.uuid4().hex,
    }
    column = "topic_id" if entity_type == "topic" else "user_id"
    connection.execute(
        text(
            "INSERT INTO tasks (id, label, priority, status, payload, created_at, started_at, completed_at, "
            "  retry_count, max_retries, result) "
            "SELECT gen_random_uuid(), 'crawler:x', 0, 'completed', CAST(:payload AS jsonb), began, began, "
            "  began + interval '1 minute', 0, 3, jsonb_build_object('tweets_found', n, 'tag', CAST(:tag AS text)) "
            "FROM (SELECT CAST(:start AS timestamptz) + make_interval(hours => hour + 1) AS began, n "
            "      FROM unnest(CAST(:hours AS int[]), CAST(:counts AS int[])) AS u (hour, n)) crawled"
        ),
        parameters,
    )
    connection.execute(
        text(
            f"INSERT INTO contents (id, task_id, {column}, platform, platform_content_id, source_url, crawled_at, "
            "  published_at, author_uid, author_username, text, lang, hashtags, media_downloaded, metrics, data) "
            "SELECT gen_random_uuid(), t.id, :owner, 'x', gen_random_uuid(), 'https://x.example', "
            "  t.started_at + make_interval(secs => i * 0.001), t.started_at - interval '30 minutes', '1', 'ada', "
            "  'a post', 'en', '{}', false, '{\"like_count\": 1}', '{}' "
            "FROM tasks t, generate_series(1, CAST(t.result->>'tweets_found' AS int)) AS i "
            "WHERE t.result->>'tag' = :tag"
        ),
        parameters,
    )


def bursts(database: Database) -> Sequence[Row[Any]]:
    """Events of ours in which there were unusually many posts."""
    return rows(
        database,
        "SELECT * FROM temporal_events WHERE metadata->>'detector' = 'temporal_pipeline' "
        "AND metadata->>'key' = 'volume_up' ORDER BY first_detected_at, id",
    )


def effects(report: EventReport) -> dict[str, int]:
    """What became of how many events, of whatever key."""
    return {
        effect: n for effect in ("opened", "updated", "resolved", "reopened") if (n := report.count(effect))
    }
