"""What a backfill costs and whom it disturbs: `python -m benchmarks.backfill --rows 1000000 --entities 1000 [--json]`.

On copies of one migrated database: the backfill and its floor (plain UPDATEs of the same columns), each by itself and
beside a writer with 200 statements per second, with the writer alone for control. The naive ways are shown on a sample
of the topics and users, and their seconds are extrapolated.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from benchmarks.live import Writer, control, copy_of, in_own_process, legacy_database, settle
from benchmarks.ways import Work, carefully, in_one_transaction, plainly, row_by_row
from benchmarks.writing import Writes
from temporal_pipeline.bulk import WORKERS
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import perform_cut
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.operations.backfill import backfill

CONTROL_SECONDS = 20.0
# The writer's own beginning and what a backfill leaves to do are part of what is measured.
MARGIN_SECONDS = 1.0
STRAYS = text("""
    SELECT c.id, owner.type, count(p.id) AS periods
    FROM contents c
    CROSS JOIN LATERAL (VALUES ('topic', c.topic_id), ('user', c.user_id)) AS owner (type, id)
    LEFT JOIN temporal_pipeline.period_member m ON m.content_id = c.id
    LEFT JOIN analysis_periods p
      ON p.id = m.period_id AND p.entity_type = owner.type AND p.entity_id = owner.id AND p.status = 'active'
    WHERE owner.id IS NOT NULL
      AND (CAST(:contents AS uuid[]) IS NULL OR c.id = ANY (CAST(:contents AS uuid[])))
    GROUP BY c.id, owner.type HAVING count(p.id) <> 1
""")


# Late arrivals lie before the start of a later period.
DISAGREEMENTS = text("""
    SELECT count(*)
    FROM analysis_periods p
    CROSS JOIN LATERAL (
        SELECT count(*) AS members, min(c.crawled_at) AS first, max(c.crawled_at) AS last
        FROM temporal_pipeline.period_member m JOIN contents c ON c.id = m.content_id
        WHERE m.period_id = p.id
    ) found
    WHERE p.status = 'active'
      AND (found.members <> p.content_count OR found.last >= p.period_end
           OR (p.period_number = 0 AND found.first < p.period_start))
""")


@click.command()
@click.option("--rows", type=click.IntRange(1), default=100_000, show_default=True, help="How many contents.")
@click.option(
    "--entities", type=click.IntRange(4), default=1_000, show_default=True, help="Topics and users."
)
@click.option("--largest", type=click.IntRange(0), help="Contents of the largest topic.  [default: 4 %]")
@click.option("--workers", type=click.IntRange(1), default=WORKERS, show_default=True)
@click.option("--sample", default=20_000, show_default=True, help="Contents for the naive ways.")
@click.option("--control", "seconds", default=CONTROL_SECONDS, show_default=True, help="Seconds without it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    rows: int, entities: int, largest: int | None, workers: int, sample: int, seconds: float, as_json: bool
) -> None:
    """Measure backfills on databases that are thrown away."""
    with legacy_database(rows, entities, largest) as database:
        upgrade(database)
        measures: dict[str, Callable[[], dict[str, Any]]] = {
            "floor": lambda: alone(database, plainly, rows),
            "floor beside a writer": lambda: beside_writer(database, plainly, rows, seconds),
            "alone": lambda: alone(database, carefully, workers),
            "beside a writer": lambda: beside_writer(database, carefully, workers, seconds),
            "row by row": lambda: alone(database, row_by_row, min(sample, rows) // 4),
            "in one transaction": lambda: beside_writer(
                database, in_one_transaction, min(sample, rows), seconds
            ),
        }
        figures: dict[str, Any] = {"rows": rows, "entities": entities}
        for name, measure in measures.items():
            figures[name] = measure()
            # A million contents take a quarter of an hour: what is known is told.
            click.echo(f"{name}: {figures[name]}", err=True)
    print(json.dumps(figures, indent=2)) if as_json else show(figures)


def alone(database: Database, way: Callable[[str, int], Work], argument: int) -> dict[str, Any]:
    """Work on a copy with nobody else there."""
    with copy_of(database) as copy:
        settle(copy)
        work = asdict(in_own_process(way, copy.url, argument))
        return work | {"left": leftovers(copy)} if way is carefully else work


def beside_writer(
    database: Database, way: Callable[[str, int], Work], argument: int, control_seconds: float
) -> dict[str, Any]:
    """Work on a copy beside the writer, and what became of the contents that this one inserted meanwhile."""
    with copy_of(database) as copy:
        settle(copy)
        without = control(copy.url, control_seconds)
        with Writer(copy.url) as writer, margins():
            began = time.time()
            work = in_own_process(way, copy.url, argument)
            ended = time.time()
        during = writer.writes.between(began, ended)
        fates = fates_of(copy, writer.writes) if way is carefully else {}
    return (
        asdict(work)
        | {
            "control_longest_ms": without.longest_ms,
            "longest_ms": during.longest_ms,
            "beyond_control_ms": max(0.0, during.longest_ms - without.longest_ms),
            "p99_ms": during.p99_ms,
            "control_p99_ms": without.p99_ms,
            "writes": during.count,
            "failed": len(writer.writes.failed),
            "errors": dict(writer.writes.errors),
        }
        | fates
    )


@contextmanager
def margins() -> Iterator[None]:
    time.sleep(MARGIN_SECONDS)
    yield
    time.sleep(MARGIN_SECONDS)


def fates_of(database: Database, writes: Writes) -> dict[str, Any]:
    """How many contents the writer inserted, and what is wrong after what came too late has its period too."""
    wrong_at_once = disagreements(database)
    backfill(database)
    perform_cut(database, "what came meanwhile")
    left = leftovers(database)
    return {
        "inserted": len(writes.inserted),
        "left": left | {"wrong periods": left["wrong periods"] + wrong_at_once},
    }


def leftovers(database: Database) -> dict[str, int]:
    """How many owned contents, whoever wrote them, are in no period of an owner or in two, and how many periods do
    not agree with their members.
    """
    found = strays(database)
    return {
        "lost": sum(1 for row in found if row.periods == 0),
        "twice": sum(1 for row in found if row.periods > 1),
        "wrong periods": disagreements(database),
    }


def disagreements(database: Database) -> int:
    """How many active periods have another content_count than members, or a member after their end, or before the
    start of the first one of its entity.
    """
    with database.transaction(read_only=True) as connection:
        return connection.execute(DISAGREEMENTS).scalar_one()


def strays(database: Database, contents: Sequence[uuid.UUID] | None = None) -> Sequence[Any]:
    """Owned contents that are not in exactly one period of each owner: rows (id, type, periods)."""
    with database.transaction(read_only=True) as connection:
        return connection.execute(STRAYS, {"contents": None if contents is None else list(contents)}).all()


def show(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    plain, rows = figures["floor"], figures["rows"]
    plain_rate = plain["contents"] / plain["linking_seconds"]
    table = Table(title=f"{rows:,} contents of {figures['entities']:,} entities")
    table.add_column("linking")
    for column in (
        "contents",
        "seconds",
        "rows/s",
        "× plain",
        "longest ms",
        "beyond control",
        "failed",
        "peak MB",
    ):
        table.add_column(column, justify="right")
    names = {
        "floor": "one plain UPDATE",
        "floor beside a writer": "one plain UPDATE beside a writer",
        "alone": "backfill alone",
        "beside a writer": "backfill beside a writer",
        "row by row": "objects row by row",
        "in one transaction": "objects in one transaction",
    }
    for way, name in names.items():
        work = figures[way]
        rate = work["contents"] / work["linking_seconds"]
        stalls = "longest_ms" in work
        table.add_row(
            name,
            f"{work['contents']:,}",
            f"{work['linking_seconds']:.1f}",
            f"{rate:,.0f}",
            f"{rate / plain_rate:.2f}",
            f"{work['longest_ms']:,.0f}" if stalls else "",
            f"{work['beyond_control_ms']:,.0f}" if stalls else "",
            f"{work['failed']:,}" if stalls else "",
            f"{work['peak_memory_mb']:,}",
        )
    console = Console(width=130)
    console.print(table)
    for way, floor in (("alone", "floor"), ("beside a writer", "floor beside a writer")):
        work = figures[way]
        console.print(
            f"backfill {way}: preparing {work['preparing_seconds']:.1f} s "
            f"({work['preparing_seconds'] / figures[floor]['preparing_seconds']:.2f} × a plain UPDATE likewise), "
            f"linking {work['linking_seconds']:.1f} s, closing {work['closing_seconds']:.1f} s; "
            f"{work['chunks']:,} transactions of at most {work['longest_chunk_seconds']:.2f} s, "
            f"{work['retries']} gave way; "
            + ", ".join(f"{what}: {number}" for what, number in work["left"].items())
        )
    for way in ("row by row", "in one transaction"):
        work = figures[way]
        console.print(
            f"objects {way}: a sample of {work['contents']:,} contents; "
            f"all would take {work['seconds'] * plain['contents'] / work['contents']:,.0f} s"
        )
    console.print(f"contents inserted meanwhile: {figures['beside a writer']['inserted']:,}")


if __name__ == "__main__":
    main()
