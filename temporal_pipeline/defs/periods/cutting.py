"""Cutting periods: one cut per run links all due contents to drafts and closes these into periods."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from temporal_pipeline import problems
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.periods.closing import Draft, close, discard
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity

queries = Queries(__package__)

STAGE = "periods"
# The application may close a period of the same entity at the same moment; after a few such collisions in a
# row something else is wrong.
CLOSING_ATTEMPTS = 5
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
NO_ID = uuid.UUID(int=0)


@dataclass(frozen=True)
class Cut:
    """A cut as begun: its number, the instant at which contents are due, and from when on they count."""

    id: int
    instant: datetime
    since: datetime | None


class Position(NamedTuple):
    """A place in the order of crawl time."""

    crawled_at: datetime
    id: uuid.UUID


@dataclass(frozen=True)
class CutReport:
    """The outcome of a run's cut, also of one that an earlier call of the same run performed.

    `periods`: rows (id, entity_type, entity_id, name, period_number, period_start, period_end, content_count,
    summary_short). `waiting`: rows of entities whose contents wait, with the reason. `failed`: entities that
    could not be closed, with the reason.
    """

    linked: int
    periods: Sequence[Row[Any]]
    waiting: Sequence[Row[Any]]
    failed: Sequence[tuple[Entity, str]]
    unowned: int
    future: int


def perform_cut(
    database: Database,
    run_id: str,
    *,
    entities: Sequence[Entity] | None = None,
    since: datetime | None = None,
    batch_size: int = 2000,
    automatic: bool = False,
) -> CutReport:
    """Finish the cuts that other runs left unfinished, then perform this run's own, if anything is due.

    Called again in the same run it finds its cut finished and only reports. Only one process at a time does
    this; another one waits, then raises PipelineError with exit code 5.
    """
    with database.exclusive(STAGE):
        with database.transaction() as connection:
            require_head(connection)
            unfinished = [Cut(*row) for row in connection.execute(queries["unfinished_cuts"])]
        linked = 0
        failed: list[tuple[Entity, str]] = []
        for cut in unfinished:
            outcome = _finish(database, run_id, cut, batch_size)
            linked, failed = linked + outcome[0], failed + outcome[1]
        cut_or_none = database.write(lambda c: _begin(c, run_id, entities, since, automatic))
        if cut_or_none is not None:
            outcome = _finish(database, run_id, cut_or_none, batch_size)
            linked, failed = linked + outcome[0], failed + outcome[1]
    with database.transaction(read_only=True) as connection:
        return CutReport(
            linked=linked,
            periods=connection.execute(queries["periods_of_run"], {"run_id": run_id}).all(),
            waiting=waiting_entities(connection, entities, since, automatic),
            failed=failed,
            unowned=connection.scalar(queries["unowned_contents"]) or 0,
            future=connection.scalar(queries["future_contents"], {"instant": _now(connection)}) or 0,
        )


def waiting_entities(
    connection: Connection,
    entities: Sequence[Entity] | None = None,
    since: datetime | None = None,
    automatic: bool = False,
    instant: datetime | None = None,
) -> Sequence[Row[Any]]:
    """Primary owners of unlinked contents: rows (entity_type, entity_id, name, contents, oldest, newest,
    waiting_since, reason). A null reason means: a period is cut now.
    """
    return connection.execute(
        queries["waiting_entities"],
        {
            "instant": instant or _now(connection),
            "since": since,
            "entity_ids": None if entities is None else [entity.id for entity in entities],
            "automatic": automatic,
        },
    ).all()


def _now(connection: Connection) -> datetime:
    """The database's clock: runs on several machines agree about it."""
    row = connection.exec_driver_sql("SELECT now()").one()
    instant: datetime = row[0]
    return instant


def _begin(
    connection: Connection,
    run_id: str,
    entities: Sequence[Entity] | None,
    since: datetime | None,
    automatic: bool,
) -> Cut | None:
    """Begin this run's cut, unless it was begun before or no entity is ready."""
    if connection.scalar(queries["cut_of_run"], {"run_id": run_id}) is not None:
        return None
    instant = _now(connection)
    waiting = waiting_entities(connection, entities, since, automatic, instant)
    ready = [row for row in waiting if row.reason is None]
    if not ready:
        return None
    row = connection.execute(
        queries["open_cut"], {"run_id": run_id, "instant": instant, "since": since}
    ).one()
    connection.execute(
        queries["choose_entities"],
        {"cut": row.id, "types": [r.entity_type for r in ready], "ids": [r.entity_id for r in ready]},
    )
    return Cut(*row)


def _finish(
    database: Database, run_id: str, cut: Cut, batch_size: int
) -> tuple[int, list[tuple[Entity, str]]]:
    """Link what is due and close every draft. Returns the number of contents linked, and who failed."""
    linked = _link(database, cut, batch_size)
    database.write(lambda connection: _discard_vanished(connection, cut))
    failed = _close_drafts(database, run_id, cut)
    database.write(lambda connection: _note_end(connection, cut, run_id))
    return linked, failed


def _note_end(connection: Connection, cut: Cut, run_id: str) -> None:
    held = connection.scalar(queries["held_contents"], {"cut": cut.id})
    connection.execute(queries["finish_cut"], {"cut": cut.id, "run_id": run_id, "held": held})
    still_open = {Entity(*row) for row in connection.execute(queries["entities_with_drafts"])}
    problems.keep_only(connection, STAGE, still_open)


def _link(database: Database, cut: Cut, batch_size: int) -> int:
    """Sweep over the unlinked contents, page by page in order of crawl time, until a sweep links none.

    The position saves looking again at index entries of rows that were just linked; sweeping again finds
    rows that came, or were locked by the application, meanwhile.
    """
    linked = 0
    while True:
        before_sweep = linked
        position: Position | None = Position(BEGINNING, NO_ID)
        while position is not None:
            work = partial(_link_page, cut=cut, after=position, batch_size=batch_size)
            position, rows = database.write(work)
            linked += rows
        if linked == before_sweep:
            return linked


def _link_page(
    connection: Connection, cut: Cut, after: Position, batch_size: int
) -> tuple[Position | None, int]:
    """Link the due ones of the next `batch_size` unlinked contents.

    Returns where the page ended (None: there was none) and how many contents were linked.
    """
    page: dict[str, Any] = {
        "cut": cut.id,
        "instant": cut.instant,
        "since": cut.since,
        "after_time": after.crawled_at,
        "after_id": after.id,
        "batch_size": batch_size,
    }
    end = Position(*connection.execute(queries["end_of_page"], page).one())
    if end.id is None:
        return None, 0
    page |= {"end_time": end.crawled_at, "end_id": end.id}
    due = connection.execute(queries["lock_due_page"], page).all()
    unclaimed = [row for row in due if row.application_period is None]
    owners = {("topic", row.topic_id) for row in unclaimed if row.topic_id is not None}
    # A user whose own period takes the content needs no draft; one who shares it with a topic does.
    owners |= {
        ("user", row.user_id)
        for row in due
        if row.user_id is not None and (row.topic_id is not None or row.application_period is None)
    }
    if owners:
        types, ids = zip(*sorted(owners), strict=True)
        connection.execute(
            queries["insert_missing_drafts"],
            {"cut": cut.id, "instant": cut.instant, "types": list(types), "ids": list(ids)},
        )
    if due:
        connection.execute(
            queries["point_contents"],
            {
                "cut": cut.id,
                "contents": [row.id for row in due],
                "application_periods": [row.application_period for row in due],
            },
        )
    claimed = [row.id for row in due if row.application_period is not None and row.topic_id is not None]
    if claimed:
        connection.execute(queries["freeze_claimed"], {"cut": cut.id, "contents": claimed})
    return end, len(due)


def _discard_vanished(connection: Connection, cut: Cut) -> None:
    """Discard the drafts of entities that are gone."""
    for period in connection.scalars(queries["vanished_drafts"], {"cut": cut.id}).all():
        discard(connection, period)


def _close_drafts(database: Database, run_id: str, cut: Cut) -> list[tuple[Entity, str]]:
    with database.transaction(read_only=True) as connection:
        rows = connection.execute(queries["open_drafts"], {"cut": cut.id}).all()
    failed: list[tuple[Entity, str]] = []
    for row in rows:
        entity = Entity(row.entity_type, row.entity_id, row.name)
        draft = Draft(cut.id, cut.instant, entity, row.period_id, row.ready)
        try:
            if row.older_is_open:
                raise RuntimeError("an earlier period of it is still open")
            _close(database, draft, run_id)
        except Exception as error:
            failed.append((entity, problems.record(database, STAGE, entity, error, run_id)))
    return failed


def _close(database: Database, draft: Draft, run_id: str) -> None:
    for _ in range(CLOSING_ATTEMPTS - 1):
        try:
            database.write(lambda connection: close(connection, draft, run_id))
        except IntegrityError:
            continue
        return
    database.write(lambda connection: close(connection, draft, run_id))
