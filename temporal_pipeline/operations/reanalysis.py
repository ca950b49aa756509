"""Analysing a period again, and deriving anew what depends on it."""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness.measuring import measure_periods
from temporal_pipeline.defs.events.searching import detect_events
from temporal_pipeline.defs.periods.reanalysis import queries, reanalyse
from temporal_pipeline.defs.trends.refreshing import refresh_view
from temporal_pipeline.entities import Entity


@dataclass(frozen=True)
class Reanalysis:
    """What a re-analysis came to. `pair`: the successor beside the old period, a row of the query `reanalysed`.

    `is_resumed`: an earlier one, for the same reason, had been stopped before its end, and was finished instead
    of being followed by another. `failed`: the stages that could not derive anew, each with the reason; the
    period is analysed again all the same, and the next run tries these stages again.
    """

    run_id: str
    entity: Entity
    pair: Row[Any]
    is_resumed: bool
    failed: tuple[tuple[str, str], ...]


def reanalyse_period(
    database: Database, entity: Entity, period: uuid.UUID, reason: str, run_id: str, *, max_wait: float = 30
) -> Reanalysis:
    """Analyse a period of `entity` again; then the trend view is refreshed, its queries are measured and its events
    searched, each under its own lock, so that other runs may be at work meanwhile.

    Killed anywhere and called again with the same reason, it goes on where it stopped. Raises PipelineError as
    `reanalyse` does, and (exit code 5) when another run holds one of the later stages for long.
    """
    successor = reanalyse(database, period, reason, run_id, max_wait=max_wait)
    refresh_view(database)
    measured = measure_periods(database, run_id, entities=[entity])
    # Last: without its mark the re-analysis counts as half done.
    searched = detect_events(database, run_id, entities=[entity])
    with database.transaction(read_only=True) as connection:
        pair = connection.execute(queries["reanalysed"], {"period": successor}).one()
    failed = {("effectiveness", why) for _, why in measured.failed}
    failed |= {("events", why) for _, why in searched.failed}
    return Reanalysis(run_id, entity, pair, successor == period, tuple(sorted(failed)))
