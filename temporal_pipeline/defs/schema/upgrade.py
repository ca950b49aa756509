"""The schema as a whole: bring it to head, say where it is, insist that it is there."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.schema.apply import (
    MAX_WAIT_SECONDS,
    apply,
    holds,
    missing_statements,
    pending,
)
from temporal_pipeline.defs.schema.definition.model import HEAD, LEGACY_TABLES, REVISIONS
from temporal_pipeline.defs.schema.definition.revisions import names_at_head, objects_present, reconcile
from temporal_pipeline.defs.schema.definition.steps import Step
from temporal_pipeline.defs.schema.offline import record_upgrade, script
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import PROJECT_ROOT

LOCK = "schema"
# An index on a large table takes minutes; whoever comes second may as well wait for it.
WAIT_FOR_ANOTHER_UPGRADE_SECONDS = 600.0

log = logging.getLogger(__name__)
_queries = Queries(__package__)
# Alembic keeps the environment of a running command in a global.
_alembic = threading.Lock()


@dataclass
class Run:
    """One Alembic command: on which database (none: that of the environment), how patient, what it did.

    `executed` are the steps that were executed, or written out under `--sql`.
    """

    database: Database | None = None
    max_wait: float = MAX_WAIT_SECONDS
    executed: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class SchemaState:
    """Where the schema is: no `revision` in a legacy database; `pending` names what is not as at head."""

    revision: str | None
    head: str
    pending: tuple[str, ...]

    @property
    def is_at_head(self) -> bool:
        return not self.pending and self.revision is not None and self.revision not in REVISIONS[:-1]


@dataclass(frozen=True)
class UpgradeReport:
    """What an upgrade did: the revisions before and after, and the names of the steps that it executed."""

    revision_before: str | None
    revision_after: str | None
    executed: tuple[str, ...]
    seconds: float


def upgrade(database: Database, max_wait: float = MAX_WAIT_SECONDS) -> UpgradeReport:
    """Bring `database` to head and everything of ours to its current definition; nothing to do is no work.

    Raises PipelineError for a database that is not Crosshot's, a lock that cannot be had in `max_wait`
    seconds (exit code 5), a missing privilege, rows that contradict the schema. What was done stays done;
    running it again continues.
    """
    started = time.monotonic()
    run = Run(database, max_wait)
    with database.transaction(read_only=True) as connection:
        before = current_revision(connection)
    with _alembic:
        command.upgrade(alembic_config(run), "head")
    with database.transaction(read_only=True) as connection:
        after = current_revision(connection)
    return UpgradeReport(before, after, tuple(step.name for step in run.executed), time.monotonic() - started)


def alembic_config(run: Run) -> Config:
    """Alembic's configuration for a command that this process gives itself; errors stay PipelineErrors."""
    config = Config()
    config.set_main_option("script_location", str(PROJECT_ROOT / "migrations").replace("%", "%%"))
    config.attributes["run"] = run
    return config


def schema_state(connection: Connection) -> SchemaState:
    """The revision in the database and what differs from head in any definition; reads only, about 0.1 s."""
    return SchemaState(
        current_revision(connection), HEAD, tuple(step.name for step in pending(connection, reconcile()))
    )


def is_at_head(connection: Connection) -> bool:
    """Whether the schema is at head, by the names of everything that it has; see `require_head`."""
    return _state_by_names(connection).is_at_head


def require_head(connection: Connection) -> None:
    """Raise PipelineError unless the schema is at head, so that no asset writes into half a schema.

    Fit for every asset of every run (5 ms): the revision, and by name every table, column, constraint, valid
    index, and current text of a view or function. Definitions are what `schema_state` compares.
    """
    state = _state_by_names(connection)
    if not state.is_at_head:
        at = state.revision or "no revision"
        lacking = f", missing: {_some(state.pending)}" if state.pending else ""
        raise PipelineError(
            f"the schema is not at {state.head} but at {at}{lacking}",
            hint="run `temporal-pipeline update` or `alembic upgrade head`",
        )


def planned_statements(connection: Connection) -> list[str]:
    """The literal statements that an upgrade would execute now; reads only.

    Raises PipelineError for a database that an upgrade would refuse.
    """
    refuse_foreign_database(connection)
    steps = pending(connection, reconcile())
    statements = [statement for step in steps for statement in missing_statements(connection, step)]
    if knows_revision(connection) and current_revision(connection) != HEAD:
        statements.append(record_upgrade(HEAD))
    return statements


def current_revision(connection: Connection) -> str | None:
    """What `alembic_version` says; several revisions are joined by commas, none is null."""
    return ", ".join(_revisions(connection)) or None


def _revisions(connection: Connection) -> list[str]:
    if not connection.scalar(_queries["has_version_table"]):
        return []
    return list(connection.scalars(_queries["revisions"]))


def _state_by_names(connection: Connection) -> SchemaState:
    names = names_at_head()
    missing = connection.scalars(
        _queries["missing_names"],
        {
            "relations": list(names.relations),
            "columns": list(names.columns),
            "constraints": list(names.constraints),
            "texts": [text.name for text in names.texts],
            "comments": [text.comment for text in names.texts],
        },
    )
    return SchemaState(current_revision(connection), HEAD, tuple(missing))


def _some(names: tuple[str, ...], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


@contextmanager
def writing_connection(database: Database) -> Iterator[Connection]:
    """The one connection that changes the schema, in AUTOCOMMIT, while the schema's lock is held."""
    with (
        database.exclusive(LOCK, WAIT_FOR_ANOTHER_UPGRADE_SECONDS),
        database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
    ):
        # Limits that a role or database sets for queries would end the build of a large index half-way.
        # Detached, since they must not be lifted for whoever gets this connection from the pool next.
        connection.detach()
        connection.execute(_queries["no_time_limits"])
        yield connection


def refuse_foreign_database(connection: Connection) -> None:
    """Raise PipelineError with the list of missing tables unless this is a Crosshot database."""
    missing = list(connection.scalars(_queries["missing_tables"], {"names": list(LEGACY_TABLES)}))
    if missing:
        raise PipelineError(
            f"this is not a Crosshot database: it has no {', '.join(missing)}",
            hint="check the database's name in DATABASE_URL; "
            "`temporal-pipeline replay FILE --create` makes the application's tables",
        )


def knows_revision(connection: Connection) -> bool:
    """Whether the database is at one of our revisions, or at none.

    Otherwise the application has migrated on: with all our objects present nothing is left to migrate,
    without them PipelineError (exit code 5).
    """
    unknown = [revision for revision in _revisions(connection) if revision not in REVISIONS]
    if not unknown:
        return True
    if not holds(connection, objects_present()):
        raise PipelineError(
            f"alembic_version holds {', '.join(unknown)}, which is none of ours, "
            "and the temporal schema is not complete",
            hint=f"let the application's own migrations bring the database to {HEAD} first",
            exit_code=5,
        )
    log.info("the application has migrated on to %s", ", ".join(unknown))
    return False


def run_in_revision(context: MigrationContext, steps: tuple[Step, ...]) -> None:
    """Execute the steps of a revision, or write them out under `--sql`."""
    assert context.config is not None
    run: Run = context.config.attributes["run"]
    if context.as_sql:
        context.impl.static_output(script(steps))
        run.executed.extend(steps)
    else:
        assert context.connection is not None
        run.executed.extend(apply(context.connection, steps, run.max_wait))
