"""A small world with everything that a claim is about."""

import uuid
from dataclasses import dataclass

from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.reanalysis import reanalyse
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from temporal_pipeline.defs.trends.refreshing import refresh_view
from tests.crosshot_rows import add_content, add_task, add_topic, add_user, at
from tests.defs.periods.world import cut, periods_of


@dataclass(frozen=True)
class World:
    """Two topics and a user that shares posts with the first; ids of what tests spoil."""

    topic: uuid.UUID
    other_topic: uuid.UUID
    user: uuid.UUID


def make_world(database: Database) -> World:
    """Periods 0 and 1, the topic's Period 0 analysed again, a late arrival, and contents that are not linked."""
    with database.transaction() as connection:
        topic, other_topic = add_topic(connection, "trains"), add_topic(connection, "ships")
        user = add_user(connection)
        for hour in range(3):
            add_content(connection, topic=topic, crawled_at=at(hour))
            add_content(connection, topic=other_topic, crawled_at=at(hour))
            add_content(connection, user=user, crawled_at=at(hour))
            add_content(connection, topic=topic, user=user, crawled_at=at(hour))
        add_content(connection)
        add_content(connection, topic=topic, crawled_at=at(10**6))
    finish(database)
    with database.transaction() as connection:
        # A late arrival: Period 0 ended after it.
        add_content(connection, topic=topic, crawled_at=at(1.5))
        add_content(connection, topic=topic, crawled_at=at(20))
        add_content(connection, topic=topic, user=user, crawled_at=at(21))
    finish(database)
    reanalyse(database, periods_of(database, topic)[0].id, "the figures were doubted", uuid.uuid4().hex)
    with database.transaction() as connection:
        running = add_task(
            connection, topic=other_topic, started_at=at(30), status="running", completed_at=None
        )
        add_content(connection, task=running, topic=other_topic, crawled_at=at(30))
    refresh_view(database)
    return World(topic, other_topic, user)


def finish(database: Database) -> None:
    """A cut and what follows it."""
    cut(database)
    freeze_periods(database, uuid.uuid4().hex)
    with database.transaction() as connection:
        connection.execute(text("UPDATE temporal_pipeline.prepared_content SET note = 'made by a test'"))
    refresh_view(database)
