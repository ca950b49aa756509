"""Cutting periods: one cut per run links all due contents to drafts and closes these into periods."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import DBAPIError, IntegrityError

from temporal_pipeline import problems
from temporal_pipeline.blockers import HeldUp
from temporal_pipeline.bulk import WORKERS, Chunks, Progress, in_parallel, no_progress
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.periods.closing import Draft, close, discard
from temporal_pipeline.defs.periods.linking import Cut, finish_reanalyses, link_due
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.holding import Hold, hold

queries = Queries(__package__)

STAGE = "periods"
# The application may close a period of the same entity at the same moment; after a few such collisions in a
# row something else is wrong.
CLOSING_ATTEMPTS = 5
# How many contents one transaction links at the most.
BATCH_SIZE = 2000


@dataclass
class Effort:
    """What the cuts of a call took: transactions that linked and how long the longest was, how often one gave
    way to the application, and the seconds spent on each part.
    """

    workers: int
    linked: int = 0
    chunks: int = 0
    retries: int = 0
    longest_chunk_seconds: float = 0.0
    linking_seconds: float = 0.0
    closing_seconds: float = 0.0

    def add(self, chunks: Chunks) -> None:
        """Count the transactions of one linking."""
        self.linked += chunks.done
        self.chunks += chunks.count
        self.retries += chunks.retries
        self.longest_chunk_seconds = max(self.longest_chunk_seconds, chunks.longest_seconds)


@dataclass(frozen=True)
class CutReport:
    """The outcome of a run's cut, also of one that an earlier call of the same run performed.

    `periods`: rows (id, entity_type, entity_id, name, period_number, period_start, period_end, content_count,
    summary_short). `waiting`: rows of entities whose contents wait, with the reason. `failed`: entities that
    could not be closed, with the reason. `linked` and `effort` are about this call alone.
    """

    periods: Sequence[Row[Any]]
    waiting: Sequence[Row[Any]]
    failed: Sequence[tuple[Entity, str]]
    unowned: int
    future: int
    effort: Effort

    @property
    def linked(self) -> int:
        """How many contents were linked."""
        return self.effort.linked


def perform_cut(
    database: Database,
    run_id: str,
    *,
    entities: Sequence[Entity] | None = None,
    since: datetime | None = None,
    batch_size: int = BATCH_SIZE,
    automatic: bool = False,
    workers: int = WORKERS,
    max_wait: float = 30,
    progress: Progress = no_progress,
) -> CutReport:
    """Finish what other runs left unfinished, cuts and re-analyses, then perform this run's own, if anything is due.

    Called again in the same run it finds its cut finished and only reports. Only one process at a time does
    this; another one waits `max_wait` seconds, then raises PipelineError with exit code 5. `progress` is told
    of contents `linking` and of periods `closing`, from any thread.
    """
    with hold(database, STAGE, max_wait) as held:
        cutter = _Cutter(held, run_id, batch_size, progress, Effort(workers))
        with database.transaction() as connection:
            require_head(connection)
            unfinished = [Cut(*row) for row in connection.execute(queries["unfinished_cuts"])]
        finish_reanalyses(held, run_id)
        for cut in unfinished:
            cutter.finish(cut)
        own = held.write(lambda c: _begin(c, run_id, entities, since, automatic))
        if own is not None:
            cutter.finish(own)
    with database.transaction(read_only=True) as connection:
        return CutReport(
            periods=connection.execute(queries["periods_of_run"], {"run_id": run_id}).all(),
            waiting=waiting_entities(connection, entities, since, automatic),
            failed=sorted(cutter.failed.items()),
            unowned=connection.scalar(queries["unowned_contents"]) or 0,
            future=connection.scalar(queries["future_contents"], {"instant": _now(connection)}) or 0,
            effort=cutter.effort,
        )


def finish_cuts(database: Database, run_id: str, *, older_than: timedelta, max_wait: float = 30) -> None:
    """Finish the cuts that were begun longer ago and left unfinished; begin none.

    Raises PipelineError (exit code 5) when another process cuts periods for longer than `max_wait` seconds.
    """
    with hold(database, STAGE, max_wait) as held:
        with database.transaction(read_only=True) as connection:
            begun_before = _now(connection) - older_than
            unfinished = [Cut(*row) for row in connection.execute(queries["unfinished_cuts"])]
        cutter = _Cutter(held, run_id, BATCH_SIZE, no_progress, Effort(WORKERS))
        for cut in unfinished:
            if cut.instant < begun_before:
                cutter.finish(cut)


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
    connection.execute(queries["analyze_choice"])
    return Cut(*row)


def _note_end(connection: Connection, cut: Cut, run_id: str, has_linked: bool) -> None:
    held = connection.scalar(queries["held_contents"], {"cut": cut.id}) if has_linked else None
    connection.execute(queries["finish_cut"], {"cut": cut.id, "run_id": run_id, "held": held})
    still_open = {Entity(*row) for row in connection.execute(queries["entities_with_drafts"])}
    problems.keep_only(connection, STAGE, still_open)


@dataclass(frozen=True)
class _Cutter:
    """What the cuts of one call have in common."""

    hold: Hold
    run_id: str
    batch_size: int
    progress: Progress
    effort: Effort
    failed: dict[Entity, str] = field(default_factory=dict)

    def finish(self, cut: Cut) -> None:
        """Link what is due and close every draft."""
        started = time.monotonic()
        with self.hold.database.transaction(read_only=True) as connection:
            takes_more = connection.execute(queries["takes_more"], {"cut": cut.id}).scalar_one()
        if takes_more:
            self._link(cut)
        self._discard_vanished(cut)
        linked = time.monotonic()
        self._close_drafts(cut)
        self.hold.write(lambda connection: _note_end(connection, cut, self.run_id, takes_more))
        self.effort.linking_seconds += linked - started
        self.effort.closing_seconds += time.monotonic() - linked

    def _link(self, cut: Cut) -> None:
        chunks = link_due(
            self.hold,
            cut,
            batch_size=self.batch_size,
            workers=self.effort.workers,
            progress=self.progress,
        )
        self.effort.add(chunks)

    def _discard_vanished(self, cut: Cut) -> None:
        """Discard the drafts of entities that are gone."""
        with self.hold.database.transaction(read_only=True) as connection:
            drafts = connection.scalars(queries["vanished_drafts"], {"cut": cut.id}).all()
        for period in drafts:
            while not self.hold.write(partial(discard, period=period), durable=False):
                pass

    def _close_drafts(self, cut: Cut) -> None:
        with self.hold.database.transaction(read_only=True) as connection:
            drafts = connection.execute(queries["open_drafts"], {"cut": cut.id}).all()
        closing = Chunks("closing", most=1, total=len(drafts), progress=self.progress)

        def work(row: Row[Any]) -> None:
            self._close(cut, row)
            closing.add(1)

        # A task that found contents of both belongs to the topic's period: these come first.
        for _, of_type in groupby(drafts, key=lambda row: row.entity_type):
            in_parallel(self.effort.workers, of_type, work)

    def _close(self, cut: Cut, row: Row[Any]) -> None:
        entity = Entity(row.entity_type, row.entity_id, row.name)
        draft = Draft(cut.id, cut.instant, entity, row.period_id, row.ready)
        try:
            if row.older_is_open:
                raise RuntimeError("an earlier period of it is still open")
            self._close_patiently(draft)
        except Exception as error:
            if _stops_everybody(error):
                raise
            # Drafts of later cuts fail since that of the first one did: its reason is the one to tell.
            if entity not in self.failed:
                self.failed[entity] = problems.record(self.hold.database, STAGE, entity, error, self.run_id)

    def _close_patiently(self, draft: Draft) -> None:
        for _ in range(CLOSING_ATTEMPTS - 1):
            try:
                self._close_in_steps(draft)
            except IntegrityError:
                continue
            return
        self._close_in_steps(draft)

    def _close_in_steps(self, draft: Draft) -> None:
        # What closes the cut waits for the disk, and this with it.
        while not self.hold.write(lambda connection: close(connection, draft, self.run_id), durable=False):
            pass


def _stops_everybody(error: Exception) -> bool:
    """Whether it is about the server, the run's lock or a whole table, and not about the entity."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return isinstance(error, PipelineError) and not (isinstance(error, HeldUp) and error.by_rows)
