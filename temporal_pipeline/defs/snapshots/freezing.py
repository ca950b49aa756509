"""Freezing the members of periods: what they said at that time, whatever the crawler edits later."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from temporal_pipeline import problems
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity

queries = Queries(__package__)

STAGE = "snapshots"
METHOD = "members-1"
# The application may delete a content while we copy it; after a few such collisions something else is wrong.
FREEZING_ATTEMPTS = 5


@dataclass(frozen=True)
class FreezeReport:
    """`periods`: the frozen ones, rows (id, entity_type, entity_id, name, period_number, content_count)."""

    rows_written: int
    periods: Sequence[Row[Any]]
    late_arrivals: int
    failed: Sequence[tuple[Entity, str]]


def freeze_periods(
    database: Database, run_id: str, *, entities: Sequence[Entity] | None = None, batch_size: int = 2000
) -> FreezeReport:
    """Write the snapshot rows of every active period that has none yet, `batch_size` rows per transaction.

    Killed in between, the next run goes on where it stopped: a row is written once and never changed.
    """
    with database.exclusive(STAGE):
        with database.transaction(read_only=True) as connection:
            require_head(connection)
            pending = unfrozen_periods(connection, entities)
        written, done, failed = 0, [], []
        for group in _groups(pending, batch_size):
            try:
                written += _freeze(database, group, batch_size)
                done += group
            except Exception:
                # One period of the group cannot be frozen: find it, and let the others through.
                for period in group:
                    entity = Entity(period.entity_type, period.entity_id, period.name)
                    try:
                        written += _freeze(database, [period], batch_size)
                        done.append(period)
                    except Exception as error:
                        failed.append((entity, problems.record(database, STAGE, entity, error, run_id)))
    with database.transaction(read_only=True) as connection:
        late = connection.scalar(queries["late_arrivals"], {"periods": [period.id for period in done]}) or 0
    return FreezeReport(written, done, late, failed)


def unfrozen_periods(connection: Connection, entities: Sequence[Entity] | None = None) -> Sequence[Row[Any]]:
    """Active periods without snapshots: rows (id, entity_type, entity_id, name, period_number, content_count)."""
    ids = None if entities is None else [entity.id for entity in entities]
    return connection.execute(queries["unfrozen_periods"], {"entity_ids": ids}).all()


def _groups(periods: Sequence[Row[Any]], batch_size: int) -> Iterator[list[Row[Any]]]:
    """Neighbouring periods with together at most `batch_size` contents; a larger one stands alone."""
    group: list[Row[Any]] = []
    contents = 0
    for period in periods:
        if group and contents + period.content_count > batch_size:
            yield group
            group, contents = [], 0
        group.append(period)
        contents += period.content_count
    if group:
        yield group


def _freeze(database: Database, group: Sequence[Row[Any]], batch_size: int) -> int:
    ids = [period.id for period in group]
    written = 0
    while rows := _freeze_batch(database, ids, batch_size):
        written += rows

    def mark(connection: Connection) -> None:
        connection.execute(queries["correct_content_counts"], {"periods": ids})
        connection.execute(queries["mark_frozen"], {"periods": ids, "method": METHOD})
        for period in group:
            problems.clear(connection, STAGE, Entity(period.entity_type, period.entity_id, period.name))

    database.write(mark)
    return written


def _freeze_batch(database: Database, periods: Sequence[uuid.UUID], batch_size: int) -> int:
    parameters = {"periods": list(periods), "batch_size": batch_size}
    for _ in range(FREEZING_ATTEMPTS - 1):
        try:
            return database.write(lambda c: c.execute(queries["freeze_members"], parameters).rowcount)
        except IntegrityError:
            continue
    return database.write(lambda c: c.execute(queries["freeze_members"], parameters).rowcount)
