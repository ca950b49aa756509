"""How long the questions take on a long history: `python -m benchmarks.query [--json]`.

Each tool is called with random entities, windows and times of recording, one call in ten about the largest entity.
Beside it what a person would type into psql for the same, on the documented views, functions and tables, without
any of the tool's promises (as of a time, both clocks, coverage, warnings).
"""

import json
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import psycopg
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from benchmarks.live import settle, throwaway_database, throwaway_server
from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.query import Failure, Timeline

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
PERIOD = timedelta(hours=6)
SEED = 6
# Cold caches and the first connection are not what is asked about.
WARM_UP = 10
BULK_TABLES = ("contents", "period_content_snapshots", "crawl_effectiveness")
PLAIN = {
    "query_period_timeline": (
        "SELECT * FROM v_period_timeline WHERE entity_id = :id ORDER BY period_number DESC LIMIT 20"
    ),
    "compare_periods": (
        "SELECT * FROM get_period_by_number('topic', :id, :number) "
        "UNION ALL SELECT * FROM get_period_by_number('topic', :id, :number - 1)"
    ),
    "query_contents_by_timerange": "SELECT * FROM get_content_timeline('topic', :id, :since, :until) LIMIT 20",
    "get_unresolved_events": "SELECT * FROM temporal_events WHERE entity_id = :id AND resolved_at IS NULL",
    "search_events": (
        "SELECT * FROM temporal_events WHERE entity_type = 'topic' AND entity_id = :id "
        "ORDER BY first_detected_at DESC LIMIT 20"
    ),
    "query_effectiveness": "SELECT * FROM v_crawl_effectiveness_ranking WHERE entity_id = :id LIMIT 20",
}


@click.command()
@click.option("--periods", type=click.IntRange(10), default=100_000, show_default=True)
@click.option("--snapshots", type=click.IntRange(10), default=1_000_000, show_default=True)
@click.option("--entities", type=click.IntRange(2), default=1_000, show_default=True)
@click.option(
    "--largest", type=click.IntRange(1), default=2_000, show_default=True, help="Periods of the largest."
)
@click.option(
    "--calls", type=click.IntRange(1), default=100, show_default=True, help="Random calls of each tool."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(periods: int, snapshots: int, entities: int, largest: int, calls: int, as_json: bool) -> None:
    """Measure every question on synthetic periods in a database that is thrown away."""
    with throwaway_server() as server, throwaway_database(server) as database:
        create_legacy_tables(database)
        upgrade(database)
        sizes = {"periods": periods, "snapshots": snapshots, "entities": entities, "largest": largest}
        fill(database, sizes)
        figures = sizes | {"calls": calls, "tools": measure(database, sizes, calls)}
    print(json.dumps(figures, indent=2)) if as_json else show(figures)


def fill(database: Database, sizes: dict[str, int]) -> None:
    """The synthetic history; secondary indexes are made after the rows, which is faster."""
    statements = Path(__file__).with_name("timeline.sql").read_text(encoding="utf-8")
    with psycopg.connect(libpq_url(database), cursor_factory=psycopg.ClientCursor) as connection:
        indexes = connection.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indrelid = ANY (%s::regclass[]) AND NOT indisunique",
            [list(BULK_TABLES)],
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        connection.execute(statements.encode(), sizes)
        for _, definition in indexes:
            connection.execute(definition.encode())
        connection.execute("REFRESH MATERIALIZED VIEW mv_period_metrics_trend")
    with psycopg.connect(libpq_url(database), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    settle(database)


def measure(database: Database, sizes: dict[str, int], calls: int) -> dict[str, dict[str, float]]:
    """Per tool, in ms: the median and the worst of the random calls, and the median of the plain statement."""
    timeline = Timeline(database)
    tools: dict[str, Callable[[random.Random, dict[str, Any]], object]] = {
        "query_period_timeline": lambda rng, asked: timeline.query_period_timeline(**asked),
        "compare_periods": lambda rng, asked: timeline.compare_periods(asked["entity"], as_of=asked["as_of"]),
        "query_contents_by_timerange": lambda rng, asked: timeline.query_contents_by_timerange(**asked),
        "get_unresolved_events": lambda rng, asked: timeline.get_unresolved_events(**asked),
        "search_events": lambda rng, asked: timeline.search_events(text=rng.choice((None, "many")), **asked),
        "query_effectiveness": lambda rng, asked: timeline.query_effectiveness(**asked),
    }
    return {name: _of_tool(database, sizes, calls, name, tool) for name, tool in tools.items()}


def _of_tool(
    database: Database,
    sizes: dict[str, int],
    calls: int,
    name: str,
    tool: Callable[[random.Random, dict[str, Any]], object],
) -> dict[str, float]:
    rng = random.Random(SEED)
    took, plain = [], []
    for call in range(WARM_UP + calls):
        asked = arguments(rng, sizes)
        started = time.perf_counter()
        answer = tool(rng, asked)
        ms = 1000 * (time.perf_counter() - started)
        if isinstance(answer, Failure) and answer.error.code != "no_periods":
            raise SystemExit(f"{name}: {answer.error.message}")
        if call >= WARM_UP:
            took.append(ms)
            plain.append(_plain(database, name, asked))
    return {
        "median_ms": statistics.median(took),
        "worst_ms": max(took),
        "plain_median_ms": statistics.median(plain),
        "plain_worst_ms": max(plain),
    }


def arguments(rng: random.Random, sizes: dict[str, int]) -> dict[str, Any]:
    """A random question: one in ten about the largest entity, half with a window, half as of an earlier time."""
    entity = 0 if rng.random() < 0.1 else rng.randrange(1, sizes["entities"])
    others = (sizes["periods"] - sizes["largest"]) // (sizes["entities"] - 1)
    periods = sizes["largest"] if entity == 0 else max(others, 1)
    since = BEGIN + rng.random() * periods * PERIOD if rng.random() < 0.5 else None
    return {
        "entity": f"topic {entity}",
        "since": since,
        "until": since and since + rng.choice((1, 7, 30)) * timedelta(days=1),
        "as_of": BEGIN + rng.random() * periods * PERIOD if rng.random() < 0.5 else None,
        "limit": rng.choice((20, 20, 200)),
    }


def _plain(database: Database, name: str, asked: dict[str, Any]) -> float:
    with database.transaction(read_only=True) as connection:
        identity = connection.scalar(
            text("SELECT id FROM topics WHERE name = :name"), {"name": asked["entity"]}
        )
        values = {"id": identity, "number": 5, "since": asked["since"], "until": asked["until"]}
        statement = text(PLAIN[name])
        started = time.perf_counter()
        connection.execute(statement, {key: values[key] for key in statement._bindparams}).all()
        return 1000 * (time.perf_counter() - started)


def show(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(
        title=f"{figures['calls']} random calls each; {figures['periods']:,} periods, "
        f"{figures['snapshots']:,} snapshots, {figures['entities']:,} entities"
    )
    table.add_column("tool")
    for column in ("median ms", "worst ms", "plain SQL: median ms", "worst ms"):
        table.add_column(column, justify="right")
    for name, row in figures["tools"].items():
        table.add_row(name, *(f"{row[key]:.1f}" for key in row))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
