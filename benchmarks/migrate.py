"""Whom a migration disturbs: `python -m benchmarks.migrate --rows 1000000 --entities 1000 [--json]`.

A writer with 200 statements per second runs beside each migration and, for control, without it; every row
starts from a copy of the same legacy database. The last row is the usual way, everything in one transaction.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.kills import backfill
from benchmarks.live import (
    Writer,
    autovacuum,
    control,
    copy_of,
    in_own_process,
    legacy_database,
    long_reader,
    settle,
)
from benchmarks.writing import Write, Writes
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.listening import Executed, Listener
from temporal_pipeline.defs.schema.planning import plan
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.dump import take_backup
from temporal_pipeline.operations.verification import verify

# Long enough for checkpoints and the machine's own hiccups to show.
CONTROL_SECONDS = 20.0
# The writer's own beginning and what a migration leaves to do are part of what is measured.
MARGIN_SECONDS = 1.0
NAIVE_ATTEMPTS = 5
STALLS_SHOWN = 3
STALLS_KEPT = 20


@dataclass(frozen=True)
class Statement:
    """A statement of a migration and the time at which it ended, in seconds since the epoch."""

    step: str
    ended: float
    seconds: float


@dataclass(frozen=True)
class Migration:
    """What a migration says of itself: `retries` is how often it gave way to others."""

    began: float
    seconds: float
    statements: tuple[Statement, ...]
    retries: int = 0
    waited: float = 0.0
    error: str | None = None


@dataclass(frozen=True)
class Situation:
    """Who else is there, and which way to migrate."""

    name: str
    company: Callable[[Database], AbstractContextManager[None]]
    migrate: Callable[[str], Migration]


@dataclass
class Clock(Listener):
    """Notes when each statement ended."""

    done: list[Statement] = field(default_factory=list)

    def executed(self, executed: Executed) -> None:
        super().executed(executed)
        self.done.append(Statement(executed.step, time.time(), executed.seconds))


def carefully(url: str) -> Migration:
    """Our way."""
    clock, began = Clock(), time.time()
    try:
        upgrade(Database(url), listener=clock)
        error = None
    except PipelineError as failure:
        error = failure.message
    retries = sum(statement.retries for statement in clock.statements)
    waited = sum(statement.waited for statement in clock.statements)
    return Migration(began, time.time() - began, tuple(clock.done), retries, waited, error)


def naively(url: str) -> Migration:
    """The usual way: the same DDL in one transaction, indexes and constraints made at once; again if it fails."""
    with Database(url).transaction(read_only=True) as connection:
        planned = [statement for statement in plan(connection) if "VALIDATE" not in statement.sql]
    began = time.time()
    for attempt in range(NAIVE_ATTEMPTS):
        done: list[Statement] = []
        try:
            with psycopg.connect(libpq_url(Database(url))) as connection:
                for statement in planned:
                    started = time.time()
                    connection.execute(at_once(statement.sql))
                    done.append(Statement(statement.step, time.time(), time.time() - started))
        except psycopg.Error as failure:
            error = f"{type(failure).__name__}: {failure.diag.message_primary}"
        else:
            return Migration(began, time.time() - began, tuple(done), attempt)
    return Migration(began, time.time() - began, tuple(done), NAIVE_ATTEMPTS - 1, error=error)


def at_once(statement: str) -> str:
    """The statement without the care that it takes of others."""
    return statement.replace(" CONCURRENTLY", "").replace(" NOT VALID", "")


def by_itself(url: str) -> dict[str, Any]:
    """Back up, migrate, backfill, verify, one after the other: seconds of each, and what came of it."""
    database = Database(url)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        backup = take_backup(database, Path(folder))
    migration = upgrade(database)
    started = time.monotonic()
    backfill(url)
    backfilled = time.monotonic()
    claims = verify(database)
    verified = time.monotonic()
    return {
        "backup_seconds": backup.seconds,
        "backup_bytes": backup.bytes,
        "migrate_seconds": migration.seconds,
        "backfill_seconds": backfilled - started,
        "verify_seconds": verified - backfilled,
        "claims": len(claims),
        "broken": [claim.name for claim in claims if not claim.holds],
    }


SITUATIONS = (
    Situation("quiet", lambda _: nullcontext(), carefully),
    Situation("5-second reader", long_reader, carefully),
    Situation("autovacuum", autovacuum, carefully),
    Situation("one transaction", lambda _: nullcontext(), naively),
)


@click.command()
@click.option("--rows", type=click.IntRange(1), default=100_000, show_default=True, help="How many contents.")
@click.option(
    "--entities", type=click.IntRange(4), default=1_000, show_default=True, help="Topics and users."
)
@click.option("--largest", type=click.IntRange(0), help="Contents of the largest topic.  [default: 4 %]")
@click.option("--control", "seconds", default=CONTROL_SECONDS, show_default=True, help="Seconds without it.")
@click.option(
    "--only", type=click.Choice([s.name for s in SITUATIONS]), multiple=True, help="Some rows only."
)
@click.option("--verbs", is_flag=True, help="Also each verb by itself, with nobody else there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    rows: int,
    entities: int,
    largest: int | None,
    seconds: float,
    only: tuple[str, ...],
    verbs: bool,
    as_json: bool,
) -> None:
    """Measure what a writer notices of a migration, on databases that are thrown away."""
    with legacy_database(rows, entities, largest) as database:
        chosen = [situation for situation in SITUATIONS if not only or situation.name in only]
        figures = {
            "rows": rows,
            "entities": entities,
            "situations": {situation.name: measure(database, situation, seconds) for situation in chosen},
        }
        if verbs:
            with copy_of(database) as copy:
                settle(copy)
                figures["verbs"] = in_own_process(by_itself, copy.url)
    print(json.dumps(figures, indent=2)) if as_json else show(figures)


def measure(database: Database, situation: Situation, control_seconds: float) -> dict[str, Any]:
    """Migrate a copy of `database` beside the writer; all times of writes in milliseconds."""
    with copy_of(database) as copy, situation.company(copy):
        settle(copy)
        alone = control(copy.url, control_seconds)
        with Writer(copy.url) as writer, margins():
            migration = in_own_process(situation.migrate, copy.url)
    writes = writer.writes
    during = writes.between(migration.began, migration.began + migration.seconds)
    return {
        "seconds": migration.seconds,
        "statements": len(migration.statements),
        "retries": migration.retries,
        "waited_seconds": migration.waited,
        "error": migration.error,
        "longest_ms": during.longest_ms,
        "control_longest_ms": alone.longest_ms,
        "beyond_control_ms": max(0.0, during.longest_ms - alone.longest_ms),
        "p99_ms": during.p99_ms,
        "control_p99_ms": alone.p99_ms,
        "writes": during.count,
        "failed": len(writes.failed),
        "deadlocked": writes.errors["40P01"],
        "errors": dict(writes.errors),
        "stalls": stalls(during, migration),
    }


@contextmanager
def margins() -> Iterator[None]:
    time.sleep(MARGIN_SECONDS)
    yield
    time.sleep(MARGIN_SECONDS)


def stalls(writes: Writes, migration: Migration) -> list[dict[str, Any]]:
    """The writes that were latest, each with what the migration did meanwhile."""
    latest = sorted(writes.all, key=lambda write: write.late_ms, reverse=True)[:STALLS_KEPT]
    return [
        {
            "ms": write.late_ms,
            "second": write.due - migration.began,
            "write": write.kind,
            "during": steps_during(write, migration),
        }
        for write in latest
    ]


def steps_during(write: Write, migration: Migration) -> list[str]:
    """What the migration did between the moment at which a write was due and its end."""
    done = write.due + write.late_ms / 1000
    return [
        statement.step
        for statement in migration.statements
        if statement.ended - statement.seconds < done and statement.ended > write.due
    ]


def show(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=f"{figures['rows']:,} contents of {figures['entities']:,} entities")
    table.add_column("migrating")
    for column in (
        "seconds",
        "statements",
        "retries",
        "longest ms",
        "beyond control",
        "p99 ms",
        "writes",
        "failed",
    ):
        table.add_column(column, justify="right")
    for name, row in figures["situations"].items():
        table.add_row(
            name,
            f"{row['seconds']:.1f}",
            f"{row['statements']}",
            f"{row['retries']}",
            f"{row['longest_ms']:,.0f}",
            f"{row['beyond_control_ms']:,.0f}",
            f"{row['p99_ms']:.0f}",
            f"{row['writes']:,}",
            f"{row['failed']} ({row['deadlocked']} by deadlock)" if row["failed"] else "0",
        )
    console = Console(width=120)
    console.print(table)
    for name, row in figures["situations"].items():
        if row["error"]:
            console.print(f"{name}: not migrated: {row['error']}")
        for stall in row["stalls"][:STALLS_SHOWN]:
            console.print(
                f"{name}: {stall['write']} {stall['ms']:.0f} ms late in second {stall['second']:.1f} "
                f"of it, meanwhile {meanwhile(stall['during'])}"
            )
    if "verbs" in figures:
        verbs = figures["verbs"]
        console.print(
            f"by itself: backup {verbs['backup_seconds']:.1f} s ({verbs['backup_bytes'] / 1e6:,.0f} MB), "
            f"migrate {verbs['migrate_seconds']:.1f} s, backfill {verbs['backfill_seconds']:.1f} s, "
            f"verify {verbs['verify_seconds']:.1f} s ({verbs['claims']} claims, broken: "
            f"{', '.join(verbs['broken']) or 'none'})"
        )


def meanwhile(steps: list[str]) -> str:
    return f"{len(steps)} statements" if len(steps) > 2 else ", ".join(steps) or "no statement"


if __name__ == "__main__":
    main()
