"""Measuring queries in a database."""

import uuid
from typing import Any

import pytest
from sqlalchemy import event, text

from temporal_pipeline import problems
from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness import measuring
from temporal_pipeline.defs.effectiveness.measuring import measure_periods, unmeasured_periods
from temporal_pipeline.entities import find_entities
from tests.crosshot_rows import add_task, add_topic, add_user, at
from tests.defs.effectiveness.rows import add_period, find, freeze, link, measured, memory, task_row


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
