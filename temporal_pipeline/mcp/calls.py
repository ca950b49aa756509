"""Questions in threads, a few at a time, each of which can be stopped in the database."""

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import psycopg
from sqlalchemy import event

from temporal_pipeline.database import Database

T = TypeVar("T")

# A model asks a few things side by side; what is beyond waits, and costs the application's server nothing.
AT_ONCE = 4
# A cancellation that comes between two statements stops neither, and has to come again.
AGAIN_SECONDS = 0.1
# The server is there, or it is not.
CANCEL_SECONDS = 2.0


class _Call:
    """A question that is being asked, and the connection that it has just now."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def holds(self, connection: psycopg.Connection[Any] | None) -> None:
        """Remember the connection. It is given back only when no cancellation is on its way to it: that would
        hit the next call.
        """
        with self._guard:
            self._connection = connection

    def stop(self) -> None:
        """Cancel what the connection executes, if there is anything."""
        with self._guard:
            if self._connection is not None:
                with suppress(psycopg.Error):
                    self._connection.cancel_safe(timeout=CANCEL_SECONDS)


_current: ContextVar[_Call | None] = ContextVar("_current", default=None)


class Calls:
    """Runs blocking questions to a database beside the event loop."""

    def __init__(self, database: Database) -> None:
        self._places = anyio.CapacityLimiter(AT_ONCE)
        event.listen(database.engine, "checkout", _checked_out)
        event.listen(database.engine, "checkin", _checked_in)

    async def run(self, question: Callable[[], T]) -> T:
        """What the question returns. When the caller is cancelled, its statement is stopped in the database, and
        this comes back when it has stopped.
        """
        call = _Call()
        outcome: list[T] = []
        failures: list[Exception] = []
        is_over = anyio.Event()

        def work() -> None:
            _current.set(call)
            try:
                outcome.append(question())
            except Exception as error:
                # Out of the group of tasks it would come as a group of errors.
                failures.append(error)

        async def stop_if_cancelled() -> None:
            try:
                await is_over.wait()
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    while not is_over.is_set():
                        await anyio.to_thread.run_sync(call.stop)
                        with anyio.move_on_after(AGAIN_SECONDS):
                            await is_over.wait()
                raise

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop_if_cancelled)
            try:
                await anyio.to_thread.run_sync(work, limiter=self._places)
            finally:
                is_over.set()
        if failures:
            raise failures[0]
        return outcome[0]


def _checked_out(connection: psycopg.Connection[Any], *_: object) -> None:
    if (call := _current.get()) is not None:
        call.holds(connection)


def _checked_in(*_: object) -> None:
    if (call := _current.get()) is not None:
        call.holds(None)
