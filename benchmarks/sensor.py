"""What the sensor asks the application's database each half minute: `python -m benchmarks.sensor [--json]`.

The database is as the graph leaves it, with some contents that wait. Beside each question's median stand the floor, a
plain count of what waits over the same index, and the straightforward alternative, the same count without the
index. The whole tick includes Dagster's own book-keeping on a storage of its own.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import dagster as dg
import psycopg
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from benchmarks.graph import throwaway_pipeline
from benchmarks.live import fill, settle
from temporal_pipeline.dagster_home import dagster_instance, libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.definitions import definitions
from temporal_pipeline.defs.events.reading import queries as events
from temporal_pipeline.defs.periods.cutting import waiting_entities
from temporal_pipeline.defs.schema.upgrade import is_at_head, upgrade

STATE = Path(__file__).with_name("sensor.sql")
COUNT = (
    "SELECT count(*) FROM contents "
    "WHERE analysis_period_id IS NULL AND (topic_id IS NOT NULL OR user_id IS NOT NULL) AND crawled_at <= now()"
)
INDEX_SCANS = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")


@click.command()
@click.option(
    "--rows", type=click.IntRange(100), default=1_000_000, show_default=True, help="How many contents."
)
@click.option("--entities", type=click.IntRange(4), default=200, show_default=True, help="Topics and users.")
@click.option(
    "--waiting", type=click.IntRange(0), default=2_000, show_default=True, help="How many of them wait."
)
@click.option("--repeats", type=click.IntRange(1), default=21, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(rows: int, entities: int, waiting: int, repeats: int, as_json: bool) -> None:
    """Measure the sensor's questions in a database that is thrown away."""
    with throwaway_pipeline() as database:
        prepare(database, rows, entities, waiting)
        figures = {
            "rows": rows,
            "entities": entities,
            "waiting": waiting,
            "milliseconds": measure(database, repeats),
        }
    print(json.dumps(figures, indent=2)) if as_json else show(figures)


def prepare(database: Database, rows: int, entities: int, waiting: int) -> None:
    """The application's month in large, migrated, and linked but for what waits."""
    fill(database, rows, entities, 0)
    upgrade(database)
    with psycopg.connect(libpq_url(database), autocommit=True) as connection:
        with psycopg.ClientCursor(connection) as cursor, connection.transaction():
            cursor.execute(STATE.read_bytes(), {"waiting": waiting})
        connection.execute("VACUUM ANALYZE")
    settle(database)


def measure(database: Database, repeats: int) -> dict[str, float]:
    """Medians in milliseconds of each question, the floor, the alternative, and a whole tick."""

    def without_index(connection: Connection) -> object:
        for scan in INDEX_SCANS:
            connection.exec_driver_sql(f"SET LOCAL {scan} = off")
        # In other words, or the plan that the server has prepared for the floor would be used.
        return connection.exec_driver_sql(f"{COUNT} -- without index").all()

    asked: dict[str, Callable[[Connection], object]] = {
        "is the schema at head": is_at_head,
        "what waits, of whom, and why": lambda c: waiting_entities(c, automatic=True),
        "open events with news": lambda c: c.execute(events["open_events_with_news"]).all(),
        "floor: count what waits by index": lambda c: c.exec_driver_sql(COUNT).all(),
        "alternative: count without index": without_index,
    }
    found = {name: median(database, question, repeats) for name, question in asked.items()}
    return found | {"whole tick": tick(database, repeats)}


def median(database: Database, question: Callable[[Connection], object], repeats: int) -> float:
    """Milliseconds of a question, the first one, which reads from disk, left out."""
    taken = []
    for _ in range(repeats + 1):
        with database.transaction(read_only=True) as connection:
            started = time.perf_counter()
            question(connection)
            taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken[1:])


def tick(database: Database, repeats: int) -> float:
    """Milliseconds of an evaluation of the sensor, connections at hand."""
    loaded = definitions()
    sensor = loaded.resolve_sensor_def("new_crawls")
    taken = []
    with dagster_instance(database) as instance:
        for _ in range(repeats + 1):
            with dg.build_sensor_context(
                instance, definitions=loaded, resources={"database": database}
            ) as context:
                started = time.perf_counter()
                sensor.evaluate_tick(context)
                taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken[1:])


def show(figures: dict[str, object]) -> None:
    """Print the figures as a table."""
    table = Table(
        title=f"{figures['rows']:,} contents of {figures['entities']} entities, {figures['waiting']:,} wait"
    )
    table.add_column("question")
    table.add_column("ms", justify="right")
    milliseconds = figures["milliseconds"]
    assert isinstance(milliseconds, dict)
    for question, taken in milliseconds.items():
        table.add_row(question, f"{taken:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
