"""What is read of an entity is enough: updates one after another find what one update over all of it finds."""

import uuid
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.searching import detect_events
from temporal_pipeline.entities import EntityType
from tests.crosshot_rows import add_task, add_topic, add_user, at
from tests.defs.events.world import (
    add_burst_topic,
    add_counted_hours,
    add_period,
    close,
    forget_everything,
    rows,
)

Counts = Sequence[int | None]
Found = list[tuple[Any, ...]]
COUNTS = st.lists(
    st.one_of(
        st.integers(0, 4),
        st.integers(0, 4),
        st.integers(0, 4),
        st.sampled_from([0, 9, 30, 60]),
        st.none(),
    ),
    min_size=1,
    max_size=8,
)


def add_owner(database: Database, entity_type: EntityType, **config: Any) -> uuid.UUID:
    with database.transaction() as connection:
        return (add_topic if entity_type == "topic" else add_user)(
            connection, config={"schedule_interval_hours": 1} | config
        )


def advance(
    database: Database, entity_type: EntityType, owner: uuid.UUID, number: int, first: int, counts: Counts
) -> None:
    """The next hours with their crawls, their period, and an update after them."""
    with database.transaction() as connection:
        add_counted_hours(connection, entity_type, owner, first, counts)
        # A crawl at the end of an hour belongs to the period that has the hour.
        start, end = at(first + 0.5), at(first + len(counts) + 0.5)
        add_period(connection, entity_type, owner, number, start, end)
    assert detect_events(database, str(number)).failed == []


def episodes(database: Database) -> Found:
    return [
        (row.key, row.onset, row.resolved_at, row.figures)
        for row in rows(
            database,
            "SELECT metadata->>'key' AS key, metadata->>'onset' AS onset, resolved_at, "
            "  metadata - 'evidence_at' - 'history' - 'terms' AS figures FROM temporal_events ORDER BY 1, 2",
        )
    ]


def at_once(database: Database) -> Found:
    forget_everything(database)
    assert detect_events(database, "at once").failed == []
    return episodes(database)


def empty(database: Database) -> None:
    rows(database, "TRUNCATE topics, users, tasks, contents, analysis_periods CASCADE")
    forget_everything(database)


def repeated(pattern: Counts, n: int) -> Counts:
    return [pattern[i % len(pattern)] for i in range(n)]


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entity_type=st.sampled_from(["topic", "user"]),
    usual=COUNTS,
    hours=st.lists(COUNTS, min_size=2, max_size=8),
)
def test_one_update_finds_what_an_update_after_every_hour_finds(
    database: Database, entity_type: EntityType, usual: Counts, hours: list[Counts]
) -> None:
    empty(database)
    owner = add_owner(database, entity_type)
    # Long enough for tier B to be reached on the way.
    advance(database, entity_type, owner, 0, 0, [2, *repeated(usual, 60)])
    counts = [count for some in hours for count in some]
    for hour, count in enumerate(counts, start=61):
        advance(database, entity_type, owner, hour - 60, hour, [count])
    step_by_step = episodes(database)
    assert step_by_step == at_once(database)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    usual=st.lists(st.sampled_from([0, 0, 0, 1, 5]), min_size=4, max_size=40),
    rounds=st.lists(st.tuples(COUNTS, st.integers(1, 120)), min_size=2, max_size=8),
)
def test_however_a_long_history_is_cut_into_updates(
    database: Database, usual: Counts, rounds: list[tuple[Counts, int]]
) -> None:
    empty(database)
    owner = add_owner(database, "topic")
    advance(database, "topic", owner, 0, 0, [1, *repeated(usual, 199)])
    begin = 200
    for number, (pattern, length) in enumerate(rounds, start=1):
        advance(database, "topic", owner, number, begin, repeated(pattern, length))
        begin += length
    step_by_step = episodes(database)
    assert step_by_step == at_once(database)


def test_hours_without_posts_are_history_too(database: Database) -> None:
    owner = add_owner(database, "topic")
    advance(database, "topic", owner, 0, 0, [*[1, 0, 0] * 30, *[0] * 300, 1, 0, 0, 0])
    advance(database, "topic", owner, 1, 394, [2, 9, 1, 0, 0, 0, 0, 0])
    burst = [figures for key, _, _, figures in episodes(database) if key == "volume_up"][-1]
    assert (burst["n"], burst["tier"]) == (336, "B")
    assert episodes(database) == at_once(database)


def add_runs(database: Database, topic: uuid.UUID, query: str, found: dict[int, int]) -> None:
    with database.transaction() as connection:
        for hour, posts in found.items():
            add_task(connection, topic=topic, query=query, started_at=at(hour), found=posts)


def silences(database: Database) -> Sequence[Any]:
    return rows(
        database,
        "SELECT * FROM temporal_events WHERE metadata->>'key' = 'query_silent:agents' ORDER BY first_detected_at",
    )


def test_a_query_is_silent_until_it_finds_something_again(database: Database) -> None:
    topic = add_burst_topic(database, hours=22)
    close(database, topic, 0, 0, 22.5)
    detect_events(database, "1")
    add_runs(database, topic, "agents", dict.fromkeys(range(24, 28), 0))
    detect_events(database, "2")
    [open_one] = silences(database)
    assert (open_one.event_type, open_one.resolved_at, open_one.severity) == ("risk", None, "warning")
    assert open_one.metadata["onset"] == at(24).isoformat()

    add_runs(database, topic, "another query", {28: 3, 29: 2})
    detect_events(database, "3")
    assert silences(database) == [open_one]

    add_runs(database, topic, "agents", {30: 5})
    report = detect_events(database, "4")
    [over] = silences(database)
    assert (over.id, over.resolution_note) == (open_one.id, "found 5 posts again after 4 empty runs")
    assert report.count("resolved") == 1
