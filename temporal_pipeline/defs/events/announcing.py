"""Who is told of an event: what has begun, has ended or began again, in the transaction that records it."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from temporal_pipeline.alerts import Alert, record
from temporal_pipeline.defs.events.reading import DETECTOR, queries
from temporal_pipeline.entities import Entity

if TYPE_CHECKING:
    from temporal_pipeline.defs.events.recording import Change

# What tells how strong it is.
FIGURES = ("score", "ratio", "peak", "baseline")
# Keys hold queries of any length; an index takes about 2,700 bytes.
LONGEST_KEY = 500
NO_LONGER = "With what is known now, this no longer stands out by itself."


@dataclass(frozen=True)
class Told:
    """What the row of an event says now."""

    id: uuid.UUID
    severity: str
    title: str
    note: str | None


def announce(
    connection: Connection, entity: Entity, change: "Change", told: Told, watched_until: datetime | None
) -> None:
    """Put into the outbox what a change of an event means to others, if it does; its figures alone do not.

    The subject is the entity and the key, of which one event at a time is open: who is told that it is open is
    told of its end as well, also when its period was analysed again in between. What was over before the entity
    was watched up to `watched_until` (None: never) is history, and ends at most what was told before.
    """
    step = _step(change)
    if step is None:
        return
    state, since = step
    known, finding = change.known, change.finding
    key = finding.key if finding is not None else known.key if known is not None else ""
    onset = finding.onset if finding is not None else known.onset if known is not None else since
    is_over = known is None and state == "resolved"
    details: dict[str, Any] = {
        "kind": "event",
        "entity": {"type": entity.type, "id": str(entity.id), "name": entity.name},
        "event_id": str(told.id),
        "key": key,
        "onset": onset.isoformat(),
        "note": told.note,
    }
    if finding is not None:
        details |= {name: finding.figures[name] for name in FIGURES if name in finding.figures}
    record(
        connection,
        Alert(
            subject=f"event:{entity.type}:{entity.id}:{key[:LONGEST_KEY]}",
            state=state,
            since=since,
            severity=told.severity,
            about=entity.name,
            title=told.title,
            details=details,
        ),
        is_news=not is_over or (watched_until is not None and since > watched_until),
    )


def announce_ends_of_replaced(connection: Connection, watched: Sequence[Mapping[str, Any]]) -> None:
    """Tell the end of events that were told to be open, and that an analysis made anew has not found again.

    `watched`: `entity_type`, `entity_id`, and as the time of the end `watched_until`, up to where it was looked.
    """
    connection.execute(
        queries["tell_ends_of_replaced_events"],
        {
            "watched": json.dumps(watched),
            "detector": DETECTOR,
            "longest_key": LONGEST_KEY,
            "note": NO_LONGER,
        },
    )


def _step(change: "Change") -> tuple[str, datetime] | None:
    """The state that an event has come to and since when, if others are to be told."""
    known, finding, ended = change.known, change.finding, change.ended
    if ended is not None:
        is_new = change.effect in ("opened", "resolved") or _flared_up_meanwhile(change)
        return ("resolved", ended) if is_new else None
    if finding is None or change.effect == "updated":
        return None
    if known is None:
        return "opened", finding.onset
    again = finding.figures.get("reopened")
    return "reopened", datetime.fromisoformat(again[-1]) if again else finding.last_breach


def _flared_up_meanwhile(change: "Change") -> bool:
    """Whether it began and ended once more since we last looked."""
    known, finding = change.known, change.finding
    if known is None or finding is None or known.is_theirs:
        return False
    before: int = known.metadata.get("reopened_count", 0)
    return bool(finding.figures.get("reopened_count", 0) > before)
