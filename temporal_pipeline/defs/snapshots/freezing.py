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
NO_ID = uuid.UUID(int=0)

# A place in the order of content and period.
Position = tuple[uuid.UUID, uuid.UUID]


@dataclass(frozen=True)
class FreezeReport:
    """`periods`: the frozen ones, rows (id, entity_type, entity_id, name, period_number, content_count)."""

    rows_written: int
    periods: Sequence[Row[Any]]
    late_arrivals: int
    failed: Sequence[tuple[Entity, str]]


def freeze_periods(database: Database, run_id: str, *, batch_size: int = 2000) -> FreezeReport:
    """Write the snapshot rows of every active period that has none yet, `batch_size` rows per transaction.

    Always of all entities, whichever the run is about: cutting for one entity also closes periods of others
    who share its contents, and what is frozen late may have been edited. Killed in between, the next run goes
    on where it stopped: a row is written once and never changed. Cost: a period's links are read once per
    batch, so that a very large one (1e5 contents) spends as much time on finding rows as on writing them.
    """
    with database.exclusive(STAGE):
        with database.transaction(read_only=True) as connection:
            require_head(connection)
            pending = unfrozen_periods(connection)
        written, done, failed = 0, [], []
        for group in _groups(pending, batch_size):
            try:
                written += _freeze(database, run_id, group, batch_size)
                done += group
            except Exception:
                # One period of the group cannot be frozen: find it, and let the others through.
                for period in group:
                    entity = Entity(period.entity_type, period.entity_id, period.name)
                    try:
                        written += _freeze(database, run_id, [period], batch_size)
                        done.append(period)
                    except Exception as error:
                        failed.append((entity, problems.record(database, STAGE, entity, error, run_id)))
        database.write(_forget_solved_problems)
    with database.transaction(read_only=True) as connection:
        late = connection.scalar(queries["late_arrivals"], {"periods": [period.id for period in done]}) or 0
    return FreezeReport(written, done, late, failed)


def unfrozen_periods(connection: Connection) -> Sequence[Row[Any]]:
    """Active periods without snapshots: (id, entity_type, entity_id, name, period_number, content_count)."""
    return connection.execute(queries["unfrozen_periods"]).all()


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


def _freeze(database: Database, run_id: str, group: Sequence[Row[Any]], batch_size: int) -> int:
    periods = [period.id for period in group]
    written, position = 0, (NO_ID, NO_ID)
    while True:
        rows, last = _freeze_page(database, periods, position, batch_size)
        written += rows
        if last is None:
            break
        position = last

    def mark(connection: Connection) -> None:
        connection.execute(queries["correct_content_counts"], {"periods": periods})
        connection.execute(queries["mark_frozen"], {"periods": periods, "method": METHOD, "run_id": run_id})

    database.write(mark)
    return written


def _freeze_page(
    database: Database, periods: Sequence[uuid.UUID], after: Position, batch_size: int
) -> tuple[int, Position | None]:
    """Freeze the next members. Returns how many rows were written and where the page ended, None: nowhere."""

    def work(connection: Connection) -> tuple[int, Position | None]:
        page = connection.execute(
            queries["page_of_members"],
            {
                "periods": list(periods),
                "after_content": after[0],
                "after_period": after[1],
                "batch_size": batch_size,
            },
        ).all()
        if not page:
            return 0, None
        members = {
            "periods": [row.period_id for row in page],
            "contents": [row.content_id for row in page],
        }
        rows = connection.execute(queries["freeze_members"], members).rowcount
        return rows, (page[-1].content_id, page[-1].period_id)

    for _ in range(FREEZING_ATTEMPTS - 1):
        try:
            return database.write(work)
        except IntegrityError:
            continue
    return database.write(work)


def _forget_solved_problems(connection: Connection) -> None:
    waiting = {Entity(row.entity_type, row.entity_id, row.name) for row in unfrozen_periods(connection)}
    problems.keep_only(connection, STAGE, waiting)
