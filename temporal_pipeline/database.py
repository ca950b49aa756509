"""The application's database: one engine, short transactions, advisory locks, named queries."""

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any, Self, TypeVar

import psycopg
from sqlalchemy import (
    Connection,
    Engine,
    ExceptionContext,
    Row,
    TextClause,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError

from temporal_pipeline.blockers import HeldUp, blockers_of, locked_against_readers
from temporal_pipeline.embedded import Attachment, attach
from temporal_pipeline.errors import PipelineError, ServerGone
from temporal_pipeline.settings import Settings
from temporal_pipeline.transient import may_come_up
from temporal_pipeline.urls import normalise_url, without_secrets

T = TypeVar("T")

OLDEST_SERVER = 14
# The first half of every advisory lock that we take ("temp" in ASCII) tells ours from others'.
LOCK_SPACE = 0x74656D70
# What the server says when a transaction had to give way to another one.
GAVE_WAY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
GIVE_WAY_SECONDS = 15.0
# As many workers as `backfill` may have, the session of the lock, and one to ask who is in the way: what the
# pool has beyond its size it opens and closes each time.
CONNECTIONS = 10


class Database:
    """A PostgreSQL database of the application, with the few ways in which the pipeline touches it."""

    def __init__(self, url: str, attachment: Attachment | None = None) -> None:
        self.url = normalise_url(url)
        self._attachment = attachment

    @classmethod
    def from_environment(cls) -> Self:
        """The server of `DATABASE_URL`; without it the embedded one, started if nobody uses it yet."""
        settings = Settings()
        if settings.database_url is not None:
            return cls(settings.database_url.get_secret_value())
        attachment = attach(settings.home)
        return cls(attachment.url(), attachment)

    @property
    def safe_url(self) -> str:
        """The URL without its passwords, fit for messages."""
        return without_secrets(self.url)

    @cached_property
    def engine(self) -> Engine:
        engine = create_engine(
            self.url,
            # A server that was restarted between two runs of the daemon must not fail the second one.
            pool_pre_ping=True,
            pool_size=CONNECTIONS,
            connect_args={
                "application_name": "temporal_pipeline",
                "connect_timeout": 10,
                "keepalives_idle": 60,
            },
        )
        event.listen(engine, "connect", _prepare_session)
        event.listen(engine, "handle_error", _close_cursor_of_a_lost_session)
        return engine

    def dispose(self) -> None:
        """Close all connections and let go of the embedded server."""
        self.engine.dispose()
        if self._attachment is not None:
            self._attachment.close()

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on an error.

        Raises PipelineError when the server cannot be reached, is too old or refuses us; one that only reads
        also (exit code 5, naming the holder) when somebody locks a table against readers for long.
        """
        with self._connect() as connection:
            if read_only:
                connection.execution_options(postgresql_readonly=True)
            try:
                with connection.begin():
                    if read_only:
                        connection.execute(_READERS_LOCK_TIMEOUT)
                    yield connection
            except DBAPIError as error:
                if not (read_only and isinstance(error.orig, psycopg.errors.LockNotAvailable)):
                    raise
                raise locked_against_readers(connection) from error

    def write(
        self, work: Callable[[Connection], T], *, max_wait: float = GIVE_WAY_SECONDS, durable: bool = True
    ) -> T:
        """Run `work` in a short transaction beside a live application, and again if the two got in each
        other's way.

        A lock is waited for no longer than 100 ms: nobody waits longer for what our transaction holds
        meanwhile, and as PostgreSQL looks for deadlocks after 1 s, it is always we who give way, never the
        application. Not `durable`: the commit does not wait for the disk, so that the application waits less
        for what we hold; if the server crashes within a second, the transaction is undone as a whole, with
        all later ones, unless a durable one came after it.
        Raises HeldUp, which names the blockers, when it goes on giving way for `max_wait` seconds.
        """
        deadline = time.monotonic() + max_wait
        is_last = False
        while True:
            blockers: Sequence[Row[Any]] = ()
            try:
                with self.transaction() as connection:
                    connection.execute(_GIVE_WAY, {"durable": durable})
                    if not is_last:
                        return work(connection)
                    with blockers_of(connection) as blockers:
                        return work(connection)
            except DBAPIError as error:
                if not isinstance(error.orig, GAVE_WAY):
                    raise
                if is_last:
                    raise HeldUp(blockers, _reason(error)) from error
            time.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - jitter, not a secret
            is_last = time.monotonic() >= deadline

    @contextmanager
    def exclusive(self, concern: str, wait_seconds: float = 30) -> Iterator[Connection]:
        """Be the only process that does `concern`, across machines, until the block ends or the process dies.

        Yields the connection that holds the lock, in AUTOCOMMIT: who works on it cannot lose the one without
        the other. The server may end it while other connections go on: who works on those asks whether it is
        still there, as `holding.Hold` does.
        The lock is polled: a connection that waits inside PostgreSQL for an advisory lock holds a snapshot, and
        CREATE INDEX CONCURRENTLY waits for every snapshot.
        Raises PipelineError (exit code 5) that names the holder when the lock is not free in `wait_seconds`.
        """
        with self._connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            key = {"space": LOCK_SPACE, "concern": concern}
            deadline = time.monotonic() + wait_seconds
            while not connection.scalar(_TRY_LOCK, key):
                if time.monotonic() >= deadline:
                    holder = connection.execute(_LOCK_HOLDER, key).first()
                    who = (
                        f"process {holder.pid} since {holder.since:%Y-%m-%d %H:%M:%S} UTC" if holder else "?"
                    )
                    raise PipelineError(
                        f"another run already works on {concern} ({who})",
                        hint="wait until it has finished and run the same command again",
                        exit_code=5,
                    )
                time.sleep(0.1)
            try:
                yield connection
            finally:
                # A connection that is gone holds no lock, and must not hide what went wrong.
                with suppress(SQLAlchemyError):
                    connection.execute(_UNLOCK, key)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        try:
            connection = self.engine.connect()
        except OperationalError as error:
            kind = ServerGone if may_come_up(str(error.orig)) else PipelineError
            raise kind(
                f"cannot connect to {self.safe_url}: {_reason(error)}", hint=_connect_hint(error)
            ) from None
        except ProgrammingError as error:
            raise PipelineError(
                f"DATABASE_URL: {_reason(error)}",
                hint="check what follows the ? in DATABASE_URL",
                exit_code=2,
            ) from None
        with connection:
            if (version := connection.dialect.server_version_info or (0,)) < (OLDEST_SERVER,):
                raise PipelineError(
                    f"the server is PostgreSQL {version[0]}, too old",
                    hint=f"use PostgreSQL {OLDEST_SERVER} or newer",
                )
            yield connection


def _prepare_session(connection: psycopg.Connection[tuple[object, ...]], _: object) -> None:
    """Settings of a session. A pooler would refuse them among the options of the connection."""
    connection.autocommit = True
    # The connection that holds a lock is idle for as long as the work takes.
    # Compiling a statement takes longer than most of ours.
    connection.execute("SET timezone = 'UTC'; SET idle_session_timeout = 0; SET jit = off")
    connection.autocommit = False


def _close_cursor_of_a_lost_session(context: ExceptionContext) -> None:
    """SQLAlchemy closes the cursor of a failed statement, except that of a session which has ended."""
    execution = context.execution_context
    if context.is_disconnect and execution is not None and execution.cursor is not None:
        execution.cursor.close()


_GIVE_WAY = text("""
    SELECT set_config('lock_timeout', '100ms', true),
           set_config('synchronous_commit', CASE WHEN CAST(:durable AS boolean)
                      THEN current_setting('synchronous_commit') ELSE 'off' END, true)
""")
# Only a lock that forbids reading can make a reader wait; nobody should hold one for long.
_READERS_LOCK_TIMEOUT = text("SET LOCAL lock_timeout = '5s'")
_TRY_LOCK = text("SELECT pg_try_advisory_lock(CAST(:space AS int), hashtext(CAST(:concern AS text)))")
_UNLOCK = text("SELECT pg_advisory_unlock(CAST(:space AS int), hashtext(CAST(:concern AS text)))")
_LOCK_HOLDER = text("""
    SELECT a.pid, a.backend_start AS since
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid = CAST(:space AS int)
      AND l.objid = CAST((hashtext(CAST(:concern AS text))::bigint & 4294967295) AS oid)
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


def _reason(error: DBAPIError) -> str:
    """The server's own words in one line, which never contain the password."""
    lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
    return lines[0].removeprefix("connection failed: ") if lines else type(error.orig).__name__


def _connect_hint(error: DBAPIError) -> str:
    reason = str(error.orig)
    if "password authentication failed" in reason or "no password supplied" in reason:
        return "check user and password in DATABASE_URL"
    if "does not exist" in reason:
        return "check the name in DATABASE_URL, or create it"
    if isinstance(error.orig, psycopg.OperationalError) and "refused" in reason:
        return (
            "is the server running? Inside a container the host is the service's name "
            "(for example postgres), not localhost"
        )
    return "check host and port in DATABASE_URL, and that the server is up"


class Queries:
    """The named queries of a package's `queries.sql`: each `-- name: x`, a sentence of purpose, its SQL."""

    def __init__(self, package: str) -> None:
        self.package = package

    def __getitem__(self, name: str) -> TextClause:
        try:
            return _load_queries(self.package)[name]
        except KeyError:
            raise KeyError(f"no query {name!r} in {self.package}/queries.sql") from None

    def __iter__(self) -> Iterator[str]:
        return iter(_load_queries(self.package))


@lru_cache
def _load_queries(package: str) -> dict[str, TextClause]:
    source = resources.files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)$", source, flags=re.MULTILINE)
    return {name: text(sql.strip()) for name, sql in zip(parts[1::2], parts[2::2], strict=True)}
