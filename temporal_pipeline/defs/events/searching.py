"""Search entities for bursts of posts."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby, islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Row

from temporal_pipeline import problems
from temporal_pipeline.crawls import Crawl, crawls_of
from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.detection import Scores, Volume, hourly_volume, score
from temporal_pipeline.defs.events.episodes import Episode, episodes
from temporal_pipeline.defs.events.evidence import MOST_POSTS
from temporal_pipeline.defs.events.recording import (
    KEY,
    METHOD,
    METHOD_FAMILY,
    Change,
    KnownEvent,
    apply_change,
    changes_of,
    queries,
)
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity, EntityType

STAGE = "events"
# Reading is set-based; so many entities' hourly series fit in memory with ease.
ENTITIES_AT_ONCE = 200
# Ten years of hours score in 0.1 s; a post dated 1970 by mistake must not cost more.
LONGEST_HISTORY = timedelta(days=3653)

T = TypeVar("T")


@dataclass(frozen=True)
class Burst:
    """One episode with the series in which it was found."""

    entity: Entity
    episode: Episode
    volume: Volume
    scores: Scores


@dataclass
class EventReport:
    """What a run did. `changed`: per entity how many events were opened and updated; `strongest`: the burst
    with the highest score among those.
    """

    entities: int = 0
    opened: int = 0
    updated: int = 0
    resolved: int = 0
    evidence: int = 0
    changed: dict[Entity, tuple[int, int]] = field(default_factory=dict)
    strongest: Burst | None = None
    failed: list[tuple[Entity, str]] = field(default_factory=list)

    @property
    def rows_written(self) -> int:
        """Events and evidence rows."""
        return self.opened + self.updated + self.evidence

    def add(self, entity: Entity, changes: Sequence[Change], evidence: int) -> None:
        """Count what was committed for an entity."""
        opened = sum(change.known is None for change in changes)
        updated = len(changes) - opened
        self.opened += opened
        self.updated += updated
        self.resolved += sum(change.resolves for change in changes)
        self.evidence += evidence
        if changes:
            before = self.changed.get(entity, (0, 0))
            self.changed[entity] = (before[0] + opened, before[1] + updated)

    def show(self, burst: Burst) -> None:
        """Keep the stronger one for the picture."""
        if self.strongest is None or burst.episode.z > self.strongest.episode.z:
            self.strongest = burst


@dataclass(frozen=True)
class _Watched:
    """All that was read about one entity; `hours` (since 1970) are those that have `posts`."""

    entity: Entity
    periods: list[uuid.UUID]
    hours: list[int]
    posts: list[int]
    crawls: list[Crawl]
    interval: timedelta
    known: list[Row[Any]]


def detect_events(
    database: Database,
    run_id: str,
    *,
    entities: Sequence[Entity] | None = None,
    since: datetime | None = None,
    batch_size: int = 2000,
) -> EventReport:
    """Search every entity with newly frozen periods; each one's events are written in short transactions.

    The marks of its periods come last: killed in between, the next run finds what is
    already recorded and writes only the rest. An entity that fails is recorded with its reason.
    """
    report = EventReport()
    with database.exclusive(STAGE):
        with database.transaction(read_only=True) as connection:
            require_head(connection)
            waiting = entities_to_watch(connection, entities, since)
        for entity_type, rows in groupby(waiting, key=lambda row: row.entity_type):
            for batch in _chunks(rows, ENTITIES_AT_ONCE):
                _search_batch(database, entity_type, batch, report, run_id=run_id, batch_size=batch_size)
    return report


def entities_to_watch(
    connection: Connection, entities: Sequence[Entity] | None = None, since: datetime | None = None
) -> Sequence[Row[Any]]:
    """Entities with periods to search: rows (entity_type, entity_id, name, crawl_interval, periods, until)."""
    ids = None if entities is None else [entity.id for entity in entities]
    return connection.execute(queries["entities_to_watch"], {"entity_ids": ids, "since": since}).all()


def _search_batch(
    database: Database,
    entity_type: EntityType,
    batch: Sequence[Row[Any]],
    report: EventReport,
    *,
    run_id: str,
    batch_size: int,
) -> None:
    """Read some entities at once, or one by one where that fails, and search each."""
    try:
        read = _read(database, entity_type, batch)
    except Exception:
        read = {}
    for row in batch:
        entity = Entity(entity_type, row.entity_id, row.name)
        try:
            watched = read.get(row.entity_id) or _read(database, entity_type, [row])[row.entity_id]
            _search(database, watched, batch_size, report)
            report.entities += 1
        except Exception as error:
            report.failed.append((entity, problems.record(database, STAGE, entity, error, run_id)))


def _read(
    database: Database, entity_type: EntityType, batch: Sequence[Row[Any]]
) -> dict[uuid.UUID, _Watched]:
    ids = [row.entity_id for row in batch]
    untils = [row.until for row in batch]
    owners = {"entity_type": entity_type, "entity_ids": ids}
    known: dict[uuid.UUID, list[Row[Any]]] = {entity_id: [] for entity_id in ids}
    with database.transaction(read_only=True) as connection:
        counts = connection.execute(
            queries["hourly_counts"], {**owners, "untils": untils, "history": LONGEST_HISTORY}
        )
        series = {row.entity_id: (row.hours, row.posts) for row in counts}
        crawls = crawls_of(connection, entity_type, ids, max(untils))
        for event in connection.execute(
            queries["known_events"], {**owners, "key": KEY, "method_family": METHOD_FAMILY}
        ):
            known[event.entity_id].append(event)
    nothing: tuple[list[int], list[int]] = ([], [])
    return {
        row.entity_id: _Watched(
            entity=Entity(entity_type, row.entity_id, row.name),
            periods=row.periods,
            hours=series.get(row.entity_id, nothing)[0],
            posts=series.get(row.entity_id, nothing)[1],
            # What was found after the last period is not linked yet: that time is no silence.
            crawls=[crawl for crawl in crawls[row.entity_id] if crawl.began <= row.until],
            interval=row.crawl_interval,
            known=known[row.entity_id],
        )
        for row in batch
    }


def _search(database: Database, watched: _Watched, batch_size: int, report: EventReport) -> None:
    volume = hourly_volume(watched.hours, watched.posts, watched.crawls, watched.interval)
    changes: list[Change] = []
    if volume is not None:
        scores = score(volume.counts, volume.usable)
        known = [KnownEvent.of(row) for row in watched.known]
        changes = changes_of(volume, scores, episodes(volume, scores), known)
        if bursts := [change.episode for change in changes if change.episode]:
            report.show(Burst(watched.entity, max(bursts, key=lambda burst: burst.z), volume, scores))
    # A change writes one event and its evidence.
    for chunk in _chunks(changes, max(batch_size // (MOST_POSTS + 1), 1)):
        report.add(watched.entity, chunk, database.write(partial(_write, watched=watched, changes=chunk)))
    database.write(partial(_mark, watched=watched))


def _write(connection: Connection, watched: _Watched, changes: Sequence[Change]) -> int:
    return sum(apply_change(connection, watched.entity, change) for change in changes)


def _mark(connection: Connection, watched: _Watched) -> None:
    connection.execute(queries["mark_searched"], {"periods": watched.periods, "method": METHOD})
    problems.clear(connection, STAGE, watched.entity)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
