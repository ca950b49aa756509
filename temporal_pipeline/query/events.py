"""Events, in the state that they were known to be in."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row

from temporal_pipeline.query.asking import Cursors, Question, moment
from temporal_pipeline.query.models import EventItem, Events, Evidence
from temporal_pipeline.query.pages import age_in_words, always_shown, chosen, page, to_choose_from
from temporal_pipeline.query.session import Situation, general_notices, queries

ALWAYS = always_shown(EventItem)
FIELDS = to_choose_from(EventItem)
DEFAULT_FIELDS = ("description", "evidence", "evidence_count")
EXCERPT = 160
# A state of its own in the item, or of no use to a reader.
NOT_FIGURES = ("state", "onset", "reopened_count", "detector", "evidence_at")
NO_FILTERS = {
    "only_open": False,
    "event_type": None,
    "severity": None,
    "text": None,
    "changed_after": None,
    "changed_until": None,
    "changed_after_text": None,
    "changed_until_text": None,
    "after_time": None,
    "after_id": None,
}


def events(
    connection: Connection,
    there: Situation,
    asked: Question,
    cursor: str | None,
    *,
    tool: Literal["get_unresolved_events", "search_events"],
    filters: dict[str, Any],
) -> Events:
    """Events that overlap the window, the newest first. Raises Refusal for a cursor of another question."""
    kind = (tool, there.entity.entity_id, asked.since, asked.until, asked.as_of, *sorted(filters.items()))
    cursors = Cursors(kind, (moment, uuid.UUID))
    after_time, after_id = cursors.read(cursor) or (None, None)
    rows = event_rows(
        connection,
        there,
        asked,
        filters | {"after_time": after_time, "after_id": after_id, "limit": asked.limit + 1},
    )
    evidence = evidence_of(connection, there, asked, rows[: asked.limit])
    return page(
        Events,
        tool,
        there,
        asked,
        rows=rows,
        make=lambda row: event_item(row, there, asked, evidence),
        place=lambda row: (row.first_detected_at, row.event_id),
        cursors=cursors,
        warnings=lambda items: general_notices(there, asked),
    )


def event_rows(
    connection: Connection, there: Situation, asked: Question, filters: dict[str, Any]
) -> Sequence[Row[Any]]:
    """Rows of the query `events`."""
    times = {
        "as_of": asked.as_of,
        "as_of_text": as_text(asked.as_of),
        "since_text": as_text(asked.since),
        "until_text": as_text(asked.until),
    }
    parameters = there.key | NO_FILTERS | times | {"fields": sorted(asked.fields)} | filters
    return connection.execute(queries["events"], parameters).all()


def evidence_of(
    connection: Connection, there: Situation, asked: Question, rows: Sequence[Row[Any]]
) -> dict[uuid.UUID, list[Evidence]]:
    """The weightiest posts of each event, if they were asked for."""
    found: dict[uuid.UUID, list[Evidence]] = defaultdict(list)
    if "evidence" not in asked.fields or not rows:
        return found
    parameters = {"events": [row.event_id for row in rows], "characters": EXCERPT, "as_of": asked.as_of}
    for row in connection.execute(queries["evidence"], there.key | parameters):
        values = dict(row._mapping)
        values["excerpt"] = None if row.excerpt is None else " ".join(row.excerpt.split())
        found[values.pop("event_id")].append(Evidence(**values))
    return found


def event_item(
    row: Row[Any], there: Situation, asked: Question, evidence: dict[uuid.UUID, list[Evidence]]
) -> EventItem:
    """An event as a value."""
    values = dict(row._mapping)
    values["resolved_at"] = _time(row.ended)
    values["onset"] = _time(row.onset)
    values["age"] = age_in_words(row.first_detected_at, there.now)
    values["evidence"] = evidence.get(row.event_id, [])
    figures = row.figures if isinstance(row.figures, dict) else None
    values["reopened_count"] = _count(figures.get("reopened_count")) if figures else None
    if figures is not None:
        values["figures"] = {name: value for name, value in figures.items() if name not in NOT_FIGURES}
    return EventItem(**chosen(asked, ALWAYS, values))


def as_text(time: datetime | None) -> str | None:
    """A time in UTC with all its digits, so that texts compare as times do."""
    return (
        None if time is None else time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    )


def _time(text: Any) -> datetime | None:
    """A time of the metadata, which somebody may have spoilt."""
    try:
        read = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None
