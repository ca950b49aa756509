"""The schema as a whole: bring it to head, say where it is, insist that it is there."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from psycopg.errors import UndefinedColumn
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.schema.apply import apply, holds, pending
from temporal_pipeline.defs.schema.definition.model import HEAD, LEGACY_TABLES, REVISIONS
from temporal_pipeline.defs.schema.definition.revisions import names_at_head, objects_present, reconcile
from temporal_pipeline.defs.schema.definition.steps import Step
from temporal_pipeline.defs.schema.listening import Executed, Listener
from temporal_pipeline.defs.schema.offline import script
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.doctor.pooler import refuse_transaction_pooler
from temporal_pipeline.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from temporal_pipeline.operations.backup.dump import Backup

LOCK = "schema"
# Somebody else's long transaction is the usual reason to wait; beyond a minute a person should look.
MAX_WAIT_SECONDS = 60.0

log = logging.getLogger(__name__)
_queries = Queries(__package__)
# Alembic keeps the environment of a running command in a global.
_alembic = threading.Lock()


@dataclass
class Run:
    """One Alembic command: on which database (none: that of the environment), how patient, who listens.

    `back_up` is called before the first statement of an upgrade that has anything to do. `written` are the
    steps that were written out under `--sql`.
    """

    database: Database | None = None
    max_wait: float = MAX_WAIT_SECONDS
    listener: Listener = field(default_factory=Listener)
    back_up: "Callable[[Database], Backup] | None" = None
    backup: "Backup | None" = None
    written: list[Step] = field(default_factory=list)


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
class MigrationReport:
    """What a migration did: the revisions before and after, its statements, the backup (none: there
    was nothing to do, or none was wanted), and how long it all took.
    """

    revision_before: str | None
    revision_after: str | None
    statements: tuple[Executed, ...]
    backup: "Backup | None"
    seconds: float

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the steps that were executed, each once."""
        return tuple(dict.fromkeys(statement.step for statement in self.statements))

    @property
    def retries(self) -> int:
        """How often it gave way to others."""
        return sum(statement.retries for statement in self.statements)

    @property
    def waited(self) -> float:
        """How many seconds it waited for others."""
        return sum(statement.waited for statement in self.statements)


def upgrade(
    database: Database,
    *,
    max_wait: float = MAX_WAIT_SECONDS,
    back_up: "Callable[[Database], Backup] | None" = None,
    listener: Listener | None = None,
    revision: str = "head",
) -> MigrationReport:
    """Bring `database` to head and everything of ours to its current definition; nothing to do is no work.

    Raises PipelineError for a database that is not Crosshot's, a lock that cannot be had in `max_wait`
    seconds (exit code 5), a missing privilege, rows that contradict the schema. What was done stays done;
    running it again continues.
    """
    run = Run(database, max_wait, listener or Listener(), back_up)
    return _run(command.upgrade, revision, run, database)


def downgrade(
    database: Database,
    revision: str = "base",
    *,
    max_wait: float = MAX_WAIT_SECONDS,
    listener: Listener | None = None,
) -> MigrationReport:
    """Take everything of ours away that is later than `revision`, with what is in it.

    Raises PipelineError like `upgrade`, and when the application has migrated on or something that is not
    ours is built on ours.
    """
    return _run(command.downgrade, revision, Run(database, max_wait, listener or Listener()), database)


def _run(
    migrate: Callable[[Config, str], None], revision: str, run: Run, database: Database
) -> MigrationReport:
    started = time.monotonic()
    with database.transaction(read_only=True) as connection:
        before = current_revision(connection)
    with _alembic:
        migrate(alembic_config(run), revision)
    with database.transaction(read_only=True) as connection:
        after = current_revision(connection)
    statements = tuple(run.listener.statements)
    return MigrationReport(before, after, statements, run.backup, time.monotonic() - started)


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
            hint="run `temporal-pipeline migrate` or `alembic upgrade head`",
        )


def current_revision(connection: Connection) -> str | None:
    """What `alembic_version` says; several revisions are joined by commas, none is null."""
    return ", ".join(_revisions(connection)) or None


def _revisions(connection: Connection) -> list[str]:
    if not connection.scalar(_queries["has_version_table"]):
        return []
    try:
        return list(connection.scalars(_queries["revisions"]))
    except ProgrammingError as error:
        if not isinstance(error.orig, UndefinedColumn):
            raise
        raise PipelineError(
            f"alembic_version is not Alembic's: {str(error.orig).splitlines()[0]}",
            hint="something else made a table of that name; rename it",
        ) from None


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
def writing_connection(database: Database, max_wait: float = MAX_WAIT_SECONDS) -> Iterator[Connection]:
    """The one connection that changes the schema, in AUTOCOMMIT; it also holds the schema's lock.

    Raises PipelineError (exit code 5) when another one has it for longer than `max_wait` seconds, or a pooler
    would share the connection among transactions.
    """
    refuse_transaction_pooler(database)
    with database.exclusive(LOCK, max_wait) as connection:
        # Limits that a role or database sets for queries would end the build of a large index half-way.
        # Detached, since they must not be lifted for whoever gets this connection from the pool next.
        connection.detach()
        connection.execute(_queries["own_time_limits"], {"lock_timeout": f"{max(1, int(max_wait * 1000))}ms"})
        yield connection


def refuse_read_only(connection: Connection) -> None:
    """Raise PipelineError (exit code 5) where nothing can be written: on a standby, or by a setting."""
    row = connection.execute(_queries["takes_writes"]).one()
    if row.is_standby:
        raise PipelineError(
            "the server is a standby, which takes no writes",
            hint="point DATABASE_URL to the primary",
            exit_code=5,
        )
    if row.is_read_only:
        raise PipelineError(
            "default_transaction_read_only is on",
            hint="turn it off for this role and database: ALTER ROLE … SET default_transaction_read_only = off",
            exit_code=5,
        )


def refuse_foreign_database(connection: Connection) -> None:
    """Raise PipelineError unless this is a Crosshot database whose tables lie where ours would."""
    missing = list(connection.scalars(_queries["missing_tables"], {"names": list(LEGACY_TABLES)}))
    if missing:
        raise PipelineError(
            f"this is not a Crosshot database: it has no {', '.join(missing)}",
            hint="check the database's name in DATABASE_URL; "
            "`temporal-pipeline replay FILE --create` makes the application's tables",
        )
    elsewhere = connection.execute(_queries["schema_of_tables"], {"names": list(LEGACY_TABLES)}).first()
    if elsewhere is not None:
        raise PipelineError(
            f"new tables would go into schema {elsewhere.own or '(none)'}, the application's are in {elsewhere.name}",
            hint=f"ALTER ROLE {elsewhere.role} IN DATABASE {elsewhere.database} SET search_path = {elsewhere.name}",
            exit_code=5,
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
        run.written.extend(steps)
    else:
        assert context.connection is not None
        apply(context.connection, steps, run.max_wait, run.listener)
