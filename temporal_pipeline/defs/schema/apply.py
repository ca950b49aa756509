"""Steps against a live database, one statement at a time, each a short transaction of its own."""

import time
from collections.abc import Sequence

import psycopg
from psycopg import errors as pg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.schema.definition.model import EXTENSIONS
from temporal_pipeline.defs.schema.definition.private import PRIVATE_SCHEMA
from temporal_pipeline.defs.schema.definition.steps import Step
from temporal_pipeline.defs.schema.listening import Executed, Listener
from temporal_pipeline.defs.schema.taking_turns import execute_in_turn, execute_patiently, run
from temporal_pipeline.errors import PipelineError

_WRONG_ROWS = (
    pg.UniqueViolation,
    pg.CheckViolation,
    pg.ForeignKeyViolation,
    pg.ExclusionViolation,
    pg.NotNullViolation,
)
_queries = Queries(__package__)


def pending(connection: Connection, steps: Sequence[Step]) -> list[Step]:
    """The steps whose result the catalogue does not show; reads only."""
    conditions = ",\n".join(is_true(step.done) for step in steps)
    done = run(connection, f"SELECT {conditions}").one()
    return [step for step, is_done in zip(steps, done, strict=True) if not is_done]


def missing_statements(connection: Connection, step: Step) -> list[str]:
    """The DDL that would bring `step` about, none if it is there; reads only."""
    if not pending(connection, [step]):
        return []
    return [row[0] for row in run(connection, step.statement)] if step.from_catalogue else [step.statement]


def holds(connection: Connection, condition: str) -> bool:
    """Whether an SQL condition over the catalogue is true."""
    return run(connection, f"SELECT {is_true(condition)}").scalar_one() is True


def apply(connection: Connection, steps: Sequence[Step], max_wait: float, listener: Listener) -> None:
    """Execute what is missing of `steps`, in order, and tell `listener` of every statement.

    `connection` is in AUTOCOMMIT. Safe to kill and to repeat. Raises PipelineError: exit code 5 when a
    statement would have to wait for others longer than `max_wait` seconds, naming them.
    """
    for step in pending(connection, steps):
        # One before may have brought it about as well.
        if statements := missing_statements(connection, step):
            listener.starts(step.name)
            _execute(connection, step, statements, max_wait, listener)


def _execute(
    connection: Connection, step: Step, statements: list[str], max_wait: float, listener: Listener
) -> None:
    execute = execute_patiently if step.patient else execute_in_turn
    try:
        for statement in statements:
            started = time.monotonic()
            wait = execute(connection, step.name, statement, max_wait, listener)
            seconds = time.monotonic() - started
            listener.executed(Executed(step.name, statement, seconds, wait.retries, wait.seconds))
    except DBAPIError as error:
        # Whoever else wanted the same thing, as every process wants the extensions, may have been first.
        if error.connection_invalidated or pending(connection, [step]):
            raise _explained(connection, step, error) from error
    if pending(connection, [step]):
        raise PipelineError(
            f"{step.name}: not as it should be after {statements[-1].splitlines()[0]!r}",
            hint="an object of that name has another definition or type; compare it and rename or change it",
        )


def _explained(connection: Connection, step: Step, error: DBAPIError) -> PipelineError:
    """What the server said, with the remedy for the usual cases."""
    cause = error.orig
    hint = "what was done before stays done; run the same command again when the cause is gone"
    if isinstance(cause, pg.InsufficientPrivilege):
        hint = remedy_for_rights(connection, step.statement)
    elif step.statement.startswith("CREATE EXTENSION"):
        hint = "install PostgreSQL's contrib modules on the server (package postgresql-contrib)"
    elif isinstance(cause, _WRONG_ROWS):
        hint = "correct or remove these rows, then run the same command again"
    elif isinstance(cause, pg.DependentObjectsStillExist):
        hint = "something that is not ours is built on it; drop that first"
    return PipelineError(f"{step.name}: {in_the_server_s_words(error)}", hint=hint)


def in_the_server_s_words(error: DBAPIError) -> str:
    """Message and detail, without the statement and its values."""
    cause = error.orig
    if isinstance(cause, psycopg.Error) and cause.diag.message_primary:
        return ": ".join(filter(None, (cause.diag.message_primary, cause.diag.message_detail)))
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]


def remedy_for_rights(connection: Connection, statement: str) -> str:
    """What to do when the right to a statement is missing: become the tables' owner, or ask a superuser."""
    rights = connection.execute(_queries["rights"]).one()
    # Extensions and schemas belong to the database, not to the owner of its tables; tables to the schema.
    is_new = statement.lstrip().startswith(("CREATE EXTENSION", "CREATE SCHEMA", "CREATE TABLE"))
    if is_new and not (rights.in_database and rights.in_schema):
        return for_a_superuser(connection)
    return "run it as the owner of the application's tables"


def for_a_superuser(connection: Connection) -> str:
    """The one command after which nothing more needs CREATE on the database or the application's schema."""
    names = connection.execute(_queries["quoted_names"]).one()
    statements = [f"CREATE EXTENSION IF NOT EXISTS {name}" for name in EXTENSIONS]
    statements.append(f"CREATE SCHEMA IF NOT EXISTS {PRIVATE_SCHEMA} AUTHORIZATION {names.role}")
    statements.append(f"GRANT USAGE, CREATE ON SCHEMA {names.schema} TO {names.role}")
    return f"as a superuser: psql -d {names.database} -c '{'; '.join(statements)}'"


def is_true(condition: str) -> str:
    """The condition, with null as false."""
    return f"coalesce(({condition}), false)"
