"""The crawls of entities, from the application's tasks and from what those found."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from temporal_pipeline.crawls.coverage import Crawl
from temporal_pipeline.database import Queries
from temporal_pipeline.entities import EntityType


def crawls_of(
    connection: Connection,
    entity_type: EntityType,
    entity_ids: Sequence[uuid.UUID],
    until: datetime | None = None,
    *,
    since: datetime | None = None,
) -> dict[uuid.UUID, list[Crawl]]:
    """Per entity its crawls that began at or before `until`, oldest first; every id asked for is a key.

    A crawl is a task that names the entity, or one that found contents of it. Its time is the task's; where
    the task was never marked as worked on (it may stay pending for life), the `crawled_at` of what it found.
    A time that cannot be (infinite, before 1970) counts as missing; a crawl that then has none is left out.

    `since` saves reading an entity's whole history: of earlier crawls only so much is read that the rest
    cover the same time from `since` on, provided that none lasted longer than a day.
    """
    crawls: dict[uuid.UUID, list[Crawl]] = {entity_id: [] for entity_id in entity_ids}
    parameters = {"entity_type": entity_type, "entity_ids": list(entity_ids), "until": until, "since": since}
    # All at once: fetching them one by one takes as long as finding them.
    rows = connection.execute(Queries(__package__)["crawls_of"], parameters).all()
    for entity_id, began, ended, earliest_post, timeline in rows:
        crawls[entity_id].append(Crawl(began, ended, earliest_post, timeline))
    return crawls
