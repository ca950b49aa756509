"""What holds of periods whatever the crawler and the application do: random worlds, run after run."""

import itertools
import random
import uuid
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.checks import due_contents_are_linked, no_overlap
from temporal_pipeline.defs.periods.cutting import perform_cut
from temporal_pipeline.defs.snapshots.checks import counts_are_right
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from temporal_pipeline.entities import Entity, EntityType
from tests.crosshot_rows import add_content, add_task, add_topic, add_user, at, mark_prepared
from tests.defs.periods.world import application_period, rows

TOPICS, USERS = 2, 2


@dataclass
class Post:
    topic: int | None
    user: int | None
    hour: int


@dataclass
class Round:
    """What happens before a run: crawls, a period that the application closes, whom the run is about."""

    posts: list[Post]
    application_hour: int | None
    only_topic: int | None
    freezes: bool


posts = st.builds(
    Post,
    topic=st.none() | st.integers(0, TOPICS - 1),
    user=st.none() | st.integers(0, USERS - 1),
    hour=st.integers(0, 200),
)
rounds = st.lists(
    st.builds(
        Round,
        posts=st.lists(posts, max_size=8),
        application_hour=st.none() | st.integers(0, 200),
        only_topic=st.none() | st.integers(0, TOPICS - 1),
        freezes=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@dataclass
class World:
    topics: list[uuid.UUID] = field(default_factory=list)
    users: list[uuid.UUID] = field(default_factory=list)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rounds=rounds, batch_size=st.integers(1, 5), deleted=st.sampled_from([None, "topics", "users"]))
def test_invariants(
    database: Database, rounds: list[Round], batch_size: int, deleted: EntityType | None
) -> None:
    world = _new_world(database)
    for happening in rounds:
        _happen(database, world, happening)
        only = happening.only_topic
        entities = None if only is None else [Entity("topic", world.topics[only], f"topic {only}")]
        _run(database, batch_size, entities, freezes=happening.freezes)
    _run(database, batch_size, None, freezes=True)
    _assert_every_content_is_in_one_period_of_each_owner(database)
    if deleted is not None:
        with database.transaction() as c:
            victim = world.topics[0] if deleted == "topics" else world.users[0]
            c.execute(text(f"DELETE FROM {deleted} WHERE id = :id"), {"id": victim})
        _run(database, batch_size, None, freezes=True)
        _assert_every_content_is_in_one_period_of_each_owner(database)


def _new_world(database: Database) -> World:
    with database.transaction() as c:
        c.execute(
            text("TRUNCATE contents, tasks, topics, users, analysis_periods, temporal_pipeline.cut CASCADE")
        )
        return World(
            [add_topic(c, name=f"topic {i}") for i in range(TOPICS)],
            [add_user(c, name=f"user {i}") for i in range(USERS)],
        )


def _happen(database: Database, world: World, happening: Round) -> None:
    with database.transaction() as c:
        task = add_task(c, started_at=at(0))
        for post in happening.posts:
            add_content(
                c,
                task=task,
                topic=None if post.topic is None else world.topics[post.topic],
                user=None if post.user is None else world.users[post.user],
                crawled_at=at(post.hour + random.Random(post.hour).random()),
            )
        if happening.application_hour is not None:
            _application_closes_a_period(database, world.topics[0], happening.application_hour)
        mark_prepared(c)


def _application_closes_a_period(database: Database, topic: uuid.UUID, hour: int) -> None:
    """Behind what there is, as the application numbers and places its own."""
    [last] = rows(
        database,
        "SELECT coalesce(max(period_number) + 1, 0) AS number, max(period_end) AS ended "
        "FROM analysis_periods WHERE entity_id = :topic",
        topic=topic,
    )
    start = max(at(hour), last.ended or at(0))
    with database.transaction() as c:
        application_period(c, topic, number=last.number, start=start, end=start + (at(3) - at(0)))


def _run(database: Database, batch_size: int, entities: list[Entity] | None, *, freezes: bool) -> None:
    run_id = uuid.uuid4().hex
    report = perform_cut(database, run_id, entities=entities, batch_size=batch_size)
    assert report.failed == []
    if freezes:
        assert freeze_periods(database, run_id, batch_size=batch_size).failed == []
    for claim in (due_contents_are_linked, no_overlap, counts_are_right):
        result = claim(database, run_id)
        assert result.passed, result.metadata
    _assert_periods_follow_each_other(database)


def _assert_every_content_is_in_one_period_of_each_owner(database: Database) -> None:
    """Exactly one of each, frozen; an unowned one is in none. The counts of our periods are right."""
    strays = rows(
        database,
        """
        WITH owner AS (
            SELECT id, 'topic' AS entity_type, topic_id AS entity_id FROM contents WHERE topic_id IS NOT NULL
            UNION ALL SELECT id, 'user', user_id FROM contents WHERE user_id IS NOT NULL
        ), placed AS (
            SELECT s.content_id AS id, p.entity_type, p.entity_id
            FROM period_content_snapshots s
            JOIN analysis_periods p ON p.id = s.period_id
            JOIN temporal_pipeline.entity e ON e.entity_type = p.entity_type AND e.entity_id = p.entity_id
        )
        (SELECT * FROM owner EXCEPT ALL SELECT * FROM placed)
        UNION ALL (SELECT * FROM placed EXCEPT ALL SELECT * FROM owner)
        """,
    )
    assert strays == []
    miscounted = rows(
        database,
        "SELECT FROM analysis_periods p JOIN temporal_pipeline.period_cut k ON k.period_id = p.id "
        "WHERE content_count <> (SELECT count(*) FROM period_content_snapshots s WHERE s.period_id = p.id)",
    )
    assert miscounted == []


def _assert_periods_follow_each_other(database: Database) -> None:
    periods = rows(
        database,
        "SELECT p.*, k.period_id IS NOT NULL AS ours FROM analysis_periods p "
        "LEFT JOIN temporal_pipeline.period_cut k ON k.period_id = p.id "
        "ORDER BY entity_type, entity_id, period_number",
    )
    assert {p.status for p in periods} <= {"active"}
    for previous, period in itertools.pairwise([None, *periods]):
        assert period is not None
        if previous is None or previous.entity_id != period.entity_id:
            assert period.period_number == 0
            continue
        assert period.period_number == previous.period_number + 1
        if period.ours:
            assert period.period_start == previous.period_end
        else:
            assert period.period_start >= previous.period_end
    assert rows(database, "SELECT FROM temporal_pipeline.cut WHERE finished_at IS NULL") == []
