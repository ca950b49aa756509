"""What holds of periods whatever the crawler does: random worlds, cut round by round."""

import itertools
import random
import uuid
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from temporal_pipeline.database import Database
from tests.crosshot_rows import add_content, add_task, add_topic, add_user, at
from tests.defs.periods.world import cut, rows

TOPICS, USERS = 2, 2


@dataclass
class Post:
    topic: int | None
    user: int | None
    hour: int


posts = st.builds(
    Post,
    topic=st.none() | st.integers(0, TOPICS - 1),
    user=st.none() | st.integers(0, USERS - 1),
    hour=st.integers(0, 200),
)
rounds = st.lists(st.lists(posts, max_size=8), min_size=1, max_size=4)


@dataclass
class World:
    """The entities of a random world, and the contents that have an owner."""

    topics: list[uuid.UUID] = field(default_factory=list)
    users: list[uuid.UUID] = field(default_factory=list)
    owned: int = 0


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rounds=rounds, batch_size=st.integers(1, 5), late_user_deletion=st.booleans())
def test_invariants(
    database: Database, rounds: list[list[Post]], batch_size: int, late_user_deletion: bool
) -> None:
    world = _new_world(database)
    for contents in rounds:
        _crawl(database, world, contents)
        cut(database, batch_size=batch_size)
        _assert_invariants(database, world)
    if late_user_deletion:
        with database.transaction() as c:
            c.execute(text("DELETE FROM users WHERE id = :id"), {"id": world.users[0]})
        cut(database, batch_size=batch_size)
        _assert_periods_are_sound(database)


def _new_world(database: Database) -> World:
    with database.transaction() as c:
        c.execute(
            text("TRUNCATE contents, tasks, topics, users, analysis_periods, temporal_pipeline.cut CASCADE")
        )
        return World(
            [add_topic(c, name=f"topic {i}") for i in range(TOPICS)],
            [add_user(c, name=f"user {i}") for i in range(USERS)],
        )


def _crawl(database: Database, world: World, contents: list[Post]) -> None:
    with database.transaction() as c:
        task = add_task(c, started_at=at(0))
        for post in contents:
            add_content(
                c,
                task=task,
                topic=None if post.topic is None else world.topics[post.topic],
                user=None if post.user is None else world.users[post.user],
                crawled_at=at(post.hour + random.Random(post.hour).random()),
            )
            world.owned += (post.topic, post.user) != (None, None)


def _assert_invariants(database: Database, world: World) -> None:
    _assert_periods_are_sound(database)
    # Every owned content is in exactly one period of each of its owners; an unowned one is in none.
    strays = rows(
        database,
        """
        WITH owner AS (
            SELECT id, 'topic' AS entity_type, topic_id AS entity_id FROM contents WHERE topic_id IS NOT NULL
            UNION ALL SELECT id, 'user', user_id FROM contents WHERE user_id IS NOT NULL
        ), placed AS (
            SELECT m.content_id AS id, p.entity_type, p.entity_id
            FROM temporal_pipeline.period_member m JOIN analysis_periods p ON p.id = m.period_id
        )
        (SELECT * FROM owner EXCEPT ALL SELECT * FROM placed)
        UNION ALL (SELECT * FROM placed EXCEPT ALL SELECT * FROM owner)
        """,
    )
    assert strays == []
    [linked] = rows(database, "SELECT count(analysis_period_id) AS n FROM contents")
    assert linked.n == world.owned
    [counted] = rows(
        database,
        "SELECT count(*) AS n FROM analysis_periods p WHERE content_count <> "
        "(SELECT count(*) FROM temporal_pipeline.period_member m WHERE m.period_id = p.id)",
    )
    assert counted.n == 0


def _assert_periods_are_sound(database: Database) -> None:
    periods = rows(
        database,
        "SELECT * FROM analysis_periods ORDER BY entity_type, entity_id, period_number",
    )
    assert {p.status for p in periods} <= {"active"}
    for previous, period in itertools.pairwise(periods):
        if previous.entity_id == period.entity_id:
            assert period.period_number == previous.period_number + 1
            assert period.period_start == previous.period_end
        else:
            assert period.period_number == 0
    counters = rows(
        database,
        """
        SELECT e.id FROM (
            SELECT id, 'topic' AS type, total_periods, current_period_number, last_period_id FROM topics
            UNION ALL SELECT id, 'user', total_periods, current_period_number, last_period_id FROM users
        ) e
        LEFT JOIN analysis_periods p ON p.entity_type = e.type AND p.entity_id = e.id
        GROUP BY e.id, e.total_periods, e.current_period_number, e.last_period_id
        HAVING (e.total_periods, e.current_period_number, e.last_period_id) IS DISTINCT FROM
               (count(p.id), max(p.period_number), (array_agg(p.id ORDER BY p.period_number DESC))[1])
        """,
    )
    assert counters == []
    assert rows(database, "SELECT FROM temporal_pipeline.cut WHERE finished_at IS NULL") == []
