"""How Alembic runs here: one change at a time, every statement its own short transaction, then reconcile."""

import logging
import sys
from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.dml import UpdateBase

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema import offline
from temporal_pipeline.defs.schema.apply import apply
from temporal_pipeline.defs.schema.definition.model import HEAD
from temporal_pipeline.defs.schema.definition.revisions import reconcile
from temporal_pipeline.defs.schema.upgrade import (
    LOCK,
    Run,
    current_revision,
    knows_revision,
    refuse_foreign_database,
    writing_connection,
)
from temporal_pipeline.errors import PipelineError


def command_name() -> str:
    """The function that does Alembic's command, whether a person or a program gave it."""
    context.configure(dialect_name="postgresql")
    name: str = context.get_context().opts["fn"].__name__
    return name


UPGRADES = command_name() == "upgrade"
MIGRATES = UPGRADES or command_name() == "downgrade"
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
        write(offline.script(step for step in reconcile() if step not in run.executed))


def migrate(run: Run, database: Database) -> None:
    """Run the revisions under the lock that makes us the only one; upgrades reconcile once at head."""
    with writing_connection(database) as connection:
        refuse_foreign_database(connection)
        if knows_revision(connection):
            context.configure(connection=connection, transactional_ddl=False)
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
            run.executed.extend(apply(connection, reconcile(), run.max_wait))


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


if BY_COMMAND_LINE:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
try:
    main(context.config.attributes.setdefault("run", Run()))
except PipelineError as error:
    if not BY_COMMAND_LINE:
        raise
    sys.stderr.write(f"error: {error}\n")
    sys.exit(error.exit_code)
