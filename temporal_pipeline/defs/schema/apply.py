"""Steps against a live database.

Every statement is its own short transaction that would rather give up its place in the queue than let the
application wait behind it: a lock that is not free within 100 ms is asked for again later.
"""

import itertools
import logging
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import errors as pg
from sqlalchemy import Connection
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.schema.definition.model import EXTENSIONS
from temporal_pipeline.defs.schema.definition.private import PRIVATE_SCHEMA
from temporal_pipeline.defs.schema.definition.steps import Step
from temporal_pipeline.errors import PipelineError

log = logging.getLogger(__name__)

LOCK_TIMEOUT = "100ms"
# Somebody else's long transaction is the usual reason; beyond a minute a person should look.
MAX_WAIT_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 2.0
ATTEMPTS_IN_SILENCE = 3

_BUSY = (pg.LockNotAvailable, pg.DeadlockDetected)
_CANNOT_REPLACE = (pg.InvalidTableDefinition, pg.InvalidFunctionDefinition, pg.WrongObjectType)
_WRONG_ROWS = (
    pg.UniqueViolation,
    pg.CheckViolation,
    pg.ForeignKeyViolation,
    pg.ExclusionViolation,
    pg.NotNullViolation,
)
# Extensions and schemas belong to the database, not to the owner of its tables.
_NEEDS_DATABASE = ("CREATE EXTENSION", "CREATE SCHEMA")
_queries = Queries(__package__)


def pending(connection: Connection, steps: Sequence[Step]) -> list[Step]:
    """The steps whose result the catalogue does not show; reads only."""
    conditions = ",\n".join(is_true(step.done) for step in steps)
    done = _run(connection, f"SELECT {conditions}").one()
    return [step for step, is_done in zip(steps, done, strict=True) if not is_done]


def missing_statements(connection: Connection, step: Step) -> list[str]:
    """The DDL that would bring `step` about, none if it is there; reads only."""
    if not pending(connection, [step]):
        return []
    return [row[0] for row in _run(connection, step.statement)] if step.from_catalogue else [step.statement]


def holds(connection: Connection, condition: str) -> bool:
    """Whether an SQL condition over the catalogue is true."""
    return _run(connection, f"SELECT {is_true(condition)}").scalar_one() is True


def apply(connection: Connection, steps: Sequence[Step], max_wait: float = MAX_WAIT_SECONDS) -> list[Step]:
    """Execute what is missing of `steps`, in order; returns those that had to be executed.

    `connection` is in AUTOCOMMIT. Safe to kill and to repeat. Raises PipelineError: exit code 5 when a lock
    is not to be had within `max_wait` seconds, naming who holds it.
    """
    executed = []
    for step in pending(connection, steps):
        # One before may have brought it about as well.
        if statements := missing_statements(connection, step):
            log.info("%s", step.name)
            _execute(connection, step, statements, max_wait)
            executed.append(step)
    return executed


def _execute(connection: Connection, step: Step, statements: list[str], max_wait: float) -> None:
    try:
        for statement in statements:
            if step.patient:
                _run(connection, statement)
            else:
                _execute_briefly(connection, step, statement, max_wait)
    except DBAPIError as error:
        # Whoever else wanted the same thing, as every process wants the extensions, may have been first.
        if error.connection_invalidated or pending(connection, [step]):
            raise _explained(connection, step, error) from error
    if pending(connection, [step]):
        raise PipelineError(
            f"{step.name}: not as it should be after {statements[-1].splitlines()[0]!r}",
            hint="an object of that name has another definition or type; compare it and rename or change it",
        )


def _execute_briefly(connection: Connection, step: Step, statement: str, max_wait: float) -> None:
    deadline = time.monotonic() + max_wait
    pause = 0.1
    for attempt in itertools.count(1):
        try:
            _replace(connection, step, statement)
        except DBAPIError as error:
            if not isinstance(error.orig, _BUSY):
                raise
            if time.monotonic() >= deadline:
                raise PipelineError(
                    f"{step.name}: the lock was not free for {max_wait:g} s; {_blockers(connection)}",
                    hint="end these transactions or wait for them, then run the same command again; "
                    "what is done stays done",
                    exit_code=5,
                ) from None
            if attempt >= ATTEMPTS_IN_SILENCE:
                log.warning("%s: waiting for a lock; %s", step.name, _blockers(connection))
            # Jitter, so that two who wait for each other do not meet again at the same instant.
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            return


def _replace(connection: Connection, step: Step, statement: str) -> None:
    try:
        _in_short_transaction(connection, statement)
    except DBAPIError as error:
        if not (step.drop_first and isinstance(error.orig, _CANNOT_REPLACE)):
            raise
        _in_short_transaction(connection, f"{step.drop_first};\n{statement}")


def _in_short_transaction(connection: Connection, statement: str) -> None:
    _run(connection, "BEGIN")
    try:
        _run(connection, f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        _run(connection, statement)
        _run(connection, "COMMIT")
    except BaseException:
        with suppress(DBAPIError):
            _run(connection, "ROLLBACK")
        raise


def _run(connection: Connection, statement: str) -> CursorResult[*tuple[Any, ...]]:
    # Without parameters the driver leaves % alone and sends several statements at once.
    return connection.execution_options(no_parameters=True).exec_driver_sql(statement)


def _blockers(connection: Connection) -> str:
    rows = connection.execute(_queries["lock_holders"]).all()
    who = "; ".join(f"pid {row.pid}, {row.age:.0f} s, {row.state}: {row.query}" for row in rows)
    return f"held by {who}" if rows else "its holder is gone by now"


def _explained(connection: Connection, step: Step, error: DBAPIError) -> PipelineError:
    """What the server said, with the remedy for the usual cases."""
    cause = error.orig
    reason = str(cause).strip()
    if isinstance(cause, psycopg.Error) and cause.diag.message_primary:
        reason = ": ".join(filter(None, (cause.diag.message_primary, cause.diag.message_detail)))
    hint = "what was done before stays done; run the same command again when the cause is gone"
    if isinstance(cause, pg.InsufficientPrivilege) and step.statement.startswith(_NEEDS_DATABASE):
        hint = _for_a_superuser(connection)
    elif step.statement.startswith("CREATE EXTENSION"):
        hint = "install PostgreSQL's contrib modules on the server (package postgresql-contrib)"
    elif isinstance(cause, pg.InsufficientPrivilege):
        hint = "run it as the owner of the application's tables"
    elif isinstance(cause, _WRONG_ROWS):
        hint = "correct or remove these rows, then run the same command again"
    elif isinstance(cause, pg.DependentObjectsStillExist):
        hint = "something that is not ours is built on it; drop that first"
    return PipelineError(f"{step.name}: {reason}", hint=hint)


def _for_a_superuser(connection: Connection) -> str:
    """The one command after which nothing more needs CREATE on the database."""
    database, role = _run(
        connection, "SELECT quote_ident(current_database()), quote_ident(current_user)"
    ).one()
    statements = [f"CREATE EXTENSION IF NOT EXISTS {name}" for name in EXTENSIONS]
    statements.append(f"CREATE SCHEMA IF NOT EXISTS {PRIVATE_SCHEMA} AUTHORIZATION {role}")
    return f"as a superuser: psql -d {database} -c '{'; '.join(statements)}'"


def is_true(condition: str) -> str:
    """The condition, with null as false."""
    return f"coalesce(({condition}), false)"
