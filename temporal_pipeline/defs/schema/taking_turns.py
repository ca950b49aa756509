"""Statements that take their turn among the application's: nobody waits behind them for long.

A request for a strong lock queues behind whoever holds a weaker one, and everybody else queues behind the
request. So it is made only when nobody holds the table for long, given up after a moment, and made again.
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from psycopg import errors as pg
from sqlalchemy import Connection, Row
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.schema.listening import Listener
from temporal_pipeline.defs.schema.locks import SHARE_UPDATE_EXCLUSIVE, locks_of
from temporal_pipeline.errors import PipelineError

# So long others wait behind us at the most.
LOCK_TIMEOUT = "100ms"
# A transaction that is older than this is not about to end in the next moment.
YOUNG_SECONDS = 0.3
# How often a wait looks again. A glance costs the server less than a millisecond.
GLANCE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
# A wait that is shorter is nothing to speak of.
RETRIES_IN_SILENCE = 2
SECONDS_IN_SILENCE = 0.5
SECONDS_BETWEEN_REPORTS = 5.0
# Autovacuum yields to whoever waits for as long as PostgreSQL waits before it looks for deadlocks.
MORE_THAN_DEADLOCK_TIMEOUT = "300 ms"

_GAVE_WAY = (pg.LockNotAvailable, pg.DeadlockDetected)
_queries = Queries(__package__)


@dataclass
class Wait:
    """How often a statement gave way to others, and how many seconds it waited for them."""

    retries: int = 0
    seconds: float = 0.0


def run(connection: Connection, statement: str) -> CursorResult[*tuple[Any, ...]]:
    """Execute literal SQL: without parameters the driver leaves % alone and sends several statements at once."""
    return connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def execute_in_turn(
    connection: Connection, step: str, statement: str, max_wait: float, listener: Listener
) -> Wait:
    """Execute a statement that is quick once it has its locks.

    `connection` is in AUTOCOMMIT. Raises PipelineError (exit code 5) that names who stands in the way when the
    locks are not to be had within `max_wait` seconds.
    """
    return _Turn(connection, step, statement, max_wait, listener).take()


class _Turn:
    """One statement, and its patience."""

    def __init__(
        self, connection: Connection, step: str, statement: str, max_wait: float, listener: Listener
    ) -> None:
        self.connection = connection
        self.step = step
        self.statement = statement
        self.locks = [lock for lock in locks_of(statement) if lock.is_met_by_writers]
        self.max_wait = max_wait
        self.deadline = time.monotonic() + max_wait
        self.listener = listener
        self.next_report = 0.0
        self.wait = Wait()

    def take(self) -> Wait:
        pause = 0.1
        while True:
            yielding = self._await_a_free_moment()
            try:
                _in_short_transaction(self.connection, self.statement, yielding)
            except DBAPIError as error:
                if not isinstance(error.orig, _GAVE_WAY):
                    raise
            else:
                return self.wait
            self.wait.retries += 1
            # Jitter, so that two who wait for each other do not meet again at the same instant.
            self._pause(pause * random.uniform(0.5, 1.0), self._holders())  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _await_a_free_moment(self) -> list[str]:
        """Wait while somebody holds one of the tables who will not let go at once.

        Returns the tables that autovacuum holds, which goes away when it is asked.
        """
        while True:
            holders = self._holders()
            lasting = [row for row in holders if row.age > YOUNG_SECONDS and not row.yields]
            if not lasting:
                return sorted({row.table_name for row in holders if row.yields})
            self._pause(GLANCE_SECONDS, lasting)

    def _holders(self) -> Sequence[Row[Any]]:
        """Who else holds locks with which ours would collide, the oldest transactions first."""
        wanted = [(lock.table, mode) for lock in self.locks for mode in lock.collides_with]
        tables, modes = zip(*wanted, strict=True) if wanted else ((), ())
        return self.connection.execute(
            _queries["lock_holders"], {"tables": list(tables), "modes": list(modes)}
        ).all()

    def _pause(self, seconds: float, holders: Sequence[Row[Any]]) -> None:
        now = time.monotonic()
        if now >= self.deadline:
            raise _given_up(self.step, self.max_wait, holders)
        is_long = self.wait.retries > RETRIES_IN_SILENCE or self.wait.seconds > SECONDS_IN_SILENCE
        if is_long and now >= self.next_report:
            self.next_report = now + SECONDS_BETWEEN_REPORTS
            self.listener.waits(self.step, f"waiting for a lock; {_described(holders)}")
        time.sleep(seconds)
        self.wait.seconds += seconds


def _in_short_transaction(connection: Connection, statement: str, yielding: Sequence[str]) -> None:
    run(connection, "BEGIN")
    try:
        if yielding:
            # Writers pass this lock; autovacuum yields to it.
            connection.execute(_queries["wait_for_autovacuum"], {"more": MORE_THAN_DEADLOCK_TIMEOUT})
            for table in yielding:
                run(connection, f"LOCK TABLE {table} IN {SHARE_UPDATE_EXCLUSIVE} MODE")
        run(connection, f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        run(connection, statement)
        run(connection, "COMMIT")
    except BaseException:
        with suppress(SQLAlchemyError):
            run(connection, "ROLLBACK")
        raise


def execute_patiently(
    connection: Connection, step: str, statement: str, max_wait: float, listener: Listener
) -> Wait:
    """Execute a statement that takes long and that no writer meets (CONCURRENTLY, VALIDATE).

    It waits for other transactions inside the server; the wait is watched from a second connection, and the
    statement cancelled when it stands still for `max_wait` seconds: PipelineError (exit code 5), naming whom
    it waited for. What a cancelled one leaves, the next run clears away.
    """
    pid = run(connection, "SELECT pg_backend_pid()").scalar_one()
    with _watched(connection, pid, step, max_wait, listener) as watch:
        limit = connection.scalar(_queries["lock_timeout"])
        run(connection, "SET lock_timeout = 0")
        try:
            run(connection, statement)
        except DBAPIError:
            if watch.gave_up_on is None:
                raise
            raise _given_up(step, max_wait, watch.gave_up_on) from None
        finally:
            with suppress(SQLAlchemyError):
                connection.execute(_queries["set_lock_timeout"], {"limit": limit})
    return watch.wait


@dataclass
class _Watch:
    wait: Wait
    gave_up_on: Sequence[Row[Any]] | None = None


@contextmanager
def _watched(
    connection: Connection, pid: int, step: str, max_wait: float, listener: Listener
) -> Iterator[_Watch]:
    """Look after a backend from another connection while the block runs."""
    watch = _Watch(Wait())
    over = threading.Event()

    def look() -> None:
        # A lost connection shows in the statement itself.
        with suppress(SQLAlchemyError), connection.engine.connect() as other:
            other.execution_options(isolation_level="AUTOCOMMIT")
            blocked_since: float | None = None
            last_report = 0.0
            while not over.wait(GLANCE_SECONDS if blocked_since is None else 10 * GLANCE_SECONDS):
                row = other.execute(_queries["backend"], {"pid": pid}).one()
                now = time.monotonic()
                if row.phase is not None:
                    listener.progresses(step, row.phase, row.share)
                if not row.blocked_by:
                    blocked_since = None
                    continue
                blocked_since = blocked_since or now
                watch.wait.seconds += 10 * GLANCE_SECONDS
                if now - blocked_since < min(SECONDS_IN_SILENCE, max_wait):
                    continue
                sessions = other.execute(_queries["sessions"], {"pids": row.blocked_by}).all()
                if now - blocked_since >= max_wait:
                    watch.gave_up_on = sessions
                    other.execute(_queries["cancel"], {"pid": pid})
                    return
                if now - last_report >= SECONDS_BETWEEN_REPORTS:
                    last_report = now
                    listener.waits(step, f"waiting for transactions to end; {_described(sessions)}")

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def _given_up(step: str, max_wait: float, holders: Sequence[Row[Any]]) -> PipelineError:
    return PipelineError(
        f"{step}: the lock was not free for {max_wait:g} s; {_described(holders)}",
        hint="end these transactions or wait for them, then run the same command again; "
        "what is done stays done",
        exit_code=5,
    )


def _described(holders: Sequence[Row[Any]]) -> str:
    who = "; ".join(
        f"pid {row.pid}, {row.age:.0f} s, {row.state}: {row.query}"
        + (" (this vacuum does not yield; let it finish)" if row.is_unyielding_vacuum else "")
        for row in holders[:5]
    )
    return f"held by {who}" if who else "its holder is gone by now"
