"""How Alembic runs here: one change at a time, every statement its own short transaction, then reconcile."""

import logging
import re
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from alembic import context
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.runtime.migration import MigrationContext, MigrationInfo
from psycopg.errors import InsufficientPrivilege, LockNotAvailable
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.dml import UpdateBase

from temporal_pipeline.blockers import locked_against_readers
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema import offline
from temporal_pipeline.defs.schema.apply import apply, in_the_server_s_words, remedy_for_rights
from temporal_pipeline.defs.schema.definition.model import HEAD
from temporal_pipeline.defs.schema.definition.revisions import reconcile
from temporal_pipeline.defs.schema.listening import Executed, Listener
from temporal_pipeline.defs.schema.planning import plan
from temporal_pipeline.defs.schema.upgrade import (
    LOCK,
    Run,
    current_revision,
    knows_revision,
    refuse_foreign_database,
    refuse_read_only,
    writing_connection,
)
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.dump import take_backup
from temporal_pipeline.settings import Settings


def command_name() -> str:
    """The function that does Alembic's command, whether a person or a program gave it."""
    context.configure(dialect_name="postgresql")
    name: str = context.get_context().opts["fn"].__name__
    return name


UPGRADES = command_name() == "upgrade"
MIGRATES = UPGRADES or command_name() == "downgrade"
VERSION_TABLE = "alembic_version"
CHANGES_VERSION_TABLE = re.compile(rf"\s*(CREATE TABLE|INSERT INTO|UPDATE|DELETE FROM) {VERSION_TABLE}\b")
BY_COMMAND_LINE = context.config.cmd_opts is not None


class PostgresqlScript(PostgresqlImpl):
    """Under `--sql`, Alembic's own statements about its version table would run only once; ours always do."""

    __dialect__ = "postgresql"

    def _exec(self, construct: Any, *args: Any, **kwargs: Any) -> Any:
        if self.as_sql and MIGRATES and isinstance(construct, CreateTable | UpdateBase):
            return None
        return super()._exec(construct, *args, **kwargs)


def write_script(run: Run) -> None:
    """The script needs no connection; what is done already is decided where it runs."""

    def record(
        ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]
    ) -> None:
        assert step.up_revision_id is not None
        recorded = offline.record_upgrade if step.is_upgrade else offline.record_downgrade
        ctx.impl.static_output(recorded(step.up_revision_id))

    context.configure(dialect_name="postgresql", transactional_ddl=False, on_version_apply=record)
    write = context.get_context().impl.static_output
    write(offline.preamble(LOCK, upgrading=UPGRADES))
    context.run_migrations()
    if UPGRADES and context.get_revision_argument() == HEAD:
        write(offline.script(step for step in reconcile() if step not in run.written))


def migrate(run: Run, database: Database) -> None:
    """Run the revisions under the lock that makes us the only one; upgrades reconcile once at head."""
    with writing_connection(database, run.max_wait) as connection:
        try:
            refuse_foreign_database(connection)
            if not UPGRADES or plan(connection):
                refuse_read_only(connection)
                if UPGRADES and run.back_up is not None:
                    run.backup = run.back_up(database)
                    run.listener.starts(f"backed up to {run.backup.path}")
            _migrate(run, connection)
        except DBAPIError as error:
            # Steps explain themselves; this is a statement of Alembic's own, or a connection that is gone.
            if isinstance(error.orig, LockNotAvailable):
                raise locked_against_readers(connection) from error
            hint = "what was done stays done; run the same command again"
            if isinstance(error.orig, InsufficientPrivilege):
                hint = remedy_for_rights(connection, error.statement or "")
            raise PipelineError(in_the_server_s_words(error), hint=hint) from error


def _migrate(run: Run, connection: Connection) -> None:
    if knows_revision(connection):
        context.configure(connection=connection, transactional_ddl=False)
        event.listen(connection, "after_cursor_execute", versions_heard_by(run.listener))
        context.run_migrations()
        at_head = current_revision(connection) == HEAD
    elif UPGRADES:
        at_head = True
    else:
        raise PipelineError(
            f"the application has migrated on to {current_revision(connection)}",
            hint="downgrade with the application's own migrations first",
            exit_code=5,
        )
    if UPGRADES and at_head:
        apply(connection, reconcile(), run.max_wait, run.listener)


def versions_heard_by(listener: Listener) -> Callable[..., None]:
    """Alembic's own statements about its version table belong to a migration like ours."""

    def hear(connection: Connection, cursor: object, statement: str, *_: object) -> None:
        if CHANGES_VERSION_TABLE.match(statement):
            listener.executed(Executed(VERSION_TABLE, statement.strip()))

    return hear


def main(run: Run) -> None:
    """Do the command: `current`, `stamp` and the like touch the version table at the most."""
    if context.is_offline_mode():
        if MIGRATES:
            write_script(run)
        else:
            context.run_migrations()
        return
    database = run.database or Database.from_environment()
    try:
        if MIGRATES:
            migrate(run, database)
        else:
            with database.transaction() as connection:
                context.configure(connection=connection)
                context.run_migrations()
    finally:
        if run.database is None:
            database.dispose()


def run_by_hand() -> Run:
    """A person's command: backed up like the verb `migrate`, unless it says `-x backup=no`."""
    if context.get_x_argument(as_dictionary=True).get("backup") == "no":
        return Run()
    return Run(back_up=partial(take_backup, folder=Settings().backups))


if BY_COMMAND_LINE:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    context.config.attributes.setdefault("run", run_by_hand())
try:
    main(context.config.attributes["run"])
except PipelineError as error:
    if not BY_COMMAND_LINE:
        raise
    sys.stderr.write(f"error: {error}\n")
    sys.exit(error.exit_code)
