"""A backup of the application's database: written under a partial name, renamed when it is proven."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import refuse_foreign_database
from temporal_pipeline.embedded.locks import still_at, try_lock
from temporal_pipeline.embedded.place import make_folder
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.archive import Archive, prove_archive
from temporal_pipeline.operations.backup.databases import (
    SCRATCH,
    STAMP,
    autocommit,
    beside,
    create_like,
    drop,
    load,
    maintenance,
    name_beside,
    name_of,
    queries,
    require_rights,
    row_counts,
)
from temporal_pipeline.operations.backup.programs import (
    Programs,
    failure,
    find_programs,
    running,
)
from temporal_pipeline.operations.doctor.pooler import refuse_transaction_pooler

PARTIAL = ".partial"
WITHOUT_BACKUP = "or go on without a backup: --no-backup"
# A dump has no indexes and is compressed: 0.15 of what the benchmarks' database takes on the server's disk, and
# more where texts are longer.
LEAST_SHARE = 0.1
MAX_WAIT_SECONDS = 60.0
# Whose the tables are and who may read them changes no row, and may be beyond the rights of who only counts them.
WITHOUT_OTHERS = ("--no-owner", "--no-privileges")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Backup:
    """A proven backup; `program` wrote it; `verified`: it was restored and has every row of every table."""

    path: Path
    bytes: int
    seconds: float
    program: str
    warning: str | None
    verified: bool


@dataclass(frozen=True)
class PartialFile:
    """A dump that is not proven yet, open and locked."""

    path: Path
    descriptor: int


def take_backup(
    database: Database,
    folder: Path,
    *,
    verify: bool = False,
    max_wait: float = MAX_WAIT_SECONDS,
    on_progress: Progress | None = None,
) -> Backup:
    """Dump `database` to `folder`/pre_temporal_YYYYMMDD_HHMMSS.dump (UTC), which only this account may read.

    The file gets this name when it was read to its end and has every table of the application; with `verify`
    also restored into a scratch database, which takes as much room on the server as the original while it
    lasts, and found to have as many rows in each table as the dump saw. The application writes on meanwhile.
    Raises PipelineError: exit code 5 when the disk has no room for it, a lock is not to be had in `max_wait`
    seconds, this role may not make the scratch database, or a pooler shares our sessions; 3 when a restored
    table lacks rows.
    """
    started = time.monotonic()
    say = on_progress or (lambda _: None)
    refuse_transaction_pooler(database)
    with database.transaction(read_only=True) as connection:
        refuse_foreign_database(connection)
        current = connection.execute(queries["current"]).one()
    programs = find_programs(current.server_version_num, otherwise=WITHOUT_BACKUP)
    warnings = [programs.warning, _room(_made(folder), current.bytes)]
    if verify:
        with maintenance(database) as server, autocommit(server) as connection:
            require_rights(connection, current.name, owner=False)
        name_beside(current.name, SCRATCH, datetime.now(UTC))
    _remove_abandoned(folder)
    with _partial_file(folder) as file:
        say(f"dumping {current.name} ({current.bytes / 1e6:,.0f} MB on the server)")
        rows = _dump(programs, database, file, max_wait, count=verify)
        say("reading the dump to its end")
        archive = prove_archive(programs, file.path)
        if verify:
            say("restoring it into a scratch database, to count its rows")
            _verify(programs, database, archive, rows)
        os.fsync(file.descriptor)
        path = file.path.rename(file.path.with_suffix(""))
    return Backup(
        path,
        path.stat().st_size,
        time.monotonic() - started,
        f"pg_dump {programs.major}",
        "; ".join(filter(None, warnings)) or None,
        verify,
    )


def _made(folder: Path) -> Path:
    try:
        make_folder(folder, 0o700)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"no write permission for {folder}")
    except OSError as error:
        raise PipelineError(
            f"cannot make the folder for backups: {error}",
            hint=f"set TEMPORAL_PIPELINE_BACKUPS to a folder that you may write, {WITHOUT_BACKUP}",
        ) from None
    return folder


def _room(folder: Path, needed: int) -> str | None:
    """A warning when the dump may not fit. Raises PipelineError when it will not."""
    free = shutil.disk_usage(folder).free
    figures = f"{free / 1e6:,.0f} MB free in {folder}, the database takes {needed / 1e6:,.0f} MB"
    if free < LEAST_SHARE * needed:
        raise PipelineError(
            f"no room for a backup: {figures}",
            hint=f"set TEMPORAL_PIPELINE_BACKUPS to a folder on a larger disk, {WITHOUT_BACKUP}",
            exit_code=5,
        )
    return f"the backup may not fit: {figures}" if free < needed else None


@contextmanager
def _partial_file(folder: Path) -> Iterator[PartialFile]:
    """A new file of our own, locked for as long as we, or the pg_dump that we started, have it open."""
    while True:
        partial = folder / f"pre_temporal_{datetime.now(UTC):{STAMP}}.dump{PARTIAL}"
        try:
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            time.sleep(0.1)
            continue
        locked = try_lock(descriptor, fcntl.LOCK_EX) and still_at(descriptor, partial)
        if locked and not partial.with_suffix("").exists():
            break
        os.close(descriptor)
        if locked:
            partial.unlink()
        time.sleep(0.1)
    try:
        yield PartialFile(partial, descriptor)
    finally:
        partial.unlink(missing_ok=True)
        os.close(descriptor)


def _remove_abandoned(folder: Path) -> None:
    """Take away what killed processes left."""
    for partial in folder.glob(f"pre_temporal_*.dump{PARTIAL}"):
        with suppress(FileNotFoundError):
            descriptor = os.open(partial, os.O_RDWR)
            try:
                if try_lock(descriptor, fcntl.LOCK_EX) and still_at(descriptor, partial):
                    partial.unlink()
            finally:
                os.close(descriptor)


def _dump(
    programs: Programs, database: Database, file: PartialFile, max_wait: float, *, count: bool
) -> dict[str, int]:
    """Write the dump, and with `count` return the rows that each table had at its moment.

    The transaction whose view pg_dump shares ends as soon as it has: CREATE INDEX CONCURRENTLY waits for it.
    """
    if not count:
        _pg_dump(programs, database, file, max_wait)
        return {}
    try:
        with database.transaction(read_only=True) as connection:
            connection.execute(queries["one_view"])
            connection.execute(queries["time_limits"], {"lock_timeout": f"{_milliseconds(max_wait)}ms"})
            snapshot = connection.scalar(queries["export_snapshot"])
            _pg_dump(programs, database, file, max_wait, f"--snapshot={snapshot}")
            return row_counts(connection)
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise _locked(database, max_wait) from None
        raise


def _pg_dump(
    programs: Programs, database: Database, file: PartialFile, max_wait: float, *options: str
) -> None:
    # Not to stdout, where it would leave its table of contents unfinished at the start and append another.
    arguments = (
        "--format=custom",
        f"--file={file.path}",
        f"--lock-wait-timeout={_milliseconds(max_wait)}",
        *options,
    )
    started = time.monotonic()
    with running(programs.pg_dump, *arguments, database=database, keeps_open=[file.descriptor]) as process:
        _, complaints = process.communicate()
    if process.returncode:
        # The server's words are in its own language; those of pg_dump are not.
        if "LOCK TABLE" in complaints and time.monotonic() - started >= max_wait:
            raise _locked(database, max_wait)
        raise failure(programs.pg_dump, complaints)


def _milliseconds(max_wait: float) -> int:
    """For a limit of the server's, to which 0 is none."""
    return max(1, round(max_wait * 1000))


def _locked(database: Database, max_wait: float) -> PipelineError:
    with database.transaction(read_only=True) as connection:
        holders = connection.execute(queries["lock_holders"]).all()
    who = "; ".join(
        f"pid {row.pid} ({row.usename}), {row.age:.0f} s, {row.state}: {row.query}" for row in holders
    )
    return PipelineError(
        f"the backup could not read a table for {max_wait:g} s; "
        + (f"held by {who}" if who else "whoever held it is gone by now"),
        hint="end these transactions or wait for them, then run the same command again",
        exit_code=5,
    )


def _verify(programs: Programs, database: Database, archive: Archive, expected: dict[str, int]) -> None:
    with maintenance(database) as server, autocommit(server) as connection:
        original = name_of(database)
        _drop_abandoned(server, connection, original + SCRATCH)
        name = name_beside(original, SCRATCH, datetime.now(UTC))
        # Held while the database is in use, and let go of by the server when we are killed.
        with server.exclusive(name):
            create_like(connection, original, name, same_owner=False)
            scratch = beside(database, name)
            try:
                load(programs, scratch, archive, *WITHOUT_OTHERS)
                with autocommit(scratch) as restored:
                    found = row_counts(restored)
            finally:
                scratch.dispose()
                drop(connection, name)
    if found != expected:
        differing = sorted(
            name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
        )
        listed = ", ".join(f"{name}: {found.get(name)} of {expected.get(name)}" for name in differing)
        raise PipelineError(
            f"the backup does not restore to what was dumped: {listed}",
            hint="run the same command again, and tell us if it happens twice",
            exit_code=3,
        )


def _drop_abandoned(server: Database, connection: Connection, prefix: str) -> None:
    for row in connection.execute(queries["databases_named"], {"prefix": prefix}).all():
        # Refused while its maker lives.
        with suppress(PipelineError), server.exclusive(row.name, wait_seconds=0):
            drop(connection, row.name)
