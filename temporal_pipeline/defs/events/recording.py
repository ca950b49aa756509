"""From findings to rows: what to write about an event, with its evidence and its history."""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.crawls.coverage import HOUR
from temporal_pipeline.defs.events.announcing import NO_LONGER, Told, announce
from temporal_pipeline.defs.events.finding.evidence import Post, weigh
from temporal_pipeline.defs.events.finding.findings import SEVERITIES, Finding
from temporal_pipeline.defs.events.finding.hourly import with_terms
from temporal_pipeline.defs.events.finding.series import hour_of
from temporal_pipeline.defs.events.reading import DETECTOR, DISMISSED, METHOD, KnownEvent, queries
from temporal_pipeline.entities import Entity
from temporal_pipeline.terms import rising_terms

# Enough posts for stable shares of terms, few enough for any burst.
SAMPLE = 2000
TERMS_BEFORE = timedelta(days=7)
TERMS = 5
# What an absence is compared with.
POSTS_BEFORE_ABSENCE = 5


@dataclass(frozen=True)
class Change:
    """What to write about one event: a new one, new figures, or (no finding) that it was none."""

    known: KnownEvent | None
    finding: Finding | None
    ended: datetime | None

    @property
    def effect(self) -> str:
        """What this does to the event: open, resolve, re-open or update it."""
        if self.known is None:
            return "opened"
        if self.known.is_theirs:
            return "updated"
        if self.known.ended is None and self.ended is not None:
            return "resolved"
        return "reopened" if self.known.ended is not None and self.ended is None else "updated"


def changes_of(
    found: Sequence[Finding],
    known: Sequence[KnownEvent],
    closed: datetime | None,
    *,
    same: timedelta = timedelta(),
) -> list[Change]:
    """What differs between the findings and the events recorded, of which `known` are those of the same time.

    The same event is one of the same key that overlaps or lies at most `same` apart; each is used once. What
    is recorded as open and is found no longer ends at `closed`. The oldest come first, so that of each key
    one ends before the next opens.
    """
    changes = []
    left = {event.id: event for event in known}
    for one in sorted(found, key=lambda finding: finding.onset):
        near = min(
            (event for event in left.values() if event.key == one.key),
            key=lambda event: (_apart(one, event), event.onset),
            default=None,
        )
        if near is not None and _apart(one, near) > same:
            near = None
        if near is not None:
            del left[near.id]
        if near is None or _differs(one, near):
            changes.append(Change(near, one, one.resolved_at))
    retracted = [
        Change(event, None, max(closed or event.last_breach, event.last_breach))
        for event in left.values()
        if event.ended is None and not event.is_theirs
    ]
    return retracted + changes


def _apart(one: Finding, other: KnownEvent) -> timedelta:
    return max(other.onset - one.last_breach, one.onset - other.last_breach, timedelta())


def _differs(one: Finding, event: KnownEvent) -> bool:
    now = _of_theirs(one) if event.is_theirs else _metadata(one)
    return any(event.metadata.get(key) != value for key, value in now.items() if key != "terms")


def _metadata(one: Finding) -> dict[str, Any]:
    return {
        "detector": DETECTOR,
        "method": METHOD,
        "key": one.key,
        "metric": one.metric,
        "direction": one.direction,
        "state": one.state,
        "onset": one.onset.isoformat(),
        "last_breach": one.last_breach.isoformat(),
        "resolved_at": None if one.resolved_at is None else one.resolved_at.isoformat(),
        "resolution_note": one.resolution_note,
        **one.figures,
    }


def _of_theirs(one: Finding) -> dict[str, Any]:
    """What is still followed of an event that somebody dismissed, so that its end is known."""
    ours = _metadata(one)
    return {"state": DISMISSED, "last_breach": ours["last_breach"], "resolved_at": ours["resolved_at"]}


def apply_change(
    connection: Connection, entity: Entity, change: Change, watched_until: datetime | None
) -> int | None:
    """Write one change, and who is to be told of it. `watched_until`: how far the entity was watched before.

    Returns the number of evidence rows; None where no post is left that shows a new event.
    """
    owner = {"entity_type": entity.type, "entity_id": entity.id}
    known, one = change.known, change.finding
    if known is not None and not known.is_theirs and not _lock(connection, known):
        # Somebody was faster; the next look finds it theirs.
        return None
    if one is None:
        assert known is not None
        title = _retract(connection, known, change.ended)
        announce(connection, entity, change, Told(known.id, known.severity, title, NO_LONGER), watched_until)
        return 0
    if known is not None and known.is_theirs:
        metadata = json.dumps(_of_theirs(one))
        connection.execute(queries["note_on_event"], {"event_id": known.id, "metadata": metadata})
        return 0

    rows, one = _evidence(connection, owner, one)
    posts = [Post(r.id, hour_of(r.hour), r.text, r.relevance_score, r.reactions) for r in rows]
    weights = weigh(posts, one.excess)
    # The application has deleted its posts: the hours that they were counted in are frozen.
    are_gone = bool(one.excess) and not weights
    if are_gone and known is None:
        return None
    severity = max(one.severity, known.severity if known else one.severity, key=SEVERITIES.index)
    event = {
        "event_type": one.event_type,
        "severity": severity,
        "title": one.title,
        "description": one.description,
        "resolved_at": one.resolved_at,
        "resolution_note": one.resolution_note,
        "metadata": json.dumps(_metadata(one)),
        "entry": json.dumps(
            {
                "state": one.state,
                "severity": severity,
                "resolved_at": None if one.resolved_at is None else one.resolved_at.isoformat(),
                "title": one.title,
            }
        ),
        "period_id": None
        if are_gone
        else _period(connection, owner, one, rows, {content_id for content_id, _ in weights}),
    }
    if known is None:
        detected = _first_detected(connection, owner, one)
        event_id = connection.scalar(queries["open_event"], {**owner, **event, "first_detected_at": detected})
    else:
        event_id = known.id
        connection.execute(queries["drop_outdated_evidence"], {"event_id": event_id})
        connection.execute(queries["update_event"], {**event, "event_id": event_id})
    announce(
        connection, entity, change, Told(event_id, severity, one.title, one.resolution_note), watched_until
    )
    return connection.execute(
        queries["add_evidence"],
        {
            "event_id": event_id,
            "content_ids": [content_id for content_id, _ in weights],
            "weights": [weight for _, weight in weights],
        },
    ).rowcount


def _lock(connection: Connection, known: KnownEvent) -> bool:
    ours = {"ended": known.metadata["resolved_at"], "note": known.metadata["resolution_note"]}
    return connection.scalar(queries["lock_ours"], {"event_id": known.id, **ours}) is not None


def _retract(connection: Connection, known: KnownEvent, ended: datetime | None) -> str:
    """End an event that was none. Returns its title."""
    ends = None if ended is None else ended.isoformat()
    metadata = {"state": "resolved", "resolved_at": ends, "resolution_note": NO_LONGER}
    entry = {"state": "resolved", "resolved_at": ends, "severity": known.severity}
    title: str = connection.scalars(
        queries["resolve_event"],
        {
            "event_id": known.id,
            "resolved_at": ended,
            "resolution_note": NO_LONGER,
            "metadata": json.dumps(metadata),
            "entry": json.dumps(entry),
        },
    ).one()
    return title


def _evidence(
    connection: Connection, owner: dict[str, Any], one: Finding
) -> tuple[Sequence[Row[Any]], Finding]:
    """The posts that show a finding; one that has posts of its own is told in their words."""
    if not one.excess:
        if not one.cites_posts_before:
            return [], one
        return connection.execute(
            queries["last_posts_before"], {**owner, "before": one.onset, "limit": POSTS_BEFORE_ABSENCE}
        ).all(), one
    rows = connection.execute(
        queries["posts_of_hours"],
        {
            **owner,
            "start": one.onset,
            "end": one.last_breach + HOUR,
            "hours": [int(hour.timestamp()) // 3600 for hour in one.excess],
            "limit": SAMPLE,
        },
    ).all()
    before = connection.scalars(
        queries["texts_between"],
        {**owner, "start": one.onset - TERMS_BEFORE, "end": one.onset, "limit": SAMPLE},
    )
    return rows, with_terms(one, rising_terms(_texts(rows), before, TERMS))


def _texts(rows: Iterable[Row[Any]]) -> Iterable[str]:
    return (row.text for row in rows if row.text)


def _period(
    connection: Connection,
    owner: dict[str, Any],
    one: Finding,
    rows: Sequence[Row[Any]],
    cited: set[uuid.UUID],
) -> uuid.UUID:
    """The first period that has posts which show it; without posts, that in which it became known."""
    having = [row for row in rows if row.id in cited]
    if having:
        first: uuid.UUID = min(having, key=lambda row: row.period_number).period_id
        return first
    found: uuid.UUID = connection.scalars(queries["period_at"], {**owner, "known_at": one.known_at}).one()
    return found


def _first_detected(connection: Connection, owner: dict[str, Any], one: Finding) -> datetime:
    """When the event could first be known."""
    if "threshold_count" not in one.figures:
        return one.known_at
    end = one.onset + HOUR
    post = connection.execute(
        queries["detecting_post"],
        {**owner, "start": one.onset, "end": end, "nth": one.figures["threshold_count"]},
    ).first()
    return end if post is None or post.crawled_at is None else max(end, post.crawled_at)
