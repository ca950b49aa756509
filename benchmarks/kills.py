"""Killed anywhere and run again: `python -m benchmarks.kills [--rows 5000] [--every N] [--json]`.

After every statement of a migration up and down, and at random moments of these and of a backfill, the process is
killed, or the server ends its session. Then the same is run again: the schema must be what an uninterrupted run leaves,
byte for byte in `pg_dump -s`, and so must be the content, by natural keys.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import click
import psycopg
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.live import copy_of, legacy_database, processes
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.listening import Executed, Listener
from temporal_pipeline.defs.schema.upgrade import downgrade, upgrade
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations import backfill as backfilling
from tests.migrations.tools import schema_of

DIGEST = Path(__file__).with_name("digest.sql")
# All but the session that holds the lock of the only run: what is lost is the one that works.
END_SESSION = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'temporal_pipeline' AND query NOT LIKE '%advisory_lock%'"
)

Work = Callable[..., object]
# Does work in the database of a URL, is interrupted at a point, and says whether it came to that.
Interrupt = Callable[[Work, str, Any], bool]
State = dict[str, Any]


@dataclass
class Ends(Listener):
    """Ends what it listens to after so many statements."""

    end: Callable[[], object] = lambda: None
    after: int = 0

    def executed(self, executed: Executed) -> None:
        super().executed(executed)
        if len(self.statements) == self.after:
            self.end()


@dataclass(frozen=True)
class Trial:
    """An interruption at `point` (a statement's number, or a second), and what differs after the next run."""

    point: float
    interrupted: bool
    differs: tuple[str, ...]


def migrate_up(url: str, listener: Listener | None = None) -> int:
    """Upgrade; the number of statements."""
    with opened(url) as database:
        return len(upgrade(database, listener=listener).statements)


def migrate_down(url: str, listener: Listener | None = None) -> int:
    """Downgrade; the number of statements."""
    with opened(url) as database:
        return len(downgrade(database, listener=listener).statements)


def backfill(url: str) -> None:
    """Give every entity its first period; PipelineError if one cannot get it."""
    with opened(url) as database:
        if failed := backfilling.backfill(database).cut.failed:
            raise PipelineError(f"{len(failed)} entities failed, the first with: {failed[0][1]}")


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.dispose()


def die() -> None:
    """End this process as a failure of the machine would."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying(work: Work, url: str, after: int) -> None:
    work(url, Ends(end=die, after=after))


def killed_after(work: Work, url: str, statements: int) -> bool:
    """Run in a process that dies after so many statements; whether it came to that."""
    process = processes.Process(target=dying, args=(work, url, statements))
    process.start()
    process.join()
    return process.exitcode == -signal.SIGKILL


def session_lost_after(work: Work, url: str, statements: int) -> bool:
    """Run with a session that the server ends after so many statements; whether that was an error."""
    return fails(work, url, Ends(end=lambda: end_session(url), after=statements))


def killed_at(work: Work, url: str, seconds: float) -> bool:
    """Run in a process that is killed after `seconds`; whether it was not done before."""
    begins = processes.Event()
    process = processes.Process(target=beginning, args=(begins, work, url))
    process.start()
    begins.wait()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def beginning(begins: Event, work: Work, url: str) -> None:
    begins.set()
    work(url)


def session_lost_at(work: Work, url: str, seconds: float) -> bool:
    """Run with a session that the server ends after `seconds`; whether that was an error."""
    timer = threading.Timer(seconds, end_session, [url])
    timer.start()
    try:
        return fails(work, url)
    finally:
        timer.cancel()
        timer.join()


def fails(work: Work, *arguments: object) -> bool:
    try:
        work(*arguments)
    except (PipelineError, SQLAlchemyError):
        return True
    return False


def end_session(url: str) -> None:
    with psycopg.connect(libpq_url(Database(url)), autocommit=True) as connection:
        connection.execute(END_SESSION)


def state_of(database: Database) -> State:
    """The schema as text, and rows and digest of every kind of content if there is any of ours."""
    state: State = {"schema": schema_of(database)}
    with suppress(psycopg.errors.UndefinedTable), psycopg.connect(libpq_url(database)) as connection:
        state |= {part: (rows, digest) for part, rows, digest in connection.execute(DIGEST.read_bytes())}
    return state


def attempt(start: Database, interrupt: Interrupt, work: Work, point: float, wanted: State) -> Trial:
    """Interrupt `work` on a copy of `start`, do it again, and compare with what is wanted."""
    with copy_of(start) as database:
        interrupted = interrupt(work, database.url, point)
        work(database.url)
        return Trial(point, interrupted, differences(state_of(database), wanted))


def differences(state: State, wanted: State) -> tuple[str, ...]:
    return tuple(part for part in sorted(state.keys() | wanted.keys()) if state.get(part) != wanted.get(part))


def uninterrupted(start: Database, work: Work) -> tuple[State, Any, float]:
    """What `work` leaves on a copy of `start`, its result, and its seconds."""
    with copy_of(start) as database:
        began = time.monotonic()
        result = work(database.url)
        seconds = time.monotonic() - began
        return state_of(database), result, seconds


@click.command()
@click.option("--rows", type=click.IntRange(1), default=5_000, show_default=True, help="How many contents.")
@click.option("--entities", type=click.IntRange(4), default=40, show_default=True, help="Topics and users.")
@click.option(
    "--every", type=click.IntRange(1), default=1, show_default=True, help="Only each Nth statement."
)
@click.option("--moments", default=20, show_default=True, help="How many random moments of each.")
@click.option("--seed", default=1, show_default=True, help="Which moments.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(rows: int, entities: int, every: int, moments: int, seed: int, as_json: bool) -> None:
    """Interrupt migrations and backfills everywhere and see whether the next run makes good for it."""
    trials: dict[str, list[Trial]] = {}
    at_random = random.Random(seed)
    with (
        legacy_database(rows, entities) as legacy,
        copy_of(legacy) as migrated,
        copy_of(legacy) as backfilled,
    ):
        migrate_up(migrated.url)
        migrate_up(backfilled.url)
        backfill(backfilled.url)
        for name, start, work in (
            ("migrate", legacy, migrate_up),
            ("backfill", migrated, backfill),
            ("rollback", backfilled, migrate_down),
        ):
            wanted, statements, seconds = uninterrupted(start, work)
            # A backfill has no steps of which it could be told.
            numbers = range(1, (statements or 0) + 1, every)
            times = [at_random.uniform(0, seconds) for _ in range(moments)]
            for way, interrupt, points in (
                ("process, after a statement", killed_after, numbers),
                ("session, after a statement", session_lost_after, numbers),
                ("process, at a moment", killed_at, times),
                ("session, at a moment", session_lost_at, times),
            ):
                made = [attempt(start, interrupt, work, point, wanted) for point in points]
                if made:
                    trials[f"{name}, {way}"] = made
    if as_json:
        print(json.dumps({name: [vars(trial) for trial in made] for name, made in trials.items()}, indent=2))
    else:
        show(trials)
    sys.exit(any(trial.differs for made in trials.values() for trial in made))


def show(trials: dict[str, list[Trial]]) -> None:
    """Print how many of the trials ended as without interruption, and which did not."""
    table = Table(title="Killed and run again")
    table.add_column("what")
    for column in ("trials", "interrupted", "same afterwards"):
        table.add_column(column, justify="right")
    for name, made in trials.items():
        table.add_row(
            name,
            str(len(made)),
            str(sum(trial.interrupted for trial in made)),
            str(sum(not trial.differs for trial in made)),
        )
    console = Console()
    console.print(table)
    for name, made in trials.items():
        for trial in made:
            if trial.differs:
                console.print(f"{name}, interrupted at {trial.point:g}: other {', '.join(trial.differs)}")


if __name__ == "__main__":
    main()
