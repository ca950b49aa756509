"""Preparing contents: their publication times are read and their relevance is scored, once."""

import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.bulk import (
    PAGES_WORTH_A_ROW,
    WORKERS,
    Chunks,
    Progress,
    in_parallel,
    no_progress,
    page_ranges,
    pages_of,
)
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.contents import dates
from temporal_pipeline.defs.contents.answers import Answer, Knowledge
from temporal_pipeline.defs.contents.learning import CHARACTERS_READ, learn_new, scoring_done
from temporal_pipeline.defs.contents.relevance.scoring import METHOD
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity
from temporal_pipeline.holding import Hold, hold

queries = Queries(__package__)

STAGE = "contents"
# The first sweep takes everything, the others what the application had locked meanwhile; what arrives later
# is the next run's.
SWEEPS = 3
NO_ID = uuid.UUID(int=0)


@dataclass
class Tally:
    """Counts over the contents of one owner."""

    contents: int = 0
    scored: int = 0
    relevance_sum: float = 0.0
    dated: int = 0

    def add(self, answer: Answer) -> None:
        self.contents += 1
        self.dated += answer.published_at is not None
        if answer.relevance is not None:
            self.scored += 1
            self.relevance_sum += answer.relevance


@dataclass
class Report:
    """What a run prepared. `notes`: how often each reason was given; `tenths`: scores by tenth (0 to 9);
    `owners`: per id of the primary owner (None: without one); `left`: contents that stayed locked by others,
    or arrived while this run was at work. `chunks`: transactions that wrote; `retries`: how often one gave way
    to the application; the longest and all together took so many seconds.
    """

    notes: Counter[str] = field(default_factory=Counter)
    tenths: Counter[int] = field(default_factory=Counter)
    owners: defaultdict[uuid.UUID | None, Tally] = field(default_factory=lambda: defaultdict(Tally))
    scored_elsewhere: int = 0
    left: int = 0
    workers: int = WORKERS
    chunks: int = 0
    retries: int = 0
    longest_chunk_seconds: float = 0.0
    seconds: float = 0.0

    def add(self, answer: Answer) -> None:
        self.notes.update(answer.reasons)
        self.owners[answer.owner].add(answer)
        self.scored_elsewhere += answer.scored_elsewhere
        if answer.relevance is not None:
            self.tenths[min(int(answer.relevance * 10), 9)] += 1

    @property
    def rows_written(self) -> int:
        return sum(tally.contents for tally in self.owners.values())

    @property
    def scored(self) -> int:
        return sum(tally.scored for tally in self.owners.values())

    @property
    def dated(self) -> int:
        return sum(tally.dated for tally in self.owners.values())


def prepare_contents(
    database: Database,
    *,
    entities: Sequence[Entity] | None = None,
    since: datetime | None = None,
    batch_size: int = 1000,
    workers: int = WORKERS,
    max_wait: float = 30,
    progress: Progress = no_progress,
) -> Report:
    """Fill published_at, discovered_at and relevance_score of every content that was never prepared.

    Values that are there already are left alone. Each batch and its marks are one transaction, so that a run
    that dies leaves nothing half done and the next one goes on. Raises PipelineError when the schema is not
    at head, or with exit code 5 when another run goes on preparing contents for `max_wait` seconds. `progress`
    is told of contents `preparing`, from any thread.
    """
    started = time.monotonic()
    report = Report(workers=workers)
    with hold(database, STAGE, max_wait) as held:
        with database.transaction(read_only=True) as connection:
            require_head(connection)
            pages = pages_of(connection, "contents")
        report.left = _count_unprepared(database, entities, since)
        chunks = Chunks("preparing", batch_size, total=report.left, progress=progress)
        scope = selection(entities, since)
        owners = learn_new(database, scope)
        preparer = _Preparer(held, scope, chunks, report)
        for _ in range(SWEEPS):
            if not report.left:
                break
            if report.left * PAGES_WORTH_A_ROW >= pages:
                in_parallel(workers, page_ranges(pages), preparer.sweep_pages)
            else:
                preparer.sweep_ids()
            report.left = _count_unprepared(database, entities, since)
        # Also of what is left: a busy crawler always leaves something, and would never be learnt from again.
        scoring_done(database, owners)
        if chunks.done:
            held.write(lambda connection: connection.execute(queries["make_durable"]))
    report.chunks, report.retries = chunks.count, chunks.retries
    report.longest_chunk_seconds, report.seconds = chunks.longest_seconds, time.monotonic() - started
    return report


def unprepared_contents(
    connection: Connection, entities: Sequence[Entity] | None = None, since: datetime | None = None
) -> Sequence[Row[Any]]:
    """Rows (entity_id, contents, without_relevance, without_publication_time) of what a run would prepare."""
    return connection.execute(queries["unprepared_by_owner"], selection(entities, since)).all()


def selection(entities: Sequence[Entity] | None, since: datetime | None) -> dict[str, Any]:
    """The parameters that narrow a run: entities are primary owners, `since` is about crawled_at."""
    return {
        "everybody": entities is None,
        "entity_ids": [entity.id for entity in entities or ()],
        "since": since,
    }


def _count_unprepared(database: Database, entities: Sequence[Entity] | None, since: datetime | None) -> int:
    with database.transaction(read_only=True) as connection:
        return sum(row.contents for row in unprepared_contents(connection, entities, since))


@dataclass(frozen=True)
class _Preparer:
    """Prepares contents; its methods may be called by several threads, so that one computes while another writes."""

    hold: Hold
    scope: dict[str, Any]
    chunks: Chunks
    report: Report
    knowledge: Knowledge = field(default_factory=Knowledge)
    _reporting: threading.Lock = field(default_factory=threading.Lock)

    def sweep_pages(self, pages: dict[str, str]) -> None:
        """Prepare the contents in a range of pages; one that moves meanwhile is missed."""
        with self.hold.database.transaction(read_only=True) as connection:
            places = connection.scalars(queries["unprepared_in_pages"], self.scope | pages).all()
        self._prepare(places)

    def sweep_ids(self) -> None:
        """Prepare contents in order of id, through the index of the unprepared ones."""
        position = NO_ID
        while True:
            page = {"after": position, "batch_size": self.chunks.most}
            with self.hold.database.transaction(read_only=True) as connection:
                rows = connection.execute(queries["unprepared_page"], self.scope | page).all()
            if not rows:
                return
            self._prepare([row.place for row in rows])
            position = rows[-1].id

    def _prepare(self, places: Sequence[str]) -> None:
        """Read and compute without holding anything, then write in one short transaction."""
        for piece in self.chunks.of(places):
            with self.hold.database.transaction(read_only=True) as connection:
                rows = connection.execute(
                    queries["read_contents"],
                    {"places": list(piece), "characters": CHARACTERS_READ, "date_keys": list(dates.KEYS)},
                ).all()
                answers = self.knowledge.answers(connection, rows)
            written = self.chunks.write(self.hold, partial(_write, answers=answers))
            with self._reporting:
                for answer in written:
                    self.report.add(answer)


def _write(connection: Connection, answers: Sequence[Answer]) -> tuple[int, list[Answer]]:
    """Write the answers for contents that are as they were read and not held by the application: which, and how
    many these are.
    """
    written = set(
        connection.scalars(
            queries["write_answers"],
            {
                "places": [answer.place for answer in answers],
                "ids": [answer.content for answer in answers],
                "published": [answer.published_at for answer in answers],
                "scores": [answer.relevance for answer in answers],
                "notes": [answer.note for answer in answers],
                "method": METHOD,
            },
        )
    )
    return len(written), [answer for answer in answers if answer.content in written]
