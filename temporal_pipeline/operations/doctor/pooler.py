"""Whether a connection is a session of the server's, or shares one with others through a pooler.

Advisory locks, SET and CREATE INDEX CONCURRENTLY belong to a session. A pooler in transaction or statement
mode (PgBouncer and its kin) gives every transaction whichever session is free.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import psycopg

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError, ServerGone

CONNECT_SECONDS = 10
# A pool of several idle sessions hands out the last or the longest idle one: the first shows when two
# connections take turns, the second when one connection asks twice.
ORDER_OF_QUESTIONS = (0, 0, 1, 0, 1, 1, 0, 0, 1, 1)
REMEDY = "connect to the server directly or to a session-mode pool"

Session = psycopg.Connection[tuple[Any, ...]]


class Pooling(Enum):
    """What is between us and the server, as far as it can be told from here."""

    NONE = "no pooler"
    SESSION = "a pooler in session mode"
    TRANSACTION = "a pooler in transaction or statement mode"


@dataclass(frozen=True)
class Entrance:
    """What a server tells before the first transaction: `version` as 180003, the encoding of the database."""

    pooling: Pooling
    version: int
    encoding: str


def look_at_entrance(database: Database) -> Entrance:
    """Open two connections and see whose sessions they get; about 20 ms, no transaction outlives a statement.

    Raises PipelineError when the server cannot be reached, or ends the connections meanwhile.
    """
    with _session(database) as first, _session(database) as second:
        sessions = (first, second)
        pids: tuple[list[int], list[int]] = ([], [])
        for which in ORDER_OF_QUESTIONS:
            pids[which].append(_backend(sessions[which]))
        return Entrance(
            _pooling(pids, (first.info.backend_pid, second.info.backend_pid)),
            first.info.server_version,
            first.info.parameter_status("server_encoding") or "",
        )


def refuse_transaction_pooler(database: Database) -> None:
    """Raise PipelineError (exit code 5) where advisory locks and CONCURRENTLY would not work."""
    if look_at_entrance(database).pooling is Pooling.TRANSACTION:
        raise PipelineError(
            f"{Pooling.TRANSACTION.value} stands between us and {database.safe_url}", hint=REMEDY, exit_code=5
        )


def _pooling(pids: tuple[list[int], list[int]], announced: tuple[int, int]) -> Pooling:
    """`announced` are the process numbers of the protocol's greeting: a pooler makes up its own."""
    first, second = set(pids[0]), set(pids[1])
    if len(first) > 1 or len(second) > 1 or first & second:
        return Pooling.TRANSACTION
    return Pooling.NONE if (first, second) == ({announced[0]}, {announced[1]}) else Pooling.SESSION


def _backend(session: Session) -> int:
    row = session.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _session(database: Database) -> Iterator[Session]:
    """A connection without prepared statements, which PgBouncer may lose."""
    try:
        session = psycopg.connect(
            libpq_url(database),
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=CONNECT_SECONDS,
            application_name="temporal_pipeline",
        )
    except psycopg.OperationalError as error:
        # The usual way in says why, and what to do.
        with database.transaction(read_only=True):
            pass
        reason = (str(error).splitlines() or [""])[0]
        raise PipelineError(
            f"cannot connect to {database.safe_url}: {reason}", hint="the pipeline needs several connections"
        ) from None
    try:
        with session:
            yield session
    except psycopg.OperationalError as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ServerGone(
            f"{database.safe_url} ended our connection: {reason}", hint="run the same command again"
        ) from None
