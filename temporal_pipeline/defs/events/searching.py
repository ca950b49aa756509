"""Search topics and users for events: read, judge, record what changed."""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Row

from temporal_pipeline import problems
from temporal_pipeline.alerts.outbox import forget_old
from temporal_pipeline.crawls.coverage import HOUR
from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.announcing import announce_ends_of_replaced
from temporal_pipeline.defs.events.finding.detection import WINDOW_HOURS, Scores, score
from temporal_pipeline.defs.events.finding.evidence import MOST_POSTS
from temporal_pipeline.defs.events.finding.findings import SEVERITIES, Finding
from temporal_pipeline.defs.events.finding.hourly import finding
from temporal_pipeline.defs.events.finding.lifecycle import follow
from temporal_pipeline.defs.events.finding.occurrences import (
    CRAWL_GAP,
    MILESTONE,
    SILENT_QUERY,
    PeriodTotal,
    Run,
    crawl_gaps,
    milestones,
    silent_queries,
)
from temporal_pipeline.defs.events.finding.series import METRICS
from temporal_pipeline.defs.events.finding.trends import (
    DIRECTIONS,
    PeriodValue,
    follow_trends,
    trend_key,
)
from temporal_pipeline.defs.events.older_memories import remember_older_memories
from temporal_pipeline.defs.events.reading import (
    HOURLY_KEYS,
    LONGEST_HISTORY,
    METHOD,
    REOPENING,
    TREND_METRICS,
    KnownEvent,
    Watched,
    entities_to_watch,
    queries,
    read,
)
from temporal_pipeline.defs.events.recording import Change, apply_change, changes_of
from temporal_pipeline.defs.events.successors import follow_successors
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity, EntityType

STAGE = "events"
# Reading and scoring are set-based; so many hours, of many entities or of one, are about 40 MB.
HOURS_AT_ONCE = 168_000
# How many periods' posts one transaction adds up.
PERIODS_AT_ONCE = 500

T = TypeVar("T")


@dataclass(frozen=True)
class Burst:
    """One finding of an hourly metric with the entity and the scores among which it was found."""

    watched: Watched
    finding: Finding
    scores: Scores

    @property
    def weight(self) -> tuple[int, float]:
        """By what the worst is chosen: its severity, then its score."""
        return SEVERITIES.index(self.finding.severity), self.finding.figures["score"]


@dataclass(frozen=True)
class Judged:
    """What there is to say of an entity: changes to its events, and the worst burst among them."""

    watched: Watched
    changes: list[Change]
    worst: Burst | None


@dataclass
class EventReport:
    """What a run did. `changed`: per entity how many events were opened, updated, resolved and opened again."""

    entities: int = 0
    remembered: int = 0
    evidence: int = 0
    changed: dict[Entity, dict[str, int]] = field(default_factory=dict)
    worst: Burst | None = None
    failed: list[tuple[Entity, str]] = field(default_factory=list)

    def count(self, effect: str) -> int:
        """How many events were `opened`, `updated`, `resolved` or `reopened`."""
        return sum(of_entity.get(effect, 0) for of_entity in self.changed.values())

    @property
    def rows_written(self) -> int:
        """Events and evidence rows."""
        return self.evidence + self.remembered + sum(sum(counts.values()) for counts in self.changed.values())

    def add(self, entity: Entity, written: Sequence[tuple[Change, int]]) -> None:
        """Count what was committed for an entity: changes, each with its rows of evidence."""
        for change, evidence in written:
            self.evidence += evidence
            counts = self.changed.setdefault(entity, {})
            counts[change.effect] = counts.get(change.effect, 0) + 1

    def show(self, burst: Burst | None) -> None:
        """Keep the worse one for the picture."""
        if burst is not None and (self.worst is None or burst.weight > self.worst.weight):
            self.worst = burst


def detect_events(
    database: Database,
    run_id: str,
    *,
    entities: Sequence[Entity] | None = None,
    since: datetime | None = None,
    batch_size: int = 2000,
) -> EventReport:
    """Search every entity with newly frozen periods or new crawls; events are written in short transactions.

    The marks of what was searched come last: killed in between, the next run finds what is already recorded
    and writes only the rest. An entity that fails is recorded with its reason.
    """
    report = EventReport()
    with database.exclusive(STAGE):
        with database.transaction(read_only=True) as connection:
            require_head(connection)
        # Where no daemon runs, nobody else does.
        database.write(lambda connection: forget_old(connection, datetime.now(UTC)))
        report.remembered = database.write(remember_older_memories)
        with database.transaction(read_only=True) as connection:
            waiting = entities_to_watch(connection, entities, since)
        for entity_type, batch in _batches(waiting):
            _search_batch(database, entity_type, batch, report, run_id=run_id, batch_size=batch_size)
    return report


def preview_events(
    connection: Connection, entities: Sequence[Entity] | None = None, since: datetime | None = None
) -> list[Judged]:
    """What a search would change, read only."""
    waiting = entities_to_watch(connection, entities, since)
    judged = []
    for entity_type, batch in _batches(waiting):
        judged += judge(read(connection, entity_type, batch, gathered=False))
    return judged


def _batches(waiting: Iterable[Row[Any]]) -> Iterator[tuple[EntityType, list[Row[Any]]]]:
    """Entities of one type, all of them new or none, with so many hours to be read that memory is bounded."""
    for (entity_type, is_new), rows in groupby(waiting, key=lambda row: (row.entity_type, row.is_new)):
        batch: list[Row[Any]] = []
        hours = 0
        for row in rows:
            # The first time it is all of their history.
            size = min(row.duration or HOUR, LONGEST_HISTORY) // HOUR if is_new else WINDOW_HOURS
            if batch and hours + size > HOURS_AT_ONCE:
                yield entity_type, batch
                batch, hours = [], 0
            batch.append(row)
            hours += size
        if batch:
            yield entity_type, batch


def judge(watched: Sequence[Watched]) -> list[Judged]:
    """Score and follow the series of many entities, and compare what is found with what is recorded."""
    bursts: list[list[Burst]] = [[] for _ in watched]
    for metric in METRICS:
        some = [i for i, one in enumerate(watched) if metric.name in one.series]
        series = [watched[i].series[metric.name] for i in some]
        begins = [_position(watched[i], one.first_hour) for i, one in zip(some, series, strict=True)]
        scored = score([one.values for one in series], begins, counts=metric.counts)
        for i, one, begin, scores in zip(some, series, begins, scored, strict=True):
            for direction in metric.directions:
                for episode in follow(one, scores, begin, direction):
                    known_at = watched[i].known_at(episode.onset)
                    said = finding(watched[i].entity.name, metric, episode, one, known_at)
                    bursts[i].append(Burst(watched[i], said, scores))
    return [_judged(*one) for one in zip(watched, bursts, strict=True)]


def _position(watched: Watched, first_hour: datetime) -> int:
    assert watched.begin is not None
    return (watched.begin - first_hour) // HOUR


def _judged(watched: Watched, bursts: list[Burst]) -> Judged:
    begin = watched.begin
    changes = []
    if watched.series and begin is not None:
        of_hours = [event for event in watched.known if event.key in HOURLY_KEYS and event.onset >= begin]
        changes += changes_of([burst.finding for burst in bursts], of_hours, watched.closed, same=REOPENING)
    changes += changes_of(*_slow(watched), watched.closed)
    changed = {id(change.finding) for change in changes}
    worst = max((b for b in bursts if id(b.finding) in changed), key=lambda b: b.weight, default=None)
    return Judged(watched, changes, worst)


def _slow(watched: Watched) -> tuple[list[Finding], list[KnownEvent]]:
    """What hours do not show: trends, milestones, gaps and silent queries; and what is recorded of those."""
    name, since = watched.entity.name, watched.since
    found = crawl_gaps(name, watched.covered, since)
    known = [e for e in watched.known if e.key == CRAWL_GAP or e.key.startswith(SILENT_QUERY)]
    # An open silence goes on from where it began, whether or not its query was run since.
    silent = {e.metadata["query"]: e.onset for e in known if e.key != CRAWL_GAP and e.ended is None}
    for query, rows in watched.runs.items():
        runs = [Run(row.began, row.ended, row.found) for row in rows]
        begin_of_silence = None if since is None else min(since, silent.get(query, since))
        found += silent_queries(name, query, runs, begin_of_silence, watched.closed)
    if watched.figures:
        fresh = set(watched.periods)
        first = next(i for i, row in enumerate(watched.figures) if row.id in fresh)
        for metric, column in TREND_METRICS.items():
            values = [
                PeriodValue(row.period_number, row.period_end, row.analyzed_at, getattr(row, column))
                for row in watched.figures
            ]
            for direction in DIRECTIONS:
                of_key = [e for e in watched.known if e.key == trend_key(metric, direction)]
                begin = _trend_begin(watched.figures, first, of_key)
                found += follow_trends(name, metric, direction, values, begin)
                onset = watched.figures[begin].period_end
                known += [e for e in of_key if e.ended is None or e.onset >= onset]
        totals = [
            PeriodTotal(
                row.period_number, row.period_end, row.analyzed_at, row.content_count, row.posts_before
            )
            for row in watched.figures[first:]
        ]
        found += milestones(name, totals)
        known += [e for e in watched.known if e.key.startswith(MILESTONE)]
    return found, known


def _trend_begin(figures: Sequence[Row[Any]], first: int, known: Sequence[KnownEvent]) -> int:
    """The first new period; if a trend of the same key was open there, the period at which that opened.

    Each key by itself: going back for another key's sake would find the rest of a trend again, as a new one.
    """
    end = figures[first].period_end
    numbers = {int(e.metadata["period_number"]) for e in known if e.ended is None or e.ended >= end}
    return min(first, next((i for i, row in enumerate(figures) if row.period_number in numbers), first))


def _search_batch(
    database: Database,
    entity_type: EntityType,
    batch: Sequence[Row[Any]],
    report: EventReport,
    *,
    run_id: str,
    batch_size: int,
) -> None:
    """Search some entities at once, or one by one where that fails."""
    try:
        judged = _read_and_judge(database, entity_type, batch)
    except Exception as error:
        if len(batch) > 1:
            for row in batch:
                _search_batch(database, entity_type, [row], report, run_id=run_id, batch_size=batch_size)
        else:
            [row] = batch
            entity = Entity(entity_type, row.entity_id, row.name)
            report.failed.append((entity, problems.record(database, STAGE, entity, error, run_id)))
        return
    done = []
    for one in judged:
        entity = one.watched.entity
        try:
            # A change writes one event and its evidence.
            for changes in _chunks(one.changes, max(batch_size // (MOST_POSTS + 1), 1)):
                report.add(entity, database.write(partial(_write, watched=one.watched, changes=changes)))
            report.show(one.worst)
            report.entities += 1
            done.append(one.watched)
        except Exception as error:
            report.failed.append((entity, problems.record(database, STAGE, entity, error, run_id)))
    database.write(partial(_mark, done=done))


def _read_and_judge(database: Database, entity_type: EntityType, batch: Sequence[Row[Any]]) -> list[Judged]:
    periods = [period for row in batch for period in row.periods]
    ids = [row.entity_id for row in batch]

    for some in _chunks(periods, PERIODS_AT_ONCE):
        database.write(partial(_gather, periods=some))
    database.write(lambda c: follow_successors(c, entity_type, ids))
    with database.transaction(read_only=True) as connection:
        # All of it as of one moment: a crawl that commits in between would close hours without its posts.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return judge(read(connection, entity_type, batch))


def _gather(connection: Connection, periods: Sequence[uuid.UUID]) -> None:
    connection.execute(queries["gather_hours"], {"periods": periods})


def _write(connection: Connection, watched: Watched, changes: Sequence[Change]) -> list[tuple[Change, int]]:
    applied = [
        (change, apply_change(connection, watched.entity, change, watched.watched_until))
        for change in changes
    ]
    return [(change, evidence) for change, evidence in applied if evidence is not None]


def _mark(connection: Connection, done: Sequence[Watched]) -> None:
    periods = [period for watched in done for period in watched.periods]
    watched = [
        {
            "entity_type": one.entity.type,
            "entity_id": str(one.entity.id),
            "watched_until": one.closed.isoformat(),
            "covered": [[start.isoformat(), end.isoformat()] for start, end in one.covered],
        }
        for one in done
        if one.closed is not None
    ]
    connection.execute(queries["mark_searched"], {"periods": periods, "method": METHOD})
    connection.execute(queries["mark_watched"], {"watched": json.dumps(watched), "method": METHOD})
    announce_ends_of_replaced(connection, watched)
    problems.clear(connection, STAGE, *(one.entity for one in done))


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
