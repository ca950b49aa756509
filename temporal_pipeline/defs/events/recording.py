"""From episodes to rows: what to write about an event, and its evidence."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import Connection, Row

from temporal_pipeline.crawls.coverage import HOUR
from temporal_pipeline.database import Queries
from temporal_pipeline.defs.events import wording
from temporal_pipeline.defs.events.detection import Scores, Volume
from temporal_pipeline.defs.events.episodes import Episode, pair, quiet_since
from temporal_pipeline.defs.events.evidence import Post, weigh
from temporal_pipeline.entities import Entity
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.terms import rising_terms

queries = Queries(__package__)

KEY = "volume_up"
METHOD_FAMILY = "counts"
METHOD = f"{METHOD_FAMILY}-1"
# Enough posts for stable shares of terms, few enough for any burst.
SAMPLE = 2000
TERMS_BEFORE = timedelta(days=7)
TERMS = 5


@dataclass(frozen=True)
class KnownEvent:
    """An event of ours as it stands in the database."""

    id: uuid.UUID
    severity: str
    resolved_at: datetime | None
    resolution_note: str | None
    metadata: dict[str, Any]
    onset: datetime
    last_alarm: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """Raises KeyError or ValueError when somebody has spoilt the metadata."""
        return cls(
            row.id,
            row.severity,
            row.resolved_at,
            row.resolution_note,
            row.metadata,
            datetime.fromisoformat(row.metadata["onset"]),
            datetime.fromisoformat(row.metadata["last_alarm"]),
        )

    @property
    def is_resolved_by_others(self) -> bool:
        """Whether somebody has set or taken back the end that we wrote; then it is theirs."""
        ours = (self.metadata.get("resolved_at"), self.metadata.get("resolution_note"))
        return ours != (_iso(self.resolved_at), self.resolution_note)


@dataclass(frozen=True)
class Change:
    """What to write about one event: a new one, new figures, or (without an episode) only its end."""

    known: KnownEvent | None
    episode: Episode | None
    resolution: dict[str, str | None]

    @property
    def resolves(self) -> bool:
        """Whether this ends an event that is new or was open."""
        was_open = self.known is None or self.known.resolved_at is None
        return was_open and self.resolution["resolved_at"] is not None


def changes_of(
    volume: Volume, scores: Scores, found: Sequence[Episode], known: Sequence[KnownEvent]
) -> list[Change]:
    """What differs between the episodes that there are and the events that are recorded."""
    changes = []
    pairs, left_over = pair(found, known)
    for episode, position in zip(found, pairs, strict=True):
        event = None if position is None else known[position]
        resolution = _resolution(episode.resolved_at, "Back to the usual number of posts.", event)
        if event is None or not _is_part(_figures(episode), event.metadata):
            changes.append(Change(event, episode, resolution))
        elif not _is_part(resolution, event.metadata):
            changes.append(Change(event, None, resolution))
    for event in (known[position] for position in left_over):
        if event.resolved_at is None:
            note = "With what is known now, these hours no longer stand out by themselves."
            resolution = _resolution(quiet_since(volume, scores, event.last_alarm), note, event)
            if not _is_part(resolution, event.metadata):
                changes.append(Change(event, None, resolution))
    return changes


def _resolution(ended: datetime | None, note: str, event: KnownEvent | None) -> dict[str, str | None]:
    if event is not None and event.is_resolved_by_others:
        return {key: event.metadata.get(key) for key in ("resolved_at", "resolution_note")}
    return {"resolved_at": _iso(ended), "resolution_note": None if ended is None else note}


def _figures(episode: Episode) -> dict[str, Any]:
    """What identifies an episode and its size, as it is kept in the event's metadata."""
    return {
        "key": KEY,
        "metric": "volume",
        "method": METHOD,
        "onset": _iso(episode.onset),
        "last_alarm": _iso(episode.last_alarm),
        "z": round(episode.z, 3),
        "peak_bucket": _iso(episode.peak),
        "peak_count": episode.peak_count,
        "baseline": round(episode.baseline, 4),
        "ratio": round(episode.ratio, 2),
        "n_baseline": episode.n_baseline,
        "threshold_count": episode.threshold_count,
        "alarm_buckets": len(episode.alarms),
        "posts": episode.posts,
    }


def apply_change(connection: Connection, entity: Entity, change: Change) -> int:
    """Write one change. Returns the number of evidence rows."""
    owner = {"entity_type": entity.type, "entity_id": entity.id}
    event, episode = change.known, change.episode
    if episode is None:
        assert event is not None
        metadata = json.dumps(change.resolution)
        connection.execute(queries["resolve_event"], {"metadata": metadata, **_end(event, change)})
        return 0

    posts, terms = _posts_and_terms(connection, owner, episode)
    weights = weigh(posts, [term for term, _ in terms])
    columns = {
        "severity": wording.severity(episode, event.severity if event else None),
        "title": wording.title(entity.name, episode, terms),
        "description": wording.description(episode, terms),
        "metadata": json.dumps(_figures(episode) | change.resolution | {"terms": [t for t, _ in terms]}),
    }
    if event is None:
        detection = _first_detection(connection, owner, episode)
        event_id = connection.scalar(
            queries["open_event"], {**owner, **columns, **change.resolution, **detection}
        )
    else:
        event_id = event.id
        connection.execute(queries["drop_outdated_evidence"], {"event_id": event_id})
        connection.execute(queries["update_event"], {**columns, **_end(event, change)})
    written = connection.execute(
        queries["add_evidence"],
        {
            "event_id": event_id,
            "content_ids": [content_id for content_id, _ in weights],
            "weights": [weight for _, weight in weights],
        },
    ).rowcount
    if not weights:
        raise _vanished(episode)
    return written


def _end(event: KnownEvent, change: Change) -> dict[str, Any]:
    return {"event_id": event.id, "end_is_ours": not event.is_resolved_by_others, **change.resolution}


def _posts_and_terms(
    connection: Connection, owner: dict[str, Any], episode: Episode
) -> tuple[list[Post], list[tuple[str, int]]]:
    rows = connection.execute(
        queries["posts_of_hours"],
        {
            **owner,
            "start": episode.onset,
            "end": episode.last_alarm + HOUR,
            "hours": [int(hour.timestamp()) // 3600 for hour in episode.alarms],
            "limit": SAMPLE,
        },
    )
    posts = [Post(row.id, row.text, row.relevance_score, row.reactions) for row in rows]
    before = connection.scalars(
        queries["texts_between"],
        {**owner, "start": episode.onset - TERMS_BEFORE, "end": episode.onset, "limit": SAMPLE},
    )
    return posts, rising_terms((post.text for post in posts if post.text), before, TERMS)


def _first_detection(connection: Connection, owner: dict[str, Any], episode: Episode) -> dict[str, Any]:
    """When the event could first be known, and the entity's period of the post that made it one."""
    post = connection.execute(
        queries["detecting_post"],
        {**owner, "start": episode.onset, "end": episode.onset + HOUR, "nth": episode.threshold_count},
    ).first()
    period_id = post and connection.scalar(queries["period_of_post"], {**owner, "content_id": post.id})
    if post is None or period_id is None:
        raise _vanished(episode)
    return {"first_detected_at": post.known_at, "period_id": period_id}


def _vanished(episode: Episode) -> PipelineError:
    return PipelineError(
        f"the posts of the burst at {episode.onset:%Y-%m-%d %H:%M} UTC were deleted while it was looked at",
        hint="run the same command again",
    )


def _is_part(figures: dict[str, Any], metadata: dict[str, Any]) -> bool:
    return all(key in metadata and metadata[key] == value for key, value in figures.items())


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
