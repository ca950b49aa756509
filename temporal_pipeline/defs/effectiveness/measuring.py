"""Measuring which queries were worth their cost: one row per period, platform and query."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline import problems
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.effectiveness.bookkeeping import Measurement, keep_books
from temporal_pipeline.defs.effectiveness.findings import findings_of
from temporal_pipeline.defs.effectiveness.judgement.scoring import METHOD
from temporal_pipeline.defs.effectiveness.linking import link_tasks, measure_durations
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity

queries = Queries(__package__)

STAGE = "effectiveness"


@dataclass
class EntityTally:
    """What a run measured of one entity; `best` and `worst` by score."""

    periods: int = 0
    queries: int = 0
    best: Measurement | None = None
    worst: Measurement | None = None

    def add(self, measurement: Measurement) -> None:
        """Count a measurement in."""
        self.queries += 1
        if self.best is None or measurement.score > self.best.score:
            self.best = measurement
        if self.worst is None or measurement.score < self.worst.score:
            self.worst = measurement


@dataclass
class MeasureReport:
    """What a run did. `failed`: one entry per period that could not be measured, with the reason."""

    tallies: defaultdict[Entity, EntityTally] = field(default_factory=lambda: defaultdict(EntityTally))
    failed: list[tuple[Entity, str]] = field(default_factory=list)
    tasks_linked: int = 0
    # Tasks that the application held all the time; the next run links them.
    tasks_held: int = 0
    durations_filled: int = 0

    @property
    def rows_written(self) -> int:
        return sum(tally.queries for tally in self.tallies.values())

    @property
    def periods(self) -> int:
        return sum(tally.periods for tally in self.tallies.values())

    def add(self, periods: Sequence[Row[Any]], measurements: Sequence[Measurement]) -> None:
        entities = {period.id: _entity(period) for period in periods}
        for entity in entities.values():
            self.tallies[entity].periods += 1
        for measurement in measurements:
            self.tallies[entities[measurement.period]].add(measurement)


def measure_periods(
    database: Database,
    run_id: str,
    *,
    entities: Sequence[Entity] | None = None,
    since: datetime | None = None,
    batch_size: int = 2000,
) -> MeasureReport:
    """Measure the queries of every frozen period that has not been measured, then link tasks to their rows.

    The rows of a period, what they change in what is remembered of its queries, and its mark are one
    transaction; rows that the application wrote for a period stay, only those that it lacks are added. Many
    small periods share a statement; when a group fails, its periods are tried one by one, and those that fail
    are recorded and left for the next run. A period that ends before another one of its entity that was
    measured already (it failed then, or is analysed again) has the entity's books written anew from its rows.
    Raises PipelineError when the schema is not at head or another run is measuring.
    """
    report = MeasureReport()
    with database.exclusive(STAGE):
        with database.transaction(read_only=True) as connection:
            require_head(connection)
            pending = unmeasured_periods(connection, entities, since)
        report.durations_filled = measure_durations(database, entities, batch_size)
        for group in _groups(pending, batch_size):
            try:
                report.add(group, database.write(partial(_measure, periods=group, run_id=run_id)))
            except Exception:
                for period in group:
                    try:
                        report.add(
                            [period], database.write(partial(_measure, periods=[period], run_id=run_id))
                        )
                    except Exception as error:
                        entity = _entity(period)
                        reason = problems.record(database, STAGE, entity, error, run_id)
                        report.failed.append((entity, reason))
        database.write(_forget_solved_problems)
        report.tasks_linked, report.tasks_held = link_tasks(database, entities, batch_size)
    return report


def unmeasured_periods(
    connection: Connection, entities: Sequence[Entity] | None = None, since: datetime | None = None
) -> Sequence[Row[Any]]:
    """Periods to be measured: rows (id, entity_type, entity_id, name, period_number,
    period_end, content_count).

    `since`: only periods that end after it.
    """
    ids = None if entities is None else [entity.id for entity in entities]
    return connection.execute(queries["unmeasured_periods"], {"entity_ids": ids, "since": since}).all()


def _groups(periods: Sequence[Row[Any]], batch_size: int) -> Iterator[list[Row[Any]]]:
    """Neighbouring periods with together at most `batch_size` contents; a larger one stands alone."""
    group: list[Row[Any]] = []
    weight = 0
    for period in periods:
        own = max(period.content_count, 1)
        if group and weight + own > batch_size:
            yield group
            group, weight = [], 0
        group.append(period)
        weight += own
    if group:
        yield group


def _measure(connection: Connection, periods: Sequence[Row[Any]], run_id: str) -> list[Measurement]:
    ids = [period.id for period in periods]
    connection.execute(queries["forget_earlier_measurements"], {"periods": ids})
    measurements = keep_books(connection, periods, findings_of(connection, ids))
    connection.execute(queries["mark_measured"], {"periods": ids, "method": METHOD, "run_id": run_id})
    return measurements


def _forget_solved_problems(connection: Connection) -> None:
    """A problem is solved when no period of its entity waits any more."""
    problems.keep_only(connection, STAGE, {_entity(period) for period in unmeasured_periods(connection)})


def _entity(period: Row[Any]) -> Entity:
    return Entity(period.entity_type, period.entity_id, period.name)
