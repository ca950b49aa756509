"""A topic or user with hourly posts, and periods as the earlier stages leave them, made by hand."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from tests.crosshot_rows import add_content, add_task, at

HOUR = timedelta(hours=1)


def crawl_hour(
    connection: Connection,
    hour: int,
    posts: int,
    *,
    topic: uuid.UUID | None = None,
    user: uuid.UUID | None = None,
    words: str = "a post about agents",
    likes: Sequence[int] = (1,),
) -> list[uuid.UUID]:
    """The crawl at the end of an hour, with what was published in it."""
    crawled_at = at(hour + 1)
    task = add_task(connection, topic=topic, user=user, started_at=crawled_at, found=posts)
    ids = [
        add_content(
            connection,
            task=task,
            topic=topic,
            user=user,
            crawled_at=crawled_at + timedelta(milliseconds=i),
            text=words,
            metrics={"like_count": likes[i % len(likes)]},
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
    entity_type: str,
    entity_id: uuid.UUID,
    number: int,
    start: datetime,
    end: datetime,
    *,
    is_frozen: bool = True,
    sets_pointers: bool = True,
) -> uuid.UUID:
    """An active period with everything that was crawled in it, frozen unless told otherwise."""
    parameters = {"type": entity_type, "entity": entity_id, "number": number, "start": start, "end": end}
    period: uuid.UUID = connection.execute(
        text(
            "INSERT INTO analysis_periods (entity_type, entity_id, period_number, period_start, period_end, "
            "  status, summary, duration_hours) "
            "VALUES (:type, :entity, :number, :start, :end, 'active', '', 1) RETURNING id"
        ),
        parameters,
    ).scalar_one()
    parameters["period"] = period
    if sets_pointers:
        connection.execute(
            text(
                "UPDATE contents SET analysis_period_id = :period "
                "WHERE :entity = CASE :type WHEN 'topic' THEN topic_id ELSE user_id END "
                "  AND crawled_at >= :start AND crawled_at < :end"
            ),
            parameters,
        )
    if is_frozen:
        connection.execute(
            text(
                "INSERT INTO period_content_snapshots (period_id, content_id) "
                "SELECT :period, id FROM contents "
                "WHERE :entity = CASE :type WHEN 'topic' THEN topic_id ELSE user_id END "
                "  AND crawled_at >= :start AND crawled_at < :end"
            ),
            parameters,
        )
        connection.execute(
            text(
                "INSERT INTO temporal_pipeline.period_stage (period_id, stage, method) "
                "VALUES (:period, 'snapshots', 'test')"
            ),
            parameters,
        )
    return period
