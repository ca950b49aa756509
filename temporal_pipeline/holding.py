"""Being the only run that does something, and noticing when one is not any more."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from temporal_pipeline.database import Database
from temporal_pipeline.errors import ServerGone
from temporal_pipeline.operations.doctor.pooler import refuse_transaction_pooler

T = TypeVar("T")


@dataclass
class Hold:
    """The lock on a concern, and the way to write while it lasts. May be shared by threads.

    `connection` is the session that has the lock. The server may end it (a failover, an administrator) while
    other connections of ours go on: then another run may be at work already. `max_wait`: for how many seconds
    a transaction gives way before it gives up.
    """

    database: Database
    concern: str
    connection: Connection
    max_wait: float
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _is_lost: bool = False

    def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run `work` as `Database.write` does. Raises ServerGone (exit code 5) when the lock is lost."""

        def attempt(connection: Connection) -> T:
            self.confirm()
            return work(connection)

        return self.database.write(attempt, max_wait=self.max_wait, durable=durable)

    def confirm(self) -> None:
        """Raise ServerGone (exit code 5) unless the session that has the lock is still there."""
        with self._asking:
            # Asked again, SQLAlchemy would quietly open another session, without the lock.
            if not self._is_lost:
                try:
                    self.connection.exec_driver_sql("SELECT 1")
                except SQLAlchemyError:
                    self._is_lost = True
            if self._is_lost:
                raise ServerGone(
                    f"the server ended the session that held the lock on {self.concern}",
                    hint="what was done is kept; run the same command again",
                    exit_code=5,
                )


@contextmanager
def hold(database: Database, concern: str, max_wait: float) -> Iterator[Hold]:
    """Be the only process that does `concern` until the block ends.

    Raises PipelineError (exit code 5) when another one does it for longer than `max_wait` seconds, or where a
    pooler shares sessions, so that a lock would hold nobody off.
    """
    refuse_transaction_pooler(database)
    with database.exclusive(concern, max_wait) as connection:
        yield Hold(database, concern, connection, max_wait)
