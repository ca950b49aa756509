"""A live application to measure beside: its database in large, and a writer, a reader and autovacuum at work.

What stands here is shared by the benchmarks; it measures nothing by itself.
"""

import multiprocessing
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from sqlalchemy import make_url

from benchmarks.writing import Writes, write
from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.embedded import attach, state_folder
from temporal_pipeline.urls import normalise_url

T = TypeVar("T")

SYNTHETIC = Path(__file__).with_name("synthetic.sql")
# Spawned, not forked: a child that inherits connections or threads would share what it must not.
processes = multiprocessing.get_context("spawn")


@contextmanager
def throwaway_server() -> Iterator[str]:
    """URL of a server on which databases can be made: that of DATABASE_URL, else an embedded one that goes."""
    if "DATABASE_URL" in os.environ:
        yield normalise_url(os.environ["DATABASE_URL"])
        return
    home = Path(tempfile.mkdtemp(prefix="benchmark-"))
    try:
        with attach(home) as attachment:
            yield attachment.url("postgres")
    finally:
        for folder in (state_folder(home), home):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def throwaway_database(server: str, template: str | None = None) -> Iterator[Database]:
    """A database on `server` that is dropped at the end: empty, or a copy of `template`, which nobody may use."""
    name = f"benchmark_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(libpq_url(Database(server)), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}"')
        database = Database(make_url(server).set(database=name).render_as_string(hide_password=False))
        try:
            yield database
        finally:
            database.dispose()
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def legacy_database(rows: int, entities: int = 1_000, largest: int | None = None) -> Iterator[Database]:
    """A Crosshot database with `rows` synthetic contents on a server of its own, or that of DATABASE_URL.

    One topic owns `largest` of them, by default 4 %: 40,000 of a million.
    """
    with throwaway_server() as server, throwaway_database(server) as database:
        fill(database, rows, entities, rows // 25 if largest is None else largest)
        yield database


@contextmanager
def copy_of(database: Database) -> Iterator[Database]:
    """A copy of `database`, which nobody may use meanwhile: for runs that want the same start."""
    database.dispose()
    url = make_url(database.url)
    server = url.set(database="postgres").render_as_string(hide_password=False)
    with throwaway_database(server, url.database) as copy:
        yield copy


def fill(database: Database, rows: int, entities: int, largest: int) -> None:
    """Make the application's tables and put the contents in; three quarters of the entities are topics."""
    create_legacy_tables(database)
    topics = entities * 3 // 4
    numbers = {"rows": rows, "topics": topics, "users": entities - topics, "largest": largest}
    with psycopg.connect(libpq_url(database), autocommit=True) as connection:
        with psycopg.ClientCursor(connection) as cursor, connection.transaction():
            indexes = cursor.execute(
                "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'contents'"
                " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
            ).fetchall()
            for name, _ in indexes:
                cursor.execute(f"DROP INDEX {name}")
            cursor.execute(SYNTHETIC.read_bytes(), numbers)
            for _, definition in indexes:
                cursor.execute(definition)
        connection.execute("VACUUM ANALYZE")


def settle(database: Database) -> None:
    """Have the server write to disk what it owes, so that a measurement does not feel what was before it."""
    with psycopg.connect(libpq_url(database), autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def in_own_process(work: Callable[..., T], *arguments: Any) -> T:
    """The result of `work` (a function of a module) in a new Python process, so that it disturbs no other."""
    # A pool of `multiprocessing` would wait for ever for an error that cannot be sent.
    with ProcessPoolExecutor(1, processes) as pool:
        return pool.submit(work, *arguments).result()


class Writer:
    """An application that writes, in a process of its own, for as long as the block lasts.

    `rate` statements per second in autocommit, half of them inserts into contents, half updates of contents,
    topics and tasks, over several connections. Nothing is tried again.
    """

    def __init__(self, url: str, rate: float = 200, connections: int = 4) -> None:
        self._pipe, theirs = processes.Pipe()
        self._process = processes.Process(
            target=write, args=(theirs, libpq_url(Database(url)), rate, connections), daemon=True
        )
        self._theirs = theirs
        self._writes: Writes | None = None

    def __enter__(self) -> Self:
        self._process.start()
        # Ours only is open then, so that the end of either process ends the other's waiting.
        self._theirs.close()
        if (problem := self._pipe.recv()) is not None:
            raise RuntimeError(f"the writer did not start: {problem}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.send("stop")
        self._writes = self._pipe.recv()
        self._pipe.close()
        self._process.join()
        self._process.close()

    @property
    def writes(self) -> Writes:
        """What was written, once the block is left."""
        assert self._writes is not None, "still writing"
        return self._writes


def control(url: str, seconds: float, rate: float = 200) -> Writes:
    """What the writer does when nobody else is there: its stalls are the machine's own."""
    with Writer(url, rate) as writer:
        time.sleep(seconds)
    return writer.writes


@contextmanager
def long_reader(database: Database, seconds: float = 5, pause: float = 1) -> Iterator[None]:
    """Somebody who reads contents and leaves the transaction open that long, again and again."""
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(libpq_url(database), application_name="reader") as connection:
            while not stop.is_set():
                connection.execute("SELECT id FROM contents LIMIT 1")
                reading.set()
                stop.wait(seconds)
                connection.rollback()
                stop.wait(pause)

    reading = threading.Event()
    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert reading.wait(10), "the reader cannot read"
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def autovacuum(database: Database) -> Iterator[None]:
    """Autovacuum at work on contents, so slow that it does not end, and back at once when it had to yield.

    For that the server looks for work every second instead of every minute.
    """
    with psycopg.connect(libpq_url(database), autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE contents SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1,"
            " autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 10)"
        )
        connection.execute("UPDATE contents SET lang = lang WHERE hashtext(id::text) % 100 = 0")
        connection.execute("ALTER SYSTEM SET autovacuum_naptime = 1")
        connection.execute("SELECT pg_reload_conf()")
        try:
            _wait_for_vacuum(connection)
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET autovacuum_naptime")
            connection.execute("SELECT pg_reload_conf()")


def _wait_for_vacuum(connection: "psycopg.Connection[Any]") -> None:
    deadline = time.monotonic() + 120
    while not connection.execute(
        "SELECT FROM pg_stat_progress_vacuum WHERE relid = 'contents'::regclass"
        " AND datname = current_database()"
    ).rowcount:
        assert time.monotonic() < deadline, "autovacuum does not come"
        time.sleep(0.1)
