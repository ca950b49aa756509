"""What searching for events costs: `python -m benchmarks.events --entities 1000 --hours 336 [--json]`.

First the full history of every topic at once, then the newest hour of each. The floor beside it: one plain SQL
statement that counts the same posts by topic and hour, which any detector needs at the least.
"""

import json
import time
from pathlib import Path
from typing import Any

import click
import psycopg
from rich.console import Console

from benchmarks.graph import peak_memory
from benchmarks.live import settle, throwaway_database, throwaway_server
from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.searching import detect_events
from temporal_pipeline.defs.schema.upgrade import upgrade

HISTORY = Path(__file__).with_name("hourly.sql")
FLOOR = (
    "SELECT count(*) FROM"
    " (SELECT topic_id, date_trunc('hour', published_at), count(*) FROM contents GROUP BY 1, 2) counted"
)


@click.command()
@click.option("--entities", type=click.IntRange(1), default=1000, show_default=True, help="How many topics.")
@click.option(
    "--hours", type=click.IntRange(2), default=336, show_default=True, help="How many hours of each."
)
@click.option("--posts", type=click.IntRange(1), default=1, show_default=True, help="Posts per hour, about.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(entities: int, hours: int, posts: int, as_json: bool) -> None:
    """Measure a search of the whole history and one of the newest hour."""
    with throwaway_server() as server, throwaway_database(server) as database:
        fill(database, entities, hours, posts)
        before = peak_memory()
        floor = seconds(lambda: counted(database))
        history, newest, nothing = (searched(database, run) for run in ("history", "newest", "nothing"))
        figures = {
            "entities": entities,
            "buckets": entities * hours,
            "floor_seconds": floor,
            "history": history,
            "newest": newest,
            "nothing_new": nothing,
            "peak_memory_mb": peak_memory(),
            "memory_before_mb": before,
        }
    print(json.dumps(figures, indent=2)) if as_json else show(figures)


def fill(database: Database, entities: int, hours: int, posts: int) -> None:
    """Topics with hourly crawls; the last hour is a period that is not frozen yet."""
    create_legacy_tables(database)
    upgrade(database)
    with psycopg.connect(libpq_url(database), autocommit=True) as connection:
        with psycopg.ClientCursor(connection) as cursor, connection.transaction():
            cursor.execute(HISTORY.read_bytes(), {"topics": entities, "hours": hours, "posts": posts})
        connection.execute("VACUUM ANALYZE")
    settle(database)


def searched(database: Database, run: str) -> dict[str, Any]:
    """One search; the newest hour is frozen just before it is looked for."""
    if run == "newest":
        with database.transaction() as connection:
            connection.exec_driver_sql(
                "INSERT INTO temporal_pipeline.period_stage (period_id, stage, method)"
                " SELECT id, 'snapshots', 'benchmark' FROM analysis_periods WHERE period_number = 1"
            )
    started = time.monotonic()
    report = detect_events(database, run)
    taken = time.monotonic() - started
    if report.failed:
        raise SystemExit(f"{run}: {report.failed[0]}")
    return {
        "seconds": taken,
        "entities": report.entities,
        "opened": report.count("opened"),
        "rows_written": report.rows_written,
    }


def counted(database: Database) -> None:
    """The floor."""
    with database.transaction(read_only=True) as connection:
        connection.exec_driver_sql(FLOOR)


def seconds(work: Any) -> float:
    """How long `work` takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def show(figures: dict[str, Any]) -> None:
    """As a few lines."""
    console = Console()
    console.print(f"{figures['entities']:,} topics, {figures['buckets']:,} hours")
    console.print(f"counting the posts in one statement: {figures['floor_seconds']:.2f} s")
    for run in ("history", "newest", "nothing_new"):
        one = figures[run]
        console.print(
            f"{run.replace('_', ' ')}: {one['seconds']:.2f} s, {one['opened']} events opened, "
            f"{one['rows_written']} rows written"
        )
    console.print(f"peak memory {figures['peak_memory_mb']} MB ({figures['memory_before_mb']} MB before)")


if __name__ == "__main__":
    main()
