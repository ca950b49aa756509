"""The whole graph over synthetic contents: `python -m benchmarks.graph --rows 10000 [--json]`.

Figures: contents per second of each asset beside a floor (one plain SQL statement that writes the same rows),
peak memory of the process, and the time of a second run that finds nothing new.
`--largest N` gives N of the contents to a single topic: the peak memory must not depend on it.
"""

import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.live import fill, throwaway_database, throwaway_server
from temporal_pipeline.cli.running import Outcome, run_update
from temporal_pipeline.database import Database

# Each writes what the asset writes, without reading anything that it would not, and is rolled back.
FLOORS = {
    "content_relevance": (
        "UPDATE contents SET relevance_score = 0.123, published_at = published_at + interval '1 second' "
        "WHERE topic_id IS NOT NULL OR user_id IS NOT NULL"
    ),
    "period_zero": (
        "UPDATE contents SET analysis_period_id = (SELECT id FROM analysis_periods ORDER BY id LIMIT 1) "
        "WHERE topic_id IS NOT NULL OR user_id IS NOT NULL"
    ),
    "period_content_snapshots": "INSERT INTO floor SELECT * FROM period_content_snapshots",
}


@click.command()
@click.option("--rows", type=click.IntRange(1), default=10_000, show_default=True, help="How many contents.")
@click.option("--entities", type=click.IntRange(4), default=200, show_default=True, help="Topics and users.")
@click.option("--largest", type=click.IntRange(0), default=0, help="How many contents one topic owns alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(rows: int, entities: int, largest: int, as_json: bool) -> None:
    """Measure the whole graph over synthetic contents in a database that is thrown away."""
    with throwaway_pipeline() as database:
        fill(database, rows, entities, min(largest, rows))
        before = peak_memory()
        first, first_seconds = timed(database)
        first_peak = peak_memory()
        again, again_seconds = timed(database)
        floors = {asset: floor(database, statement) for asset, statement in FLOORS.items()}
        figures = {
            "rows": rows,
            "entities": entities,
            "largest": largest,
            "seconds": first_seconds,
            "rows_per_second": rows / first_seconds,
            "peak_memory_mb": first_peak,
            "memory_before_mb": before,
            "second_update_seconds": again_seconds,
            "second_update_rows_written": sum(written(again).values()),
            "assets": assets(first, rows, floors),
        }
    print(json.dumps(figures, indent=2)) if as_json else show(figures)


@contextmanager
def throwaway_pipeline() -> Iterator[Database]:
    """Databases for application and Dagster alone, named in the environment."""
    with (
        throwaway_server() as server,
        throwaway_database(server) as database,
        throwaway_database(server) as storage,
        tempfile.TemporaryDirectory(prefix="benchmark-") as home,
    ):
        os.environ["TEMPORAL_PIPELINE_HOME"] = home
        os.environ["DATABASE_URL"], os.environ["DAGSTER_DATABASE_URL"] = database.url, storage.url
        yield database


def timed(database: Database) -> tuple[Outcome, float]:
    """One run of the job `update` and its seconds, those of Dagster's book-keeping included."""
    started = time.monotonic()
    outcome = run_update(database, {}, backup=False)
    if outcome.error is not None:
        raise SystemExit(f"the run failed: {outcome.error}")
    return outcome, time.monotonic() - started


def floor(database: Database, statement: str) -> float:
    """Seconds of a plain statement that writes the same rows; it leaves nothing behind."""
    with database.engine.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql("CREATE TABLE floor (LIKE period_content_snapshots INCLUDING ALL)")
        started = time.monotonic()
        connection.exec_driver_sql(statement)
        seconds = time.monotonic() - started
        transaction.rollback()
    return seconds


def peak_memory() -> int:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def written(outcome: Outcome) -> dict[str, int]:
    """Rows that each asset wrote."""
    return {step.asset: (step.metadata or {}).get("rows_written", 0) for step in outcome.steps}


def assets(outcome: Outcome, rows: int, floors: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Per asset: rows written, seconds, contents per second, and how many times the floor's time it took."""
    return {
        step.asset: {
            "rows_written": written(outcome)[step.asset],
            "seconds": (seconds := (step.metadata or {}).get("duration_seconds", 0.0)),
            "contents_per_second": rows / seconds if seconds else None,
            "floor_seconds": floors.get(step.asset),
            "times_floor": seconds / floors[step.asset] if step.asset in floors else None,
        }
        for step in outcome.steps
    }


def show(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=f"{figures['rows']:,} contents of {figures['entities']} entities")
    table.add_column("asset")
    for column in ("rows written", "seconds", "contents/s", "floor s", "× floor"):
        table.add_column(column, justify="right")
    for asset, row in figures["assets"].items():
        table.add_row(
            asset,
            f"{row['rows_written']:,}",
            f"{row['seconds']:.2f}",
            f"{row['contents_per_second']:,.0f}" if row["rows_written"] else "",
            f"{row['floor_seconds']:.2f}" if row["floor_seconds"] is not None else "",
            f"{row['times_floor']:.1f}" if row["times_floor"] is not None else "",
        )
    console = Console(width=100)
    console.print(table)
    console.print(
        f"whole run {figures['seconds']:.1f} s, {figures['rows_per_second']:,.0f} contents/s; peak memory "
        f"{figures['peak_memory_mb']} MB, {figures['memory_before_mb']} MB before; with nothing new "
        f"{figures['second_update_seconds']:.1f} s, {figures['second_update_rows_written']} rows written"
    )


if __name__ == "__main__":
    main()
