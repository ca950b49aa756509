"""Tasks get the row that counts them, and their duration."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness import linking
from temporal_pipeline.defs.effectiveness.measuring import measure_periods, queries
from tests.crosshot_rows import add_task, add_topic, at
from tests.defs.effectiveness.rows import add_period, find, link, task_row


def test_durations_of_all_tasks_that_have_both_times(database: Database) -> None:
    with database.transaction() as connection:
        finished = add_task(connection, started_at=at(1), minutes=1.5, label="analyst:analyze")
        backwards = add_task(connection, started_at=at(1), minutes=-1)
        pending = add_task(connection)
        endless = add_task(connection, started_at=at(1), completed_at="infinity")
        known = add_task(connection, started_at=at(1), duration_seconds=7)
    assert measure_periods(database, "run", batch_size=1).durations_filled == 1
    assert [
        task_row(database, t).duration_seconds for t in (finished, backwards, pending, endless, known)
    ] == [
        90,
        None,
        None,
        None,
        7,
    ]


def test_links_are_made_in_batches_and_continued(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        tasks = [add_task(connection, topic=topic, started_at=at(n)) for n in range(7)]
        link(connection, period, *tasks)
    write = Database.write
    # Four batches of durations and their end, the period, its problems, two batches of links; then the power fails.
    calls = iter([False] * 9 + [True])

    def die_in_the_third_batch(self: Database, work: Any) -> Any:
        if next(calls):
            raise KeyboardInterrupt
        return write(self, work)

    with monkeypatch.context() as dying:
        dying.setattr(Database, "write", die_in_the_third_batch)
        with pytest.raises(KeyboardInterrupt):
            measure_periods(database, "one", batch_size=2)
    assert measure_periods(database, "two", batch_size=2).tasks_linked == 3


def test_tasks_that_the_application_holds_are_left_for_the_next_run(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        tasks = [add_task(connection, topic=topic, started_at=at(n)) for n in range(3)]
        link(connection, period, *tasks)
    with database.transaction() as application:
        application.execute(text("UPDATE tasks SET priority = 1 WHERE id = :id"), {"id": tasks[0]})
        held = measure_periods(database, "one", batch_size=1)
    assert (held.tasks_linked, held.tasks_held) == (2, 1)
    report = measure_periods(database, "two")
    assert (report.tasks_linked, report.tasks_held, report.durations_filled) == (1, 0, 1)


def test_a_task_that_the_application_holds_for_a_moment_is_linked_by_the_same_run(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        task = add_task(connection, topic=topic, started_at=at(1))
        link(connection, period, task)
    with database.engine.connect() as application:
        application.execute(text("UPDATE tasks SET priority = 1 WHERE id = :id"), {"id": task})
        # The application commits while we pause before the second sweep.
        monkeypatch.setattr(linking.time, "sleep", lambda _: application.commit())
        report = measure_periods(database, "run")
    assert (report.tasks_linked, report.tasks_held) == (1, 0)


@pytest.mark.parametrize(("words", "expected"), [("agents", "(no query)"), (None, "(no query)")])
def test_a_task_whose_query_became_known_after_it_was_measured_is_linked_to_the_row_that_counts_it(
    database: Database, words: str | None, expected: str
) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        task = add_task(connection, topic=topic, started_at=at(1), payload={"action": "search"})
        find(connection, period, task, [0.9], topic=topic)
        named = add_task(connection, topic=topic, query="a robot", started_at=at(1))
        find(connection, period, named, [0.9], topic=topic)
    with database.transaction() as application:
        application.execute(text("UPDATE tasks SET priority = 1 WHERE id = :id"), {"id": task})
        measure_periods(database, "one")
        application.execute(
            text("UPDATE tasks SET result = CAST(:result AS jsonb) WHERE id = :id"),
            {"id": task, "result": json.dumps({"query": words})},
        )
    assert measure_periods(database, "two").tasks_linked == 1
    assert task_row(database, task).query == expected
    with database.transaction(read_only=True) as connection:
        assert connection.execute(queries["unlinked_tasks_with_contents"]).all() == []


def test_a_task_without_any_row_on_its_platform_stays_unlinked_and_is_no_offender(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        find(connection, period, add_task(connection, topic=topic, started_at=at(1)), [0.9], topic=topic)
    measure_periods(database, "one")
    with database.transaction() as connection:
        stranger = add_task(connection, topic=topic, label="crawler:xhs", started_at=at(2))
        link(connection, period, stranger)
    report = measure_periods(database, "two")
    assert (report.tasks_linked, report.tasks_held) == (0, 0)
    with database.transaction(read_only=True) as connection:
        assert connection.execute(queries["unlinked_tasks_with_contents"]).all() == []


@pytest.mark.parametrize(
    ("column", "time"), [("started_at", "4713-01-01 BC"), ("completed_at", "290000-01-01")]
)
def test_a_duration_of_impossible_times_is_unknown(database: Database, column: str, time: str) -> None:
    with database.transaction() as connection:
        task, good = (add_task(connection, started_at=at(1)) for _ in range(2))
        connection.exec_driver_sql(f"UPDATE tasks SET {column} = '{time}' WHERE id = '{task}'")
    assert measure_periods(database, "run").durations_filled == 1
    assert task_row(database, task).duration_seconds is None
    assert task_row(database, good).duration_seconds == 60


def test_tasks_without_a_duration_are_found_through_their_index(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO tasks (id, label, priority, status, payload, created_at, started_at, completed_at, "
                "retry_count, max_retries, duration_seconds) "
                "SELECT gen_random_uuid(), 'crawler:x', 0, 'completed', '{}', :at, :at, :at, 0, 0, 0 "
                "FROM generate_series(1, 5000)"
            ),
            {"at": at(0)},
        )
        add_task(connection, started_at=at(1))
        connection.execute(text("ANALYZE tasks"))
        plan = "\n".join(
            connection.scalars(
                text(f"EXPLAIN {queries['measure_durations']}"),
                {"after": linking.NO_ID, "entity_ids": None, "batch_size": 2000},
            )
        )
    assert "idx_tasks_unmeasured" in plan
