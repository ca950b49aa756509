"""Telling the application's tasks which row counts what they found, and how long they took."""

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.effectiveness.naming import platform_of, query_of
from temporal_pipeline.entities import Entity

queries = Queries(__package__)

NO_ID = uuid.UUID(int=0)

# Does one batch, given its parameters; returns the last id that it looked at (None: nothing left) and its rows.
_Batch = Callable[[dict[str, Any], Connection], tuple[uuid.UUID | None, int]]


def link_tasks(database: Database, entities: Sequence[Entity] | None, batch_size: int) -> int:
    """Fill `effectiveness_id` of crawl tasks whose period was measured. Returns how many were linked.

    What is left to do is read from the tasks themselves, so that a run that dies is continued by the next.
    """
    return _sweep(database, _link_batch, entities, batch_size)


def measure_durations(database: Database, entities: Sequence[Entity] | None, batch_size: int) -> int:
    """Fill `duration_seconds` of tasks that began and ended, in this order. Returns how many were filled."""
    return _sweep(database, _duration_batch, entities, batch_size)


def _sweep(database: Database, batch: _Batch, entities: Sequence[Entity] | None, batch_size: int) -> int:
    position: uuid.UUID | None = NO_ID
    ids = None if entities is None else [entity.id for entity in entities]
    written = 0
    while position is not None:
        parameters = {"after": position, "entity_ids": ids, "batch_size": batch_size}
        position, rows = database.write(partial(batch, parameters))
        written += rows
    return written


def _link_batch(parameters: dict[str, Any], connection: Connection) -> tuple[uuid.UUID | None, int]:
    tasks = connection.execute(queries["lock_unlinked_tasks"], parameters).all()
    if not tasks:
        return None, 0
    periods = sorted({task.period_id for task in tasks})
    rows = {
        (row.period_id, row.platform, row.query): row.id
        for row in connection.execute(queries["rows_of_periods"], {"periods": periods})
    }
    links = []
    for task in tasks:
        query = query_of(task.action, task.asked, task.username, task.widened)
        places = [
            (task.period_id, platform, query) for platform in (*task.platforms, platform_of(task.label))
        ]
        row = next((rows[place] for place in places if place in rows), None)
        if row is not None:
            links.append((task.id, row, task.period_id))
    if links:
        linked, targets, homes = map(list, zip(*links, strict=True))
        connection.execute(queries["link_tasks"], {"tasks": linked, "rows": targets, "periods": homes})
    return tasks[-1].id, len(links)


def _duration_batch(parameters: dict[str, Any], connection: Connection) -> tuple[uuid.UUID | None, int]:
    filled = connection.scalars(queries["measure_durations"], parameters).all()
    return max(filled, default=None), len(filled)
