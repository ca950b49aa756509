"""Crawls as they are read from tasks and contents."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from temporal_pipeline.crawls import Crawl, covered_intervals, crawls_of
from tests.crosshot_rows import add_content, add_task, add_topic, add_user, at

MINUTE = timedelta(minutes=1)


def crawls(connection: Connection, topic: uuid.UUID, until: datetime | None = None) -> list[Crawl]:
    return crawls_of(connection, "topic", [topic], until)[topic]


def publish(connection: Connection, content: uuid.UUID, published_at: datetime) -> None:
    connection.execute(
        text("UPDATE contents SET published_at = :at WHERE id = :id"), {"at": published_at, "id": content}
    )


def test_a_task_that_names_the_topic_is_a_crawl_even_when_it_found_nothing(connection: Connection):
    topic, other = add_topic(connection), add_topic(connection)
    add_task(connection, topic=topic, started_at=at(1))
    assert crawls_of(connection, "topic", [topic, other]) == {
        topic: [Crawl(at(1), at(1) + MINUTE, None, False)],
        other: [],
    }


def test_other_tasks_are_no_crawls(connection: Connection):
    topic = add_topic(connection)
    add_task(connection, topic=topic, started_at=at(1), label="analyst:analyze")
    assert crawls(connection, topic) == []


def test_a_pending_task_is_a_crawl_once_it_found_something(connection: Connection):
    topic = add_topic(connection)
    add_task(connection, topic=topic)
    task = add_task(connection, topic=topic)
    for hour in (2, 3):
        add_content(connection, task=task, topic=topic, crawled_at=at(hour))
    assert crawls(connection, topic) == [Crawl(at(2), at(3), at(2), False)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"status": "running", "completed_at": None}, [Crawl(at(1), None, at(2), False)]),
        ({"status": "failed"}, [Crawl(at(1), at(1) + MINUTE, at(2), False)]),
        ({"status": "failed", "completed_at": None}, [Crawl(at(1), at(2), at(2), False)]),
        ({"completed_at": None}, [Crawl(at(1), at(2), at(2), False)]),
        ({"created_at": at(0.5), "status": "completed"}, [Crawl(at(1), at(1) + MINUTE, at(2), False)]),
    ],
)
def test_the_time_of_a_task_with_contents(
    connection: Connection, columns: dict[str, Any], expected: list[Crawl]
):
    topic = add_topic(connection)
    task = add_task(connection, topic=topic, started_at=at(1), **columns)
    add_content(connection, task=task, topic=topic, crawled_at=at(2))
    assert crawls(connection, topic) == expected


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"status": "running", "completed_at": None}, [Crawl(at(1), None, None, False)]),
        ({"status": "failed"}, []),
        ({"completed_at": None}, [Crawl(at(1), at(1), None, False)]),
    ],
)
def test_the_time_of_a_task_without_contents(
    connection: Connection, columns: dict[str, Any], expected: list[Crawl]
):
    topic = add_topic(connection)
    add_task(connection, topic=topic, started_at=at(1), **columns)
    assert crawls(connection, topic) == expected


def test_a_completed_task_that_lacks_its_start_began_when_it_was_created(connection: Connection):
    topic = add_topic(connection)
    add_task(connection, topic=topic, status="completed", created_at=at(1), completed_at=at(2))
    assert crawls(connection, topic) == [Crawl(at(1), at(2), None, False)]


def test_a_topics_crawl_that_found_a_users_posts_is_a_crawl_of_the_user(connection: Connection):
    topic, user = add_topic(connection), add_user(connection)
    task = add_task(connection, topic=topic, started_at=at(5))
    content = add_content(connection, task=task, topic=topic, user=user, crawled_at=at(5))
    publish(connection, content, at(-30))
    add_content(connection, task=task, topic=topic, crawled_at=at(5))
    assert crawls_of(connection, "user", [user])[user] == [Crawl(at(5), at(5) + MINUTE, at(-30), False)]
    assert crawls_of(connection, "user", [topic])[topic] == []


def test_a_timeline_is_told_from_a_search(connection: Connection):
    user = add_user(connection)
    add_task(connection, user=user, query=None, started_at=at(1))
    add_task(connection, user=user, started_at=at(2))
    assert [crawl.timeline for crawl in crawls_of(connection, "user", [user])[user]] == [True, False]


def test_later_crawls_are_left_out(connection: Connection):
    topic = add_topic(connection)
    for hour in (3, 1, 2):
        add_task(connection, topic=topic, started_at=at(hour))
    assert [crawl.began for crawl in crawls(connection, topic, at(2))] == [at(1), at(2)]


@pytest.mark.parametrize("published_at", ["-infinity", "infinity", "0044-03-15 BC"])
def test_impossible_publication_times_do_no_harm(connection: Connection, published_at: str):
    topic = add_topic(connection)
    content = add_content(connection, topic=topic, crawled_at=at(2))
    connection.execute(
        text("UPDATE contents SET published_at = CAST(:at AS timestamptz) WHERE id = :id"),
        {"at": published_at, "id": content},
    )
    (crawl,) = crawls(connection, topic)
    assert crawl.earliest_post == at(2)


IMPOSSIBLE = ["-infinity", "infinity", "0044-03-15 BC", "20000-01-01"]


@pytest.mark.parametrize("time", IMPOSSIBLE)
def test_impossible_times_of_a_task_count_as_missing(connection: Connection, time: str):
    topic = add_topic(connection)
    started, completed, lost = (add_task(connection, topic=topic, started_at=at(n)) for n in (1, 2, 3))
    for task, column in (
        (started, "started_at"),
        (completed, "completed_at"),
        (lost, "started_at"),
        (lost, "created_at"),
    ):
        connection.exec_driver_sql(f"UPDATE tasks SET {column} = '{time}' WHERE id = '{task}'")
    assert crawls(connection, topic) == [
        Crawl(at(1), at(1) + MINUTE, None, False),
        Crawl(at(2), at(2), None, False),
    ]


@pytest.mark.parametrize("time", IMPOSSIBLE)
def test_contents_crawled_at_an_impossible_time_say_nothing_of_their_crawl(connection: Connection, time: str):
    topic = add_topic(connection)
    task = add_task(connection, topic=topic)
    for hour in (2, 3):
        add_content(connection, task=task, topic=topic, crawled_at=at(hour))
    add_content(connection, task=task, topic=topic, crawled_at=time)
    assert crawls(connection, topic) == [Crawl(at(2), at(3), at(2), False)]


_hours = st.integers(-240, 0)
_crawl = st.tuples(
    _hours,  # began
    st.sampled_from(["pending", "running", "completed", "failed"]),
    st.sampled_from(["topic", "other", "timeline"]),
    st.lists(st.integers(0, 12), max_size=3),  # crawled after so many hours
    st.integers(0, 300),  # published so long before
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([(0, "pending", "topic", [0], 0), (-1, "completed", "topic", [], 0)], -2, 1)
@given(st.lists(_crawl, max_size=8), _hours, st.sampled_from([1, 6, 24]))
def test_with_a_lower_bound_the_crawls_cover_the_same_from_there_on(
    connection: Connection, rounds: list[Any], bound: int, interval: int
):
    topic, other = add_topic(connection), add_topic(connection)
    for began, status, kind, found, age in rounds:
        task = add_task(
            connection,
            topic=other if kind == "other" else topic,
            query=None if kind == "timeline" else "agents",
            started_at=None if status == "pending" else at(began),
            minutes=60 * max(found, default=0) + 1,
            status=status,
        )
        for after in found:
            content = add_content(connection, task=task, topic=topic, crawled_at=at(began + after))
            publish(connection, content, at(began - age))
    since = at(bound)
    for key in ("began", "ended"):
        covered = [
            [
                (max(start, since), end)
                for start, end in covered_intervals(
                    [replace(crawl, began=getattr(crawl, key)) for crawl in read if crawl.ended is not None],
                    timedelta(hours=interval),
                )
                if end > since
            ]
            for read in (
                crawls(connection, topic),
                crawls_of(connection, "topic", [topic], since=since)[topic],
            )
        ]
        assert covered[0] == covered[1], key


def test_with_a_lower_bound_the_history_before_it_is_not_read(connection: Connection):
    topic, other = add_topic(connection), add_topic(connection)
    for hour in range(0, 240, 6):
        task = add_task(connection, topic=other, started_at=at(hour))
        add_content(connection, task=task, topic=topic, crawled_at=at(hour))
    read = crawls_of(connection, "topic", [topic], since=at(200))[topic]
    assert [crawl.began for crawl in read] == [at(hour) for hour in range(174, 240, 6)]
