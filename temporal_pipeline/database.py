"""The application's database: one engine, short transactions, advisory locks, named queries."""

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, lru_cache
from importlib import resources
from typing import Self, TypeVar

import psycopg
from sqlalchemy import URL, Connection, Engine, TextClause, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from temporal_pipeline.embedded import Attachment, attach
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import Settings

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
GIVE_WAY_TIMES = 20


def normalise_url(url: str, variable: str = "DATABASE_URL") -> str:
    """Any usual spelling of a PostgreSQL URL as `postgresql+psycopg://…`, the driver that we use.

    Raises PipelineError (exit code 2) for anything that is not a PostgreSQL URL, without repeating it; it
    names the environment variable that the URL came from.
    """
    parsed = _parsed(url, variable).set(drivername="postgresql+psycopg")
    if "ssl" in parsed.query:  # asyncpg's name of what libpq calls sslmode, with the same values
        query = {("sslmode" if key == "ssl" else key): value for key, value in parsed.query.items()}
        parsed = parsed.set(query=query)
    return parsed.render_as_string(hide_password=False)


def _parsed(url: str, variable: str) -> URL:
    hint = "give postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    try:
        parsed = make_url(re.sub(r"^postgres://", "postgresql://", url))
    except (ArgumentError, ValueError):
        raise PipelineError(f"{variable} is not a database URL", hint=hint, exit_code=2) from None
    if parsed.get_backend_name() != "postgresql":
        raise PipelineError(
            f"{variable} names {parsed.get_backend_name()!r}, not PostgreSQL", hint=hint, exit_code=2
        )
    return parsed


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
        """The URL without its password, fit for messages."""
        return make_url(self.url).render_as_string(hide_password=True)

    @cached_property
    def engine(self) -> Engine:
        # A server that was restarted between two runs of the daemon must not fail the second one.
        return create_engine(
            self.url,
            pool_pre_ping=True,
            connect_args={
                "application_name": "temporal_pipeline",
                "connect_timeout": 10,
                # The connection that holds a lock is idle for as long as the work takes.
                "options": "-c timezone=UTC -c idle_session_timeout=0",
                "keepalives_idle": 60,
            },
        )

    def dispose(self) -> None:
        """Close all connections and let go of the embedded server."""
        self.engine.dispose()
        if self._attachment is not None:
            self._attachment.close()

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on an error.

        Raises PipelineError when the server cannot be reached, is too old or refuses us.
        """
        with self._connect() as connection:
            if read_only:
                connection.execution_options(postgresql_readonly=True)
            with connection.begin():
                yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a short transaction beside a live application, and again if the two got in each
        other's way.

        A lock is waited for less long than PostgreSQL takes to look for deadlocks (1 s), so that it is always
        our transaction that gives way, never the application's. Raises PipelineError (exit code 5) when
        it gave way 20 times.
        """
        for attempt in range(1, GIVE_WAY_TIMES + 1):
            try:
                with self.transaction() as connection:
                    connection.execute(_LOCK_TIMEOUT)
                    return work(connection)
            except DBAPIError as error:
                if not isinstance(error.orig, GAVE_WAY):
                    raise
                if attempt == GIVE_WAY_TIMES:
                    raise PipelineError(
                        f"other transactions held the rows for too long: {_reason(error)}",
                        hint="find them in pg_stat_activity, let them finish, and run the same command again",
                        exit_code=5,
                    ) from error
                time.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

    @contextmanager
    def exclusive(self, concern: str, wait_seconds: float = 30) -> Iterator[None]:
        """Be the only process that does `concern`, across machines, until the block ends or the process dies.

        The lock is polled on a connection of its own: a connection that waits inside PostgreSQL for an
        advisory lock holds a snapshot, and CREATE INDEX CONCURRENTLY waits for every snapshot.
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
                yield
            finally:
                # A connection that is gone holds no lock, and must not hide what went wrong.
                with suppress(DBAPIError):
                    connection.execute(_UNLOCK, key)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        try:
            connection = self.engine.connect()
        except OperationalError as error:
            raise PipelineError(
                f"cannot connect to {self.safe_url}: {_reason(error)}", hint=_connect_hint(error)
            ) from None
        with connection:
            if (version := connection.dialect.server_version_info or (0,)) < (OLDEST_SERVER,):
                raise PipelineError(
                    f"the server is PostgreSQL {version[0]}, too old",
                    hint=f"use PostgreSQL {OLDEST_SERVER} or newer",
                )
            yield connection


_LOCK_TIMEOUT = text("SET LOCAL lock_timeout = '500ms'")
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
