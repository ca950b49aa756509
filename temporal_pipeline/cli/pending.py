"""What is left to do, about how long it will take, and what to type next."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from temporal_pipeline.database import Database, Queries

if TYPE_CHECKING:
    from temporal_pipeline.defs.schema.planning import PlannedStatement

queries = Queries(__package__)

# Measured for 1,000,000 contents of 1,000 topics and users on 2 busy cores; the closing of their periods is part of
# the linking, and learning how each writes part of the preparing.
PREPARED_PER_SECOND = 5_900
LINKED_PER_SECOND = 7_000
# A cut of fewer contents says more about what a cut costs than about what a content does.
ENOUGH_TO_MEASURE = 10_000

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Pending:
    """What is left to do; seconds are estimates, `rate_is_measured` when they come from this database.

    `next` are the commands to type, in order; none when nothing is left.
    """

    statements: int
    schema_seconds: float
    contents_to_prepare: int
    contents_to_link: int
    periods_to_freeze: int
    backfill_seconds: float
    rate_is_measured: bool
    next: tuple[str, ...]


@dataclass(frozen=True)
class LastBackup:
    """The newest dump of this database, by what its table of contents says; its age is that of what it holds."""

    name: str
    bytes: int
    age_seconds: float


def before_the_migration(planned: "Sequence[PlannedStatement]", contents: Row) -> Pending:
    """What is left to do with the contents of a database that has no periods."""
    owned = contents["contents"] - contents["unowned"] - contents["future"]
    verbs = ["migrate", *(["backfill"] if owned else [])] if planned else []
    return _pending(planned, (contents["contents"], owned, 0), None, verbs)


def after_the_migration(
    connection: Connection,
    planned: "Sequence[PlannedStatement]",
    waiting: Sequence[Row],
    unfinished_cuts: Sequence[Row],
) -> Pending:
    """What is left to do, where contents of those who may get a period now count as waiting for us."""
    from temporal_pipeline.defs.snapshots.freezing import unfrozen_periods  # noqa: PLC0415 - imports alembic

    to_prepare = connection.scalar(queries["contents_to_prepare"]) or 0
    to_freeze = len(unfrozen_periods(connection))
    due = [row for row in waiting if row["reason"] is None]
    measured = connection.execute(queries["measured_linking"], {"least": ENOUGH_TO_MEASURE}).first()
    verbs = ["migrate"] if planned else []
    if any(not row["has_period"] for row in due):
        verbs.append("backfill")
    elif due or to_prepare or to_freeze or unfinished_cuts:
        verbs.append("update")
    rate = float(measured.contents / measured.seconds) if measured else None
    to_link = sum(row["contents"] for row in due)
    return _pending(planned, (to_prepare, to_link, to_freeze), rate, verbs)


def _pending(
    planned: "Sequence[PlannedStatement]",
    work: tuple[int, int, int],
    linked_per_second: float | None,
    verbs: Sequence[str],
) -> Pending:
    to_prepare, to_link, to_freeze = work
    return Pending(
        statements=len(planned),
        schema_seconds=round(sum(statement.seconds for statement in planned), 1),
        contents_to_prepare=to_prepare,
        contents_to_link=to_link,
        periods_to_freeze=to_freeze,
        backfill_seconds=round(
            to_prepare / PREPARED_PER_SECOND + to_link / (linked_per_second or LINKED_PER_SECOND), 1
        ),
        rate_is_measured=linked_per_second is not None,
        next=tuple(f"temporal-pipeline {verb}" for verb in verbs),
    )


def last_backup(folder: Path, database: Database) -> LastBackup | None:
    """The newest backup of `database` in `folder`. Raises PipelineError without a pg_restore that reads them."""
    from temporal_pipeline.operations.backup.newest import newest_backup  # noqa: PLC0415 - imports alembic

    newest = newest_backup(folder, database, prove=False)
    if newest is None:
        return None
    age = max(time.time() - newest.created_at.timestamp(), 0)
    return LastBackup(newest.path.name, newest.path.stat().st_size, age)


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 1.5 else "a second"
