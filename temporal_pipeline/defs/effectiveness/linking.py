"""Telling the application's tasks which row counts what they found, and how long they took."""

import time
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.effectiveness.naming import NO_QUERY, normal_form, platform_of, query_of
from temporal_pipeline.entities import Entity

queries = Queries(__package__)

NO_ID = uuid.UUID(int=0)
# A crawler that reports a task holds it for a moment; one that holds it for longer has the next run wait.
SWEEPS = 3
PAUSE_SECONDS = 0.2

# The rows of a period on a platform, by normal form.
_Rows = Mapping[tuple[uuid.UUID, str], Mapping[str, uuid.UUID]]


def link_tasks(database: Database, entities: Sequence[Entity] | None, batch_size: int) -> tuple[int, int]:
    """Fill `effectiveness_id` of crawl tasks whose period was measured.

    Returns how many were linked, and how many the application held during every one of three sweeps. What
    is left to do is read from the tasks themselves, so that those, and what a run that dies has left, are
    linked by the next.
    """
    linked = held = 0
    for sweep in range(SWEEPS):
        if sweep:
            time.sleep(PAUSE_SECONDS)
        held = 0
        position: uuid.UUID | None = NO_ID
        while position is not None:
            parameters = _parameters(position, entities, batch_size)
            position, rows, skipped = database.write(partial(_link_batch, parameters))
            linked += rows
            held += skipped
        if not held:
            break
    return linked, held


def measure_durations(database: Database, entities: Sequence[Entity] | None, batch_size: int) -> int:
    """Fill `duration_seconds` of tasks that began and ended, in this order. Returns how many were filled."""
    position: uuid.UUID | None = NO_ID
    filled = 0
    while position is not None:
        parameters = _parameters(position, entities, batch_size)
        position, rows = database.write(partial(_duration_batch, parameters))
        filled += rows
    return filled


def _parameters(after: uuid.UUID, entities: Sequence[Entity] | None, batch_size: int) -> dict[str, Any]:
    ids = None if entities is None else [entity.id for entity in entities]
    return {"after": after, "entity_ids": ids, "batch_size": batch_size}


def _link_batch(parameters: dict[str, Any], connection: Connection) -> tuple[uuid.UUID | None, int, int]:
    """Returns the last id that was looked at (None: nothing left), how many were linked, how many held."""
    tasks = connection.execute(queries["lock_unlinked_tasks"], parameters).all()
    if not tasks:
        return None, 0, 0
    rows: dict[tuple[uuid.UUID, str], dict[str, uuid.UUID]] = {}
    periods = {"periods": sorted({task.period_id for task in tasks})}
    for row in connection.execute(queries["rows_of_periods"], periods):
        rows.setdefault((row.period_id, row.platform), {})[normal_form(row.query)] = row.id
    found = [(task, _row_of(task, rows)) for task in tasks if not task.is_held]
    links = [(task.id, row, task.period_id) for task, row in found if row is not None]
    if links:
        linked, targets, homes = map(list, zip(*links, strict=True))
        connection.execute(queries["link_tasks"], {"tasks": linked, "rows": targets, "periods": homes})
    return tasks[-1].id, len(links), len(tasks) - len(found)


def _row_of(task: Row[Any], rows: _Rows) -> uuid.UUID | None:
    """The row that counts a task: that of its query, on the platform where it found most.

    A query that became known, or another one, only after it was measured has no row: the task was counted
    without a query, or with whatever query it had; then the first on its platform stands for it.
    """
    query = normal_form(query_of(task.action, task.asked, task.username, task.widened))
    places = [(task.period_id, platform) for platform in (*task.platforms, platform_of(task.label))]
    by_query = [rows[place] for place in places if place in rows]
    exact = (known[query] for known in by_query if query in known)
    others = (known[min(known, key=lambda other: (other != NO_QUERY, other))] for known in by_query)
    return next(exact, None) or next(others, None)


def _duration_batch(parameters: dict[str, Any], connection: Connection) -> tuple[uuid.UUID | None, int]:
    """Returns the last id that was filled (None: nothing left) and how many were."""
    filled = connection.scalars(queries["measure_durations"], parameters).all()
    return max(filled, default=None), len(filled)
