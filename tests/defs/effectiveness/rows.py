"""Periods with frozen members, as the stages before effectiveness leave them."""

import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, text

from temporal_pipeline.database import Database
from tests.crosshot_rows import add_content, at


def add_period(
    connection: Connection,
    *,
    topic: uuid.UUID | None = None,
    user: uuid.UUID | None = None,
    number: int = 0,
    status: str = "active",
    stages: Iterable[str] = ("snapshots",),
) -> uuid.UUID:
    """A period of ten hours."""
    period: uuid.UUID = connection.execute(
        text(
            "INSERT INTO analysis_periods (entity_type, entity_id, period_number, period_start, period_end, "
            "duration_hours, status, summary) VALUES (:type, :id, :number, :start, :end, 10, :status, '') RETURNING id"
        ),
        {
            "type": "topic" if topic else "user",
            "id": topic or user,
            "number": number,
            "start": at(10 * number),
            "end": at(10 * number + 10),
            "status": status,
        },
    ).scalar_one()
    for stage in stages:
        connection.execute(
            text(
                "INSERT INTO temporal_pipeline.period_stage (period_id, stage, method) VALUES (:id, :stage, '')"
            ),
            {"id": period, "stage": stage},
        )
    return period


def freeze(connection: Connection, period: uuid.UUID, content: uuid.UUID, relevance: float | None) -> None:
    """Make a content a member; it points to this period unless it points to one already."""
    key = {"period": period, "content": content, "relevance": relevance}
    connection.execute(
        text(
            "UPDATE contents SET analysis_period_id = coalesce(analysis_period_id, :period) WHERE id = :content"
        ),
        key,
    )
    connection.execute(
        text(
            "INSERT INTO period_content_snapshots (period_id, content_id, relevance_score) "
            "VALUES (:period, :content, :relevance)"
        ),
        key,
    )
    connection.execute(
        text("UPDATE analysis_periods SET content_count = content_count + 1 WHERE id = :period"), key
    )


def measured(database: Database) -> dict[str, Row[Any]]:
    """All rows by query."""
    with database.transaction(read_only=True) as connection:
        rows = connection.execute(text("SELECT * FROM crawl_effectiveness")).all()
    by_query = {row.query: row for row in rows}
    assert len(by_query) == len(rows)
    return by_query


def memory(database: Database) -> dict[str, Row[Any]]:
    """What is remembered of all queries, by their latest spelling."""
    with database.transaction(read_only=True) as connection:
        rows = connection.execute(text("SELECT * FROM temporal_pipeline.query_effectiveness")).all()
    by_query = {row.query: row for row in rows}
    assert len(by_query) == len(rows)
    return by_query


def task_row(database: Database, task: uuid.UUID) -> Row[Any]:
    """What a task is linked to."""
    with database.transaction(read_only=True) as connection:
        return connection.execute(
            text(
                "SELECT t.period_id, t.duration_seconds, e.query, e.platform FROM tasks t "
                "LEFT JOIN crawl_effectiveness e ON e.id = t.effectiveness_id WHERE t.id = :id"
            ),
            {"id": task},
        ).one()


def link(connection: Connection, period: uuid.UUID, *tasks: uuid.UUID) -> None:
    """Say that some tasks belong to a period."""
    connection.execute(
        text("UPDATE tasks SET period_id = :period WHERE id = ANY (:tasks)"),
        {"period": period, "tasks": list(tasks)},
    )


def find(
    connection: Connection,
    period: uuid.UUID,
    task: uuid.UUID,
    scores: list[float | None],
    *,
    topic: uuid.UUID | None = None,
    **columns: Any,
) -> list[uuid.UUID]:
    """One frozen content per score, found by a task."""
    contents = [add_content(connection, task=task, topic=topic, **columns) for _ in scores]
    for content, score in zip(contents, scores, strict=True):
        freeze(connection, period, content, score)
    return contents
