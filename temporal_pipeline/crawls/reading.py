"""The crawls of entities, from the application's tasks and from what those found."""

import math
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from temporal_pipeline.crawls.coverage import Crawl
from temporal_pipeline.database import Queries
from temporal_pipeline.entities import EntityType

# The application's own default for `schedule_interval_hours`.
DEFAULT_INTERVAL_HOURS = 6.0
# A year: a configured interval beyond it is a typing error that would overflow dates.
LONGEST_INTERVAL_HOURS = 8766.0


def crawls_of(
    connection: Connection,
    entity_type: EntityType,
    entity_ids: Sequence[uuid.UUID],
    until: datetime | None = None,
) -> dict[uuid.UUID, list[Crawl]]:
    """Per entity its crawls that began at or before `until`, oldest first; every id asked for is a key.

    A crawl is a task that names the entity, or one that found contents of it. Its time is the task's; where
    the task was never marked as worked on (it may stay pending for life), the `crawled_at` of what it found.
    """
    crawls: dict[uuid.UUID, list[Crawl]] = {entity_id: [] for entity_id in entity_ids}
    parameters = {"entity_type": entity_type, "entity_ids": list(entity_ids), "until": until}
    for row in connection.execute(Queries(__package__)["crawls_of"], parameters):
        crawls[row.entity_id].append(Crawl(row.began, row.ended, row.earliest_post, row.timeline))
    return crawls


def schedule_intervals(
    connection: Connection, entity_type: EntityType, entity_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, timedelta]:
    """Per entity that exists the configured time between two crawls; 6 hours where that is not a number."""
    parameters = {"entity_type": entity_type, "entity_ids": list(entity_ids)}
    rows = connection.execute(Queries(__package__)["schedule_intervals"], parameters)
    return {row.entity_id: timedelta(hours=_hours(row.hours)) for row in rows}


def _hours(configured: str | None) -> float:
    try:
        hours = float(configured or "")
    except ValueError:
        return DEFAULT_INTERVAL_HOURS
    return hours if math.isfinite(hours) and 0 < hours <= LONGEST_INTERVAL_HOURS else DEFAULT_INTERVAL_HOURS
