"""A backup made the application's database: restored beside it, then swapped in by renaming.

Both names change in one transaction, so that a failure or a kill at any moment leaves the database either as
it was or restored, never missing. The one that was replaced stays until it is dropped on purpose.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import refuse_foreign_database
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.archive import Archive, prove_archive, read_archive
from temporal_pipeline.operations.backup.databases import (
    NEW,
    OLD,
    autocommit,
    beside,
    create_like,
    ddl,
    drop,
    give_properties,
    load,
    maintenance,
    name_beside,
    name_of,
    queries,
    refused,
    require_rights,
    row_counts,
    run,
)
from temporal_pipeline.operations.backup.dump import MAX_WAIT_SECONDS, Progress
from temporal_pipeline.operations.backup.programs import find_programs, newest_programs
from temporal_pipeline.operations.doctor.pooler import refuse_transaction_pooler

# An application connects anew at once: sessions are ended again until the rename has shut the door.
POLL_SECONDS = 0.05

_IN_USE = (psycopg.errors.ObjectInUse, psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


@dataclass(frozen=True)
class Restored:
    """The database now holds the backup, with so many rows in each table; `kept` is what it was before."""

    database: str
    kept: str
    rows: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class OldDatabase:
    """A database that a restore has replaced, with its size on the server."""

    name: str
    bytes: int


def restore(
    database: Database,
    file: Path,
    *,
    max_wait: float = MAX_WAIT_SECONDS,
    on_progress: Progress | None = None,
) -> Restored:
    """Put what is in `file` in the place of `database`, which goes on working until the two are swapped.

    The new one has the old one's owner, encoding, locale, settings, connection limit, comment and grants, and
    takes as much room on the server again. All connections to the old one are ended. Raises PipelineError:
    exit code 5 without the right to make databases, while another restore works, when a pooler shares our
    sessions, or when sessions that do not end keep the swap waiting for `max_wait` seconds; the database is
    then as it was.
    """
    started = time.monotonic()
    say = on_progress or (lambda _: None)
    refuse_transaction_pooler(database)
    with database.transaction(read_only=True) as connection:
        current = connection.execute(queries["current"]).one()
    say(f"reading {file.name} to its end")
    archive = readable_archive(file)
    wanted = max(current.server_version_num, archive.dumped_by * 10_000)
    programs = find_programs(wanted)
    prove_archive(programs, file)
    now = datetime.now(UTC)
    new, kept = name_beside(current.name, NEW, now), name_beside(current.name, OLD, now)
    with (
        maintenance(database) as server,
        server.exclusive(f"restore of {current.name}"),
        autocommit(server) as connection,
    ):
        require_rights(connection, current.name, owner=True)
        # What a killed restore left: we hold the lock, so nobody else works on it.
        for row in connection.execute(queries["databases_named"], {"prefix": current.name + NEW}).all():
            drop(connection, row.name)
        with _new_database(connection, database, current.name, new) as replacement:
            say(f"restoring into {new}")
            load(programs, replacement, archive)
            give_properties(connection, current.name, new)
            rows = _finish(replacement)
            replacement.engine.dispose()
            database.engine.dispose()
            say(f"swapping: {current.name} becomes {kept}")
            _swap(server, connection, ((current.name, kept), (new, current.name)), max_wait)
    return Restored(current.name, kept, rows, time.monotonic() - started)


def readable_archive(file: Path) -> Archive:
    """What is in the file. Raises PipelineError (exit code 2) when there is none, else when it is no dump."""
    if not file.is_file():
        raise PipelineError(f"there is no file {file}", hint="give the path of a backup", exit_code=2)
    return read_archive(newest_programs(), file)


def old_databases(database: Database) -> list[OldDatabase]:
    """What restores have replaced and nobody has dropped yet."""
    prefix = name_of(database) + OLD
    with maintenance(database) as server, server.transaction(read_only=True) as connection:
        found = connection.execute(queries["databases_named"], {"prefix": prefix})
        return [OldDatabase(row.name, row.bytes) for row in found]


def drop_old(database: Database, old: list[OldDatabase]) -> None:
    """Drop these, as `old_databases` found them. Raises PipelineError (exit code 5) through a shared session."""
    refuse_transaction_pooler(database)
    with maintenance(database) as server, autocommit(server) as connection:
        for one in old:
            drop(connection, one.name)


@contextmanager
def _new_database(server: Connection, database: Database, original: str, name: str) -> Iterator[Database]:
    """An empty database, dropped again when what is done with it fails."""
    create_like(server, original, name)
    replacement = beside(database, name)
    try:
        yield replacement
    except BaseException:
        replacement.dispose()
        with suppress(PipelineError):
            drop(server, name)
        raise
    replacement.dispose()


def _finish(replacement: Database) -> dict[str, int]:
    """Give the planner its statistics. How many rows each table has."""
    with autocommit(replacement) as connection:
        run(connection, "ANALYZE")
        refuse_foreign_database(connection)
        return row_counts(connection)


def _swap(
    server: Database, connection: Connection, renames: Sequence[tuple[str, str]], max_wait: float
) -> None:
    """Rename in one transaction, which keeps new sessions waiting while the old ones are ended."""
    name = renames[0][0]
    deadline = time.monotonic() + max_wait
    while True:
        with ThreadPoolExecutor(max_workers=1) as executor:
            renaming = executor.submit(_rename, server, renames)
            while not renaming.done():
                _end_sessions(connection, name)
                wait([renaming], timeout=POLL_SECONDS)
        try:
            return renaming.result()
        except DBAPIError as error:
            if not isinstance(error.orig, _IN_USE):
                raise refused(error, f"cannot rename the database {name!r}") from None
            if time.monotonic() >= deadline:
                raise _in_use(connection, name, error.orig, max_wait) from None


def _rename(server: Database, renames: Sequence[tuple[str, str]]) -> None:
    # The first one locks the database: whoever connects waits for the end of this transaction.
    with server.transaction() as connection:
        connection.execute(queries["soon"])
        for name, new_name in renames:
            run(connection, ddl("ALTER DATABASE {} RENAME TO {}", name, new_name))


def _end_sessions(connection: Connection, database: str) -> None:
    for row in connection.execute(queries["sessions"], {"database": database}).all():
        # Those of a superuser only a superuser may end; who stays is named when the time is up.
        with suppress(DBAPIError):
            connection.execute(queries["end_session"], {"pid": row.pid})


def _in_use(connection: Connection, name: str, cause: psycopg.Error, max_wait: float) -> PipelineError:
    sessions = connection.execute(queries["sessions"], {"database": name}).all()
    who = "; ".join(
        f"pid {row.pid} ({row.usename}, {row.application_name or 'no name'}, {row.state})" for row in sessions
    )
    reason = who or cause.diag.message_detail or cause.diag.message_primary
    return PipelineError(
        f"the database {name!r} is still in use after {max_wait:g} s: {reason}",
        hint="end these sessions, or run it as a superuser; the database is as it was",
        exit_code=5,
    )
