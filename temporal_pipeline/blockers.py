"""Who holds what we wait for: named when we give up."""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Row, text

from temporal_pipeline.errors import PipelineError

# A wait of ours lasts 100 ms.
SECONDS_BETWEEN_LOOKS = 0.02

# What others execute may contain one: not repeated.
_PASSWORD = re.compile(r"(password )'[^']*'?", re.IGNORECASE)
QUERY_SHOWN = 120

_LOCKED_AGAINST_READERS = text("""
    SELECT CAST(l.relation AS regclass) AS table_name, l.pid, a.query,
           coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float AS age
    FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.granted
      AND l.pid IS DISTINCT FROM pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY age DESC LIMIT 3
""")
_BLOCKERS = text("""
    SELECT CASE WHEN l.locktype = 'relation' THEN CAST(CAST(l.relation AS regclass) AS text) END AS table_name,
           blocker.pid, a.query,
           coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float AS age
    FROM pg_locks l
    CROSS JOIN LATERAL unnest(pg_blocking_pids(l.pid)) AS blocker (pid)
    LEFT JOIN pg_stat_activity a ON a.pid = blocker.pid
    WHERE l.pid = CAST(:pid AS int) AND NOT l.granted
    ORDER BY age DESC LIMIT 3
""")


class HeldUp(PipelineError):
    """Others held what we needed until we gave up (exit code 5).

    `by_rows`: they held single rows, so that whoever needs others may go on.
    """

    def __init__(self, blockers: Sequence[Row[Any]], reason: str) -> None:
        self.by_rows = bool(blockers) and all(row.table_name is None for row in blockers)
        tables = ", ".join(sorted({row.table_name for row in blockers if row.table_name is not None}))
        super().__init__(
            f"other transactions held {f'the table {tables}' if tables else 'the rows'} for too long: "
            + ("; ".join(_told(row) for row in blockers) or reason),
            hint="end that transaction or wait for it, then run the same command again",
            exit_code=5,
        )


@contextmanager
def blockers_of(connection: Connection) -> Iterator[list[Row[Any]]]:
    """Those for whom `connection` waits while the block lasts: empty until it waits for somebody.

    Asked on another connection meanwhile, since afterwards nobody knows any more.
    """
    pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    engine = connection.engine
    found: list[Row[Any]] = []
    is_over = threading.Event()

    def look() -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
            while not is_over.wait(SECONDS_BETWEEN_LOOKS):
                found[:] = other.execute(_BLOCKERS, {"pid": pid}).all() or found

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        is_over.set()
        watcher.join()


def locked_against_readers(connection: Connection) -> PipelineError:
    """What to tell when a reader has waited for too long: who holds a lock that forbids reading."""
    with connection.engine.connect() as other:
        holders = other.execute(_LOCKED_AGAINST_READERS).all()
    who = "; ".join(f"{row.table_name} by {_told(row)}" for row in holders)
    return PipelineError(
        f"somebody locks a table against readers: {who or 'it is gone by now'}",
        hint="end that transaction or wait for it, then run the same command again",
        exit_code=5,
    )


def _told(row: Row[Any]) -> str:
    query = _PASSWORD.sub(r"\1…", " ".join((row.query or "?").split()))
    return f"pid {row.pid}, {row.age:.0f} s: {query[:QUERY_SHOWN]}"
