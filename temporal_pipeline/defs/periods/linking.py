"""Linking contents to the draft periods of a cut, millions of them beside a crawler that goes on writing."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from temporal_pipeline.bulk import (
    PAGES_WORTH_A_ROW,
    Chunks,
    Progress,
    in_parallel,
    no_progress,
    page_ranges,
    pages_of,
)
from temporal_pipeline.database import Queries
from temporal_pipeline.holding import Hold

queries = Queries(__package__)

# Contents that have to leave a period do so in transactions of some 50 ms.
MOVED_AT_ONCE = {"most": 1000}
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
class Linker:
    """Links the due contents of one cut. Its methods may be called by several threads of one process."""

    hold: Hold
    cut: Cut
    chunks: Chunks
    # Whether the application has made periods of its own for entities of this cut.
    has_application_periods: bool

    def sweep_pages(self, pages: int, workers: int) -> None:
        """Link what is due in the first `pages` pages of contents, range by range.

        Reads rows as they lie on disk, which is several times faster than in any other order when most are
        due. A row that moves meanwhile is missed.
        """

        def work(pages: dict[str, str]) -> None:
            with self.hold.database.transaction(read_only=True) as connection:
                found = connection.scalars(queries["due_in_pages"], self._parameters | pages).all()
            self.link(found)

        in_parallel(workers, page_ranges(pages), work)

    def sweep_times(self) -> int:
        """Link what is due, in order of crawl time, through the index of unlinked contents. Returns how many.

        Finds what came, moved or was let go by the application meanwhile, unless it lies before the place
        where the sweep is.
        """
        return sum(self.link(found) for found in self._due_in_order())

    def link(self, rows: Sequence[str]) -> int:
        """Link those of the contents at these places on disk that are still there, due and not held."""
        linked = 0
        for piece in self.chunks.of(rows):
            while True:
                outcome = self.chunks.write(self.hold, partial(self._link, rows=piece))
                linked += outcome.linked
                if not outcome.types:
                    break
                self._make_drafts(outcome.types, outcome.ids)
        return linked

    def _due_in_order(self) -> Iterator[Sequence[str]]:
        after: Position | None = Position(BEGINNING, NO_ID)
        while after is not None:
            page = {"after_time": after.crawled_at, "after_id": after.id, "batch_size": self.chunks.most}
            with self.hold.database.transaction(read_only=True) as connection:
                row = connection.execute(queries["due_page"], self._parameters | page).one()
            after = None if row.last_id is None else Position(row.last_time, row.last_id)
            yield row.places

    def _link(self, connection: Connection, rows: Sequence[str]) -> tuple[int, Row[Any]]:
        outcome = connection.execute(
            queries["link_due"],
            self._parameters
            | {"places": list(rows), "has_application_periods": self.has_application_periods},
        ).one()
        if outcome.claimed:
            connection.execute(
                queries["freeze_claimed"], {"cut": self.cut.id, "contents": list(outcome.claimed)}
            )
        return outcome.linked, outcome

    def _make_drafts(self, types: Sequence[str], ids: Sequence[uuid.UUID]) -> None:
        self.hold.write(partial(make_drafts, cut=self.cut, types=types, ids=ids))

    @property
    def _parameters(self) -> dict[str, Any]:
        return {"cut": self.cut.id, "instant": self.cut.instant, "since": self.cut.since}


def make_drafts(connection: Connection, cut: Cut, types: Sequence[str], ids: Sequence[uuid.UUID]) -> None:
    """Make the drafts of a cut that owners, given by types and ids, still lack.

    Who does it first makes the others wait, and they find it done: contents may point to no draft of which
    the cut does not know.
    """
    connection.execute(queries["make_drafts_alone"], {"cut": cut.id})
    connection.execute(
        queries["insert_missing_drafts"],
        {"cut": cut.id, "instant": cut.instant, "types": types, "ids": ids},
    )


def link_due(
    hold: Hold, cut: Cut, *, batch_size: int, workers: int, progress: Progress = no_progress
) -> Chunks:
    """Link all due contents of a cut to drafts, which are made where they are missing.

    Many are linked page by page by several workers, then the rest, and few from the start, through the index
    of unlinked contents, until a sweep over it finds none. What the application holds all the time is left.
    """
    with hold.database.transaction(read_only=True) as connection:
        parameters = {"cut": cut.id, "instant": cut.instant, "since": cut.since}
        due = connection.execute(queries["due_of_cut"], parameters).one()
        pages = pages_of(connection, "contents")
    chunks = Chunks("linking", batch_size, total=due.contents, progress=progress)
    linker = Linker(hold, cut, chunks, due.has_application_periods)
    if due.contents * PAGES_WORTH_A_ROW >= pages:
        linker.sweep_pages(pages, workers)
    while due.contents and linker.sweep_times():
        pass
    return chunks


def finish_reanalyses(hold: Hold, run_id: str) -> None:
    """Let what points to a period that was analysed again point to its successor, in short transactions.

    Of every re-analysis that is not finished, whoever began it.
    """
    with hold.database.transaction(read_only=True) as connection:
        unfinished = connection.execute(queries["unfinished_reanalyses"]).all()
    for row in unfinished:
        while hold.write(partial(_move_contents, row=row), durable=False):
            pass
        finished = {"cut": row.cut, "successor": row.successor, "run_id": run_id}
        hold.write(partial(_finish_reanalysis, finished=finished))


def _move_contents(connection: Connection, row: Row[Any]) -> int:
    move = {"period": row.period, "successor": row.successor} | MOVED_AT_ONCE
    return connection.execute(queries["move_contents"], move).rowcount


def _finish_reanalysis(connection: Connection, finished: dict[str, Any]) -> None:
    connection.execute(queries["finish_reanalysis"], finished)
