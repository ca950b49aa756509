"""What is looked after in the application's database from time to time: leftovers, forgotten things, dead rows."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.events.reading import DETECTOR
from temporal_pipeline.defs.periods.cutting import finish_cuts
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.transient import is_transient

queries = Queries(__package__)

# The longest run of all is ended after four hours: whoever made these is not at work any more.
OLD_DRAFT = timedelta(days=1)
# An episode that nobody crawls for so long has expired, should it ever be crawled again.
FORGOTTEN = timedelta(days=7)
# By then nobody asks any more why a period was analysed again.
PUT_AWAY = timedelta(days=90)
ARCHIVED_AT_ONCE = 1000


@dataclass(frozen=True)
class Drafts:
    """How many old drafts were there, and those that are left, as `old_drafts` has them."""

    found: int
    left: Sequence[Row[Any]]


@dataclass(frozen=True)
class Vacuumed:
    """A table of ours: its dead rows as the server estimated them, its bytes with indexes, and the seconds that it
    took; or why it was not vacuumed.
    """

    table: str
    dead_rows: int
    bytes: int
    seconds: float | None
    reason: str | None


def finish_drafts(database: Database, run_id: str, max_wait: float) -> Drafts:
    """Finish the cuts that were begun more than a day ago: their drafts are closed, or removed when empty.

    Raises PipelineError (exit code 5) when another run cuts periods for longer than `max_wait` seconds.
    """
    with database.transaction(read_only=True) as connection:
        require_head(connection)
        found = old_drafts(connection)
    finish_cuts(database, run_id, older_than=OLD_DRAFT, max_wait=max_wait)
    with database.transaction(read_only=True) as connection:
        return Drafts(len(found), old_drafts(connection))


def old_drafts(connection: Connection) -> Sequence[Row[Any]]:
    """Drafts that are older than a day: (entity_type, entity, period, since, contents, reason, ours)."""
    return connection.execute(queries["old_drafts"], {"age": OLD_DRAFT}).all()


def forgotten_events(connection: Connection) -> Sequence[Row[Any]]:
    """Open events that no run looks at any more: (entity_type, entity, title, severity, detected, reason).

    They are named and not ended: what happened since nobody has seen, and a crawl that comes back decides it.
    """
    return connection.execute(queries["forgotten_events"], {"age": FORGOTTEN, "detector": DETECTOR}).all()


def superseded_periods(connection: Connection, older_than: timedelta = PUT_AWAY) -> Sequence[Row[Any]]:
    """Periods that were superseded longer ago: (id, entity_type, entity, period, superseded_at, reason)."""
    return connection.execute(queries["old_superseded_periods"], {"age": older_than}).all()


def archive_periods(database: Database, older_than: timedelta = PUT_AWAY) -> Sequence[Row[Any]]:
    """Give what was superseded longer ago the status `archived`; nothing else of it changes. Returns those."""
    with database.transaction(read_only=True) as connection:
        require_head(connection)
        old = superseded_periods(connection, older_than)
    for begin in range(0, len(old), ARCHIVED_AT_ONCE):
        some = [row.id for row in old[begin : begin + ARCHIVED_AT_ONCE]]
        database.write(partial(_archive, periods=some))
    return old


def _archive(connection: Connection, periods: Sequence[uuid.UUID]) -> None:
    connection.execute(queries["archive"], {"periods": periods})


def our_tables(connection: Connection) -> Sequence[Row[Any]]:
    """Our tables and the trend view: (name, statement, may_vacuum, dead_rows, bytes)."""
    return connection.execute(queries["our_tables"]).all()


def vacuum(database: Database) -> list[Vacuumed]:
    """VACUUM (ANALYZE) what is ours, at the pace of autovacuum; the application's tables are its own business.

    A table that may not be vacuumed, or is locked for long, is told with the reason, and stops no other.
    """
    with database.transaction(read_only=True) as connection:
        tables = our_tables(connection)
    done = []
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET lock_timeout = '10s'; SET vacuum_cost_delay = 2")
        try:
            for table in tables:
                started = time.monotonic()
                reason = "only its owner may" if not table.may_vacuum else _vacuum(connection, table)
                seconds = time.monotonic() - started if reason is None else None
                done.append(Vacuumed(table.name, table.dead_rows, table.bytes, seconds, reason))
        finally:
            # The session goes back to the pool.
            connection.invalidate()
    return done


def _vacuum(connection: Connection, table: Row[Any]) -> str | None:
    try:
        connection.exec_driver_sql(table.statement)
    except DBAPIError as error:
        if is_transient(error):
            raise
        return str(error.orig).splitlines()[0]
    return None
