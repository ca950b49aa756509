"""What a backfill costs and whom it disturbs: `python -m benchmarks.backfill --rows 1000000 --entities 1000 [--json]`.

On copies of one migrated database: the backfill by itself beside the floor (plain UPDATEs of the same columns), then
beside a writer with 200 statements per second, with the writer alone for control. The naive ways are shown on a sample
of the topics and users, and their seconds are extrapolated.
"""

import json
import resource
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, select, text
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import Session

from benchmarks.live import Writer, control, copy_of, in_own_process, legacy_database, settle
from benchmarks.writing import Writes
from temporal_pipeline.bulk import WORKERS
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import perform_cut
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.operations.backfill import backfill

CONTROL_SECONDS = 20.0
# The writer's own beginning and what a backfill leaves to do are part of what is measured.
MARGIN_SECONDS = 1.0
PLAIN_PREPARING = text(
    "UPDATE contents SET published_at = crawled_at - interval '1 minute', discovered_at = crawled_at,"
    " relevance_score = 0.7"
)
PLAIN_PERIOD = text(
    "INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, period_number,"
    " duration_hours, status, summary)"
    " SELECT 'topic', id, now(), now() + interval '1 hour', 0, 1, 'draft', '' FROM topics LIMIT 1 RETURNING id"
)
PLAIN_LINKING = text(
    "UPDATE contents SET analysis_period_id = :period WHERE topic_id IS NOT NULL OR user_id IS NOT NULL"
)
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


@dataclass(frozen=True)
class Work:
    """What somebody did who gave contents their period: how many, in what time, with how much memory.

    `peak_memory_mb` is that of the whole process, which has about 90 MB before it begins.
    """

    contents: int
    seconds: float
    peak_memory_mb: int
    preparing_seconds: float = 0.0
    linking_seconds: float = 0.0
    closing_seconds: float = 0.0
    chunks: int = 0
    retries: int = 0
    longest_chunk_seconds: float = 0.0


def carefully(url: str, workers: int) -> Work:
    """Our way."""
    database = Database(url)
    started = time.monotonic()
    report = backfill(database, workers=workers)
    seconds = time.monotonic() - started
    database.dispose()
    if report.cut.failed:
        raise RuntimeError(f"failed: {report.cut.failed[0][1]}")
    prepared, effort = report.prepared, report.cut.effort
    return Work(
        contents=report.cut.linked,
        seconds=seconds,
        peak_memory_mb=peak_memory(),
        preparing_seconds=prepared.seconds,
        linking_seconds=effort.linking_seconds,
        closing_seconds=effort.closing_seconds,
        chunks=prepared.chunks + effort.chunks,
        retries=prepared.retries + effort.retries,
        longest_chunk_seconds=max(prepared.longest_chunk_seconds, effort.longest_chunk_seconds),
    )


def in_one_transaction(url: str, sample: int) -> Work:
    """The usual way: per topic and user all its contents as objects, their attributes set, one commit."""
    return with_objects(url, sample, lambda session, content: None)


def row_by_row(url: str, sample: int) -> Work:
    """The same with each content written and committed by itself."""
    return with_objects(url, sample, lambda session, content: session.commit())


def with_objects(url: str, sample: int, after_each: Callable[[Session, Any], None]) -> Work:
    """Link about `sample` contents through an ORM."""
    database = Database(url)
    tables = automap_base()
    tables.prepare(autoload_with=database.engine)
    started = time.monotonic()
    linked = 0
    with Session(database.engine, expire_on_commit=False) as session:
        for kind, owner in (("topic", tables.classes.topics), ("user", tables.classes.users)):
            pointer = getattr(tables.classes.contents, f"{kind}_id")
            for entity in session.scalars(select(owner)).all():
                if linked >= sample:
                    break
                linked += _link_objects(
                    session, tables.classes, kind, pointer == entity.id, entity.id, after_each
                )
        session.commit()
    seconds = time.monotonic() - started
    database.dispose()
    return Work(linked, seconds, peak_memory(), linking_seconds=seconds)


def _link_objects(
    session: Session,
    tables: Any,
    kind: str,
    is_its: Any,
    owner: uuid.UUID,
    after_each: Callable[[Session, Any], None],
) -> int:
    now = datetime.now(UTC)
    unlinked = is_its & tables.contents.analysis_period_id.is_(None)
    contents = session.scalars(select(tables.contents).where(unlinked)).all()
    if not contents:
        return 0
    period = tables.analysis_periods(
        id=uuid.uuid4(), entity_type=kind, entity_id=owner, period_number=0, duration_hours=1, summary="",
        period_start=min(content.crawled_at for content in contents), period_end=now,
        content_count=len(contents),
    )  # fmt: skip
    session.add(period)
    session.flush()
    for content in contents:
        content.analysis_period_id = period.id
        content.discovered_at = content.crawled_at
        after_each(session, content)
    return len(contents)


def peak_memory() -> int:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


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
            "floor": lambda: floor(database),
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


def floor(database: Database) -> dict[str, float]:
    """Contents and seconds of plain statements that write the same columns of the same rows."""
    with copy_of(database) as copy:
        settle(copy)
        preparing, _ = timed(copy, lambda connection: connection.execute(PLAIN_PREPARING).rowcount)
        settle(copy)

        def link(connection: Connection) -> int:
            period = connection.execute(PLAIN_PERIOD).scalar_one()
            return connection.execute(PLAIN_LINKING, {"period": period}).rowcount

        linking, contents = timed(copy, link)
    return {"contents": contents, "preparing_seconds": preparing, "linking_seconds": linking}


def timed(database: Database, work: Callable[[Connection], int]) -> tuple[float, int]:
    """Seconds of a transaction, the commit included, and its result."""
    started = time.monotonic()
    with database.transaction() as connection:
        result = work(connection)
    return time.monotonic() - started, result


def alone(database: Database, way: Callable[[str, int], Work], argument: int) -> dict[str, Any]:
    """Work on a copy with nobody else there."""
    with copy_of(database) as copy:
        settle(copy)
        return asdict(in_own_process(way, copy.url, argument))


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
        fates = None if way is not carefully else fates_of(copy, writer.writes)
    return asdict(work) | {
        "control_longest_ms": without.longest_ms,
        "longest_ms": during.longest_ms,
        "beyond_control_ms": max(0.0, during.longest_ms - without.longest_ms),
        "p99_ms": during.p99_ms,
        "control_p99_ms": without.p99_ms,
        "writes": during.count,
        "failed": len(writer.writes.failed),
        "errors": dict(writer.writes.errors),
        "inserted": fates,
    }


@contextmanager
def margins() -> Iterator[None]:
    time.sleep(MARGIN_SECONDS)
    yield
    time.sleep(MARGIN_SECONDS)


def fates_of(database: Database, writes: Writes) -> dict[str, int]:
    """How many contents the writer inserted, and how many of them are in no period or in two of an owner, after
    what came too late has its period too.
    """
    backfill(database)
    perform_cut(database, "what came meanwhile")
    found = strays(database, writes.inserted)
    return {
        "inserted": len(writes.inserted),
        "lost": sum(1 for row in found if row.periods == 0),
        "twice": sum(1 for row in found if row.periods > 1),
    }


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
    table.add_row(
        "one plain UPDATE",
        f"{plain['contents']:,}",
        f"{plain['linking_seconds']:.1f}",
        f"{plain_rate:,.0f}",
        "1.00",
    )
    for way in ("alone", "beside a writer", "row by row", "in one transaction"):
        work = figures[way]
        rate = work["contents"] / work["linking_seconds"]
        stalls = "longest_ms" in work
        table.add_row(
            f"backfill {way}" if work["chunks"] else f"objects {way}",
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
    for way in ("alone", "beside a writer"):
        work = figures[way]
        console.print(
            f"backfill {way}: preparing {work['preparing_seconds']:.1f} s "
            f"({work['preparing_seconds'] / plain['preparing_seconds']:.2f} × a plain UPDATE), "
            f"linking {work['linking_seconds']:.1f} s, closing {work['closing_seconds']:.1f} s; "
            f"{work['chunks']:,} transactions of at most {work['longest_chunk_seconds']:.2f} s, "
            f"{work['retries']} gave way"
        )
    for way in ("row by row", "in one transaction"):
        work = figures[way]
        console.print(
            f"objects {way}: a sample of {work['contents']:,} contents; "
            f"all would take {work['seconds'] * plain['contents'] / work['contents']:,.0f} s"
        )
    fates = figures["beside a writer"]["inserted"]
    console.print(
        f"contents inserted meanwhile: {fates['inserted']:,}, lost {fates['lost']}, twice {fates['twice']}"
    )


if __name__ == "__main__":
    main()
