"""The ways to give contents their period that `benchmarks.backfill` compares; it measures nothing by itself."""

import resource
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import Session

from benchmarks.live import settle
from temporal_pipeline.database import Database
from temporal_pipeline.operations.backfill import backfill

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


def plainly(url: str, _: int) -> Work:
    """The floor: two statements that write the same columns of all rows, each in one transaction."""
    database = Database(url)
    preparing, _ = timed(database, lambda connection: connection.execute(PLAIN_PREPARING).rowcount)
    settle(database)

    def link(connection: Connection) -> int:
        period = connection.execute(PLAIN_PERIOD).scalar_one()
        return connection.execute(PLAIN_LINKING, {"period": period}).rowcount

    linking, contents = timed(database, link)
    database.dispose()
    return Work(
        contents, preparing + linking, peak_memory(), preparing_seconds=preparing, linking_seconds=linking
    )


def timed(database: Database, work: Callable[[Connection], int]) -> tuple[float, int]:
    """Seconds of a transaction, the commit included, and its result."""
    started = time.monotonic()
    with database.transaction() as connection:
        result = work(connection)
    return time.monotonic() - started, result


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
