"""What an upgrade would do to a database in its present state: its statements, literally and in order."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

from alembic import command
from sqlalchemy import Connection

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.schema.apply import missing_statements, pending
from temporal_pipeline.defs.schema.definition.model import ANALYSIS_PERIODS, REVISIONS
from temporal_pipeline.defs.schema.definition.revisions import (
    add_columns,
    create_tables,
    create_views,
    reconcile,
)
from temporal_pipeline.defs.schema.definition.steps import Step
from temporal_pipeline.defs.schema.estimates import TimeClass, estimate, time_class
from temporal_pipeline.defs.schema.locks import TableLock, locks_of
from temporal_pipeline.defs.schema.upgrade import (
    Run,
    alembic_config,
    current_revision,
    knows_revision,
    refuse_foreign_database,
)

RECONCILE = "reconcile"
VERSION_TABLE = "alembic_version"
# Alembic's own statements, each in one line.
_CREATE_VERSION_TABLE = (
    "CREATE TABLE alembic_version ( version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num) )"
)
_NOTE_FIRST = "INSERT INTO alembic_version (version_num) VALUES ('{}') RETURNING alembic_version.version_num"
_NOTE_NEXT = "UPDATE alembic_version SET version_num='{}' WHERE alembic_version.version_num = '{}'"
_STEPS_OF_REVISION = dict(zip(REVISIONS, (create_tables, add_columns, create_views), strict=True))
_queries = Queries(__package__)


@dataclass(frozen=True)
class PlannedStatement:
    """One statement that an upgrade would execute.

    `revision`: where it belongs, 'reconcile' for what comes after the last one. `sql`: the literal statement;
    several are separated by `;` and run in one transaction. `locks`: on what is there before the upgrade.
    `rows`: estimate of the rows that it reads, 0 for changes of the catalogue alone. `seconds`: estimate of
    the work, without waiting.
    """

    revision: str
    step: str
    sql: str
    locks: tuple[TableLock, ...]
    rows: int
    seconds: float

    @property
    def time_class(self) -> TimeClass:
        """'instant', 'seconds' or 'minutes'."""
        return time_class(self.seconds)

    @property
    def is_met_by_writers(self) -> bool:
        """Whether an INSERT, UPDATE or DELETE on some table of the application waits for it."""
        return any(lock.is_met_by_writers for lock in self.locks)


def plan(connection: Connection) -> list[PlannedStatement]:
    """The statements that an upgrade would execute now, in order; reads only, about 0.2 s.

    Raises PipelineError for a database that an upgrade would refuse.
    """
    refuse_foreign_database(connection)
    statements = list(_statements(connection))
    locks = {sql: locks_of(sql) for _, _, sql in statements}
    relations = {lock.table for taken in locks.values() for lock in taken} | {ANALYSIS_PERIODS.name}
    sizes = connection.execute(_queries["estimated_rows"], {"relations": sorted(relations)})
    rows_of = {row.name: int(row.rows) for row in sizes}
    planned = []
    for revision, step, sql in statements:
        cost = estimate(sql, rows_of)
        # Nobody waits for a relation that this very upgrade makes.
        met = tuple(lock for lock in locks[sql] if lock.table in rows_of)
        planned.append(PlannedStatement(revision, step, sql, met, cost.rows, cost.seconds))
    return planned


def upgrade_script() -> str:
    """The script for psql that does the same wherever it runs: what `alembic upgrade head --sql` writes."""
    config = alembic_config(Run())
    config.output_buffer = io.StringIO()
    command.upgrade(config, "head", sql=True)
    return config.output_buffer.getvalue()


def _statements(connection: Connection) -> Iterator[tuple[str, str, str]]:
    """Revision, name of the step and statement."""
    missing = dict.fromkeys(pending(connection, reconcile()))
    if knows_revision(connection):
        present = current_revision(connection)
        if not connection.scalar(_queries["has_version_table"]):
            yield REVISIONS[0], VERSION_TABLE, _CREATE_VERSION_TABLE
        for revision in REVISIONS[0 if present is None else REVISIONS.index(present) + 1 :]:
            steps = [step for step in _STEPS_OF_REVISION[revision]() if step in missing]
            yield from _of_steps(connection, revision, steps)
            for step in steps:
                del missing[step]
            yield revision, VERSION_TABLE, _record(present, revision)
            present = revision
    yield from _of_steps(connection, RECONCILE, list(missing))


def _of_steps(connection: Connection, revision: str, steps: list[Step]) -> Iterator[tuple[str, str, str]]:
    for step in steps:
        for sql in missing_statements(connection, step):
            yield revision, step.name, sql


def _record(present: str | None, revision: str) -> str:
    """Alembic's own statement that notes a revision."""
    if present is None:
        return _NOTE_FIRST.format(revision)
    return _NOTE_NEXT.format(revision, present)
