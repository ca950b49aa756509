"""Periods, snapshots and events with times of recording of their own, for tests of what was known when."""

import json
import uuid
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from temporal_pipeline.query import Failure
from tests.crosshot_rows import at

Answer = TypeVar("Answer")


def ok(answer: "Answer | Failure") -> Answer:
    """The answer, which is none of the errors."""
    assert not isinstance(answer, Failure), answer
    return answer


def code(answer: object) -> str:
    """Which error an answer is."""
    assert isinstance(answer, Failure), answer
    return answer.error.code


def insert(connection: Connection, table: str, row: dict[str, Any]) -> uuid.UUID:
    """A row with an id."""
    row = {"id": uuid.uuid4()} | row
    values = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
    places = ", ".join(
        f"CAST(:{key} AS jsonb)" if isinstance(row[key], dict | list) else f":{key}" for key in row
    )
    connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})"), values)
    identity: uuid.UUID = row["id"]
    return identity


def add_period(
    connection: Connection,
    entity: uuid.UUID,
    number: int,
    start: float,
    end: float,
    *,
    recorded: datetime | None = None,
    entity_type: str = "topic",
    **columns: Any,
) -> uuid.UUID:
    """An active period from hour `start` to hour `end`, recorded at its end if not told otherwise."""
    known = recorded or at(end)
    return insert(
        connection,
        "analysis_periods",
        {
            "entity_type": entity_type,
            "entity_id": entity,
            "period_number": number,
            "period_start": at(start),
            "period_end": at(end),
            "duration_hours": end - start,
            "analyzed_at": known,
            "created_at": known,
            "updated_at": known,
            "summary": f"period {number}",
            "summary_short": f"period {number}",
            "metrics": {"total_contents": 10 * (number + 1)},
            "completeness_score": 1.0,
        }
        | columns,
    )


def supersede(connection: Connection, old: uuid.UUID, recorded: datetime, **columns: Any) -> uuid.UUID:
    """Put a successor with the same bounds in the place of a period."""
    row = connection.execute(text("SELECT * FROM analysis_periods WHERE id = :id"), {"id": old}).one()
    connection.execute(
        text("UPDATE analysis_periods SET status = 'superseded', updated_at = :at WHERE id = :id"),
        {"id": old, "at": recorded},
    )
    new = add_period(
        connection,
        row.entity_id,
        row.period_number,
        0,
        1,
        entity_type=row.entity_type,
        recorded=recorded,
        **{"period_start": row.period_start, "period_end": row.period_end} | columns,
    )
    connection.execute(
        text(
            "UPDATE analysis_periods SET superseded_by = :new, supersession_reason = 'again' WHERE id = :id"
        ),
        {"id": old, "new": new},
    )
    return new


def add_snapshot(
    connection: Connection, period: uuid.UUID, content: uuid.UUID, recorded: datetime, **columns: Any
) -> uuid.UUID:
    """A post as a member of a period, to which it points."""
    connection.execute(
        text("UPDATE contents SET analysis_period_id = :period WHERE id = :content"),
        {"period": period, "content": content},
    )
    return insert(
        connection,
        "period_content_snapshots",
        {"period_id": period, "content_id": content, "created_at": recorded, "text_snapshot": "as it was"}
        | columns,
    )


def add_event(
    connection: Connection, period: uuid.UUID, entity: uuid.UUID, detected: float, **columns: Any
) -> uuid.UUID:
    """An event of a topic, detected and recorded at hour `detected`."""
    return insert(
        connection,
        "temporal_events",
        {
            "period_id": period,
            "entity_type": "topic",
            "entity_id": entity,
            "event_type": "anomaly",
            "severity": "warning",
            "title": "a burst",
            "description": "many posts",
            "first_detected_at": at(detected),
            "created_at": at(detected),
            "last_updated_at": at(detected),
            "metadata": {},
        }
        | columns,
    )


def change(hours: float, state: str, **told: Any) -> dict[str, Any]:
    """An entry of an event's history."""
    return {"at": at(hours).isoformat(), "state": state, "resolved_at": None} | told
