"""Measuring queries in a database."""

import json
import uuid
from typing import Any

import pytest
from sqlalchemy import Connection, Row, event, text

from temporal_pipeline import problems
from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness import linking, measuring
from temporal_pipeline.defs.effectiveness.measuring import measure_periods, queries, unmeasured_periods
from temporal_pipeline.entities import find_entities
from tests.crosshot_rows import add_content, add_task, add_topic, add_user, at
from tests.defs.effectiveness.rows import add_period, freeze, measured, memory


def task_row(database: Database, task: uuid.UUID) -> Row[Any]:
    with database.transaction(read_only=True) as connection:
        return connection.execute(
            text(
                "SELECT t.period_id, t.duration_seconds, e.query, e.platform FROM tasks t "
                "LEFT JOIN crawl_effectiveness e ON e.id = t.effectiveness_id WHERE t.id = :id"
            ),
            {"id": task},
        ).one()


def link(connection: Connection, period: uuid.UUID, *tasks: uuid.UUID) -> None:
    connection.execute(
        text("UPDATE tasks SET period_id = :period WHERE id = ANY (:tasks)"),
        {"period": period, "tasks": list(tasks)},
    )


def find(
    connection: Connection,
    period: uuid.UUID,
    task: uuid.UUID,
    scores: list[float | None],
    *,
    topic: uuid.UUID | None = None,
    **columns: Any,
) -> list[uuid.UUID]:
    contents = [add_content(connection, task=task, topic=topic, **columns) for _ in scores]
    for content, score in zip(contents, scores, strict=True):
        freeze(connection, period, content, score)
    return contents


def test_a_query_is_counted_and_judged(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        first = add_task(connection, topic=topic, started_at=at(1), found=10)
        second = add_task(connection, topic=topic, started_at=at(2), found=5)
        other = add_task(connection, topic=topic, query="robots", started_at=at(3))
        link(connection, period, first, second, other)
        find(connection, period, first, [0.9, 0.7, 0.2, None], topic=topic)
        find(connection, period, second, [0.85], topic=topic)
        find(connection, period, other, [0.8, 0.0], topic=topic)
    report = measure_periods(database, "run")
    rows = measured(database)
    assert set(rows) == {"agents", "robots"}
    agents = rows["agents"]
    assert (agents.period_id, agents.entity_type, agents.entity_id, agents.platform) == (
        period,
        "topic",
        topic,
        "x",
    )
    assert (agents.total_found, agents.relevant_count, agents.high_value_count) == (15, 3, 2)
    assert agents.avg_relevance == pytest.approx((0.9 + 0.7 + 0.2 + 0.85) / 4)
    assert agents.coverage_ratio == pytest.approx(3 / 4)
    usual = (4 + 8 * 0.2) / (6 + 8)
    mean = (4 + 8 * usual) / (6 + 8)
    told = memory(database)["agents"]
    assert told.entity_mean == pytest.approx(mean)
    assert agents.effectiveness_score == pytest.approx(
        (3 + told.prior_strength * mean) / (4 + told.prior_strength)
    )
    assert 0 < told.score_lower < told.score == agents.effectiveness_score < told.score_upper < 1
    assert told.rank_key > told.score
    assert (told.runs, told.found, told.contents, told.scored) == (2, 15, 5, 4)
    assert (told.faded_relevant, told.faded_scored, told.seconds) == (3, 4, 120)
    assert agents.recommendations == told.recommendation
    assert agents.recommendations == (
        "explore: about 3 of 4 recent scored contents relevant: too few to judge; 1 content could not be scored"
    )
    assert rows["robots"].total_found == 2
    assert (report.rows_written, report.periods, report.tasks_linked) == (2, 1, 3)
    assert task_row(database, first) == (period, 60.0, "agents", "x")


@pytest.mark.parametrize(
    ("told", "total"),
    [(-5, 2), ("many", 2), ("7", 7), (1, 2), (None, 2), (10**12, 2**31 - 1), ("9.5e307", 2)],
)
def test_total_found_is_never_less_than_what_is_there(database: Database, told: Any, total: int) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        task = add_task(connection, topic=topic, result={"tweets_found": told})
        find(connection, period, task, [0.5, 0.5], topic=topic)
    measure_periods(database, "run")
    assert measured(database)["agents"].total_found == total


def test_runs_that_found_nothing_new_are_rows_too(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        tasks = [add_task(connection, topic=topic, started_at=at(n), found=20) for n in range(3)]
        web = add_task(connection, topic=topic, query="robots", label="searcher:web", started_at=at(1))
        analysis = add_task(connection, topic=topic, label="analyst:analyze", started_at=at(1))
        link(connection, period, *tasks, web, analysis)
    measure_periods(database, "run")
    rows = measured(database)
    assert set(rows) == {"agents", "robots"}
    agents = rows["agents"]
    assert (agents.total_found, agents.relevant_count) == (60, 0)
    # Nothing is known of it: what is usual, and where nothing is known at all, one in five.
    assert agents.effectiveness_score == pytest.approx(0.2)
    assert (agents.avg_relevance, agents.coverage_ratio) == (None, None)
    assert agents.recommendations == "explore: 3 runs brought nothing new"
    assert (rows["robots"].platform, rows["robots"].total_found) == ("web", 0)
    told = memory(database)
    assert [(told[query].runs, told[query].empty_runs) for query in ("agents", "robots")] == [(3, 0), (1, 1)]
    assert task_row(database, web).query == "robots"
    assert task_row(database, analysis).query is None


def test_timelines_replies_and_queries_without_words(database: Database) -> None:
    with database.transaction() as connection:
        user = add_user(connection)
        period = add_period(connection, user=user)
        payloads: list[dict[str, Any]] = [
            {"action": "timeline", "username": "ada"},
            {"action": "tweet", "tweet_id": "1"},
            {"action": "tweet", "tweet_id": "2"},
            {"action": "search"},
        ]
        tasks = [add_task(connection, payload=payload, result=None) for payload in payloads]
        widened = add_task(connection, payload={"action": "search"}, result={"query": "cats -is:retweet"})
        for task in (*tasks, widened):
            find(connection, period, task, [None], user=user)
    measure_periods(database, "run")
    rows = measured(database)
    assert {query: row.total_found for query, row in rows.items()} == {
        "from:ada": 1,
        "(replies)": 2,
        "(no query)": 1,
        "cats": 1,
    }
    assert {row.effectiveness_score for row in rows.values()} == {0.2}
    assert [task_row(database, task).query for task in tasks] == [
        "from:ada",
        "(replies)",
        "(replies)",
        "(no query)",
    ]


def test_a_shared_member_counts_only_where_it_points(database: Database) -> None:
    with database.transaction() as connection:
        topic, user = add_topic(connection), add_user(connection)
        topics_period = add_period(connection, topic=topic)
        users_period = add_period(connection, user=user)
        task = add_task(connection, topic=topic, started_at=at(1))
        (shared,) = find(connection, topics_period, task, [0.9], topic=topic, user=user)
        freeze(connection, users_period, shared, 0.9)
    measure_periods(database, "run")
    assert measured(database)["agents"].entity_type == "topic"


def test_a_task_tells_its_own_number_only_in_its_own_period(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        first, second = (add_period(connection, topic=topic, number=n) for n in (0, 1))
        task = add_task(connection, topic=topic, started_at=at(1), found=50)
        link(connection, first, task)
        find(connection, first, task, [0.9], topic=topic)
        find(connection, second, task, [0.9, 0.9], topic=topic)
    measure_periods(database, "run")
    with database.transaction(read_only=True) as connection:
        found = connection.execute(text("SELECT period_id, total_found FROM crawl_effectiveness")).all()
    assert {row.period_id: row.total_found for row in found} == {first: 50, second: 2}


def test_platforms_are_separate_rows(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        task = add_task(connection, topic=topic, started_at=at(1), found=50)
        find(connection, period, task, [0.9], topic=topic, platform="xhs")
        find(connection, period, task, [0.9, 0.1], topic=topic, platform="x")
    measure_periods(database, "run")
    with database.transaction(read_only=True) as connection:
        rows = connection.execute(text("SELECT platform, total_found FROM crawl_effectiveness")).all()
    assert dict(map(tuple, rows)) == {"xhs": 1, "x": 2}
    assert task_row(database, task).platform == "x"


def test_a_task_that_no_period_claimed_is_linked_to_what_it_found(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        task = add_task(connection, topic=topic)
        find(connection, period, task, [0.9], topic=topic)
    measure_periods(database, "run")
    assert tuple(task_row(database, task)) == (period, None, "agents", "x")


def test_a_second_run_writes_nothing(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        task = add_task(connection, topic=topic, started_at=at(1))
        find(connection, period, task, [0.9], topic=topic)
        add_period(connection, topic=topic, number=1)
    measure_periods(database, "one")
    before = measured(database)
    again = measure_periods(database, "two")
    assert (again.rows_written, again.periods, again.tasks_linked, again.durations_filled) == (0, 0, 0, 0)
    assert measured(database) == before


def test_rows_of_an_earlier_method_are_replaced_and_those_of_the_application_stay(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic, stages=("snapshots", "effectiveness"))
        task = add_task(connection, topic=topic, started_at=at(1))
        find(connection, period, task, [0.9], topic=topic)
        for query, age in (("agents", "0"), ("old name", "0"), ("theirs", "1 day")):
            connection.execute(
                text(
                    "INSERT INTO crawl_effectiveness (period_id, entity_type, entity_id, platform, query, created_at) "
                    "VALUES (:period, 'topic', :topic, 'x', :query, now() - CAST(:age AS interval))"
                ),
                {"period": period, "topic": topic, "query": query, "age": age},
            )
    assert measure_periods(database, "run").rows_written == 1
    rows = measured(database)
    assert set(rows) == {"agents", "theirs"}
    assert rows["agents"].relevant_count == 1
    assert task_row(database, task).query == "agents"


def test_rows_that_the_application_wrote_for_its_period_stay_and_missing_ones_are_added(
    database: Database,
) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        task = add_task(connection, topic=topic, started_at=at(1))
        find(connection, period, task, [0.9], topic=topic)
        other = add_task(connection, topic=topic, query="robots", started_at=at(2))
        find(connection, period, other, [0.9], topic=topic)
        connection.execute(
            text(
                "INSERT INTO crawl_effectiveness (period_id, entity_type, entity_id, platform, query, "
                "total_found, recommendations) VALUES (:period, 'topic', :topic, 'x', 'agents', 77, 'mine')"
            ),
            {"period": period, "topic": topic},
        )
    before = measured(database)["agents"]
    report = measure_periods(database, "run")
    assert report.rows_written == 1
    after = measured(database)
    assert set(after) == {"agents", "robots"}
    assert after["agents"] == before
    assert [task_row(database, t).query for t in (task, other)] == ["agents", "robots"]


def test_only_frozen_active_periods_are_measured(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_period(connection, topic=topic, number=0, stages=())
        add_period(connection, topic=topic, number=1, status="superseded")
        done = add_period(connection, topic=topic, number=2)
        connection.execute(
            text("UPDATE temporal_pipeline.period_stage SET unmeasured = false WHERE period_id = :id"),
            {"id": done},
        )
        due = add_period(connection, topic=topic, number=3)
    with database.transaction(read_only=True) as connection:
        assert [row.id for row in unmeasured_periods(connection)] == [due]
        assert unmeasured_periods(connection, since=at(40)) == []


def test_one_period_that_fails_does_not_stop_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as connection:
        topics = [add_topic(connection, name) for name in ("good", "bad", "fine")]
        for topic in topics:
            period = add_period(connection, topic=topic)
            find(connection, period, add_task(connection, topic=topic), [0.9], topic=topic)
            add_period(connection, topic=topic, number=1)
        connection.execute(
            text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'refused'; END $$"
            )
        )
        # DDL takes no bind parameters.
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON crawl_effectiveness FOR EACH ROW "
            f"WHEN (NEW.entity_id = '{topics[1]}') EXECUTE FUNCTION refuse()"
        )
    report = measure_periods(database, "run")
    assert report.rows_written == 2
    ((entity, reason),) = report.failed
    assert entity.name == "bad"
    assert "refused" in reason
    with database.transaction() as connection:
        assert [row.name for row in problems.of_stage(connection, measuring.STAGE)] == ["bad"]
        connection.execute(text("DROP TRIGGER refuse ON crawl_effectiveness"))
    assert measure_periods(database, "again").failed == []
    with database.transaction(read_only=True) as connection:
        assert problems.of_stage(connection, measuring.STAGE) == []
    assert len(measured_entities(database)) == 3


def measured_entities(database: Database) -> set[uuid.UUID]:
    with database.transaction(read_only=True) as connection:
        return set(connection.scalars(text("SELECT entity_id FROM crawl_effectiveness")))


def test_a_run_is_narrowed_to_entities(database: Database) -> None:
    with database.transaction() as connection:
        tasks = {}
        for name in ("one", "two"):
            topic = add_topic(connection, name)
            period = add_period(connection, topic=topic)
            tasks[name] = add_task(connection, topic=topic, started_at=at(1))
            find(connection, period, tasks[name], [0.9], topic=topic)
        two = find_entities(connection, ["two"])
    report = measure_periods(database, "run", entities=two)
    assert (report.periods, report.tasks_linked, report.durations_filled) == (1, 1, 1)
    assert task_row(database, tasks["one"]).duration_seconds is None


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


def test_many_small_periods_share_their_statements(database: Database) -> None:
    with database.transaction() as connection:
        topics = [add_topic(connection, name) for name in ("few", "many")]
        for topic, periods in zip(topics, (1, 30), strict=True):
            for number in range(periods):
                period = add_period(connection, topic=topic, number=number)
                task = add_task(connection, topic=topic, started_at=at(number))
                find(connection, period, task, [0.7], topic=topic)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    counts = []
    for name, written in (("few", 1), ("many", 30)):
        statements.clear()
        with database.transaction(read_only=True) as connection:
            entities = find_entities(connection, [name])
        assert measure_periods(database, name, entities=entities).rows_written == written
        counts.append(len(statements))
    assert counts[0] == counts[1]
