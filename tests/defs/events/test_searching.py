"""The search for events: who is searched, what one failure means for the others, what makes no difference."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events import reading
from temporal_pipeline.defs.events.reading import entities_to_watch
from temporal_pipeline.defs.events.searching import detect_events
from temporal_pipeline.entities import Entity
from tests.crosshot_rows import add_topic, add_user, at
from tests.defs.events.world import (
    BURST,
    add_burst_topic,
    add_period,
    bursts,
    close,
    crawl_hour,
    effects,
    forget_searches,
    rows,
)

QUIET_AGAIN = 27


def test_a_second_run_writes_nothing(database: Database):
    close(database, add_burst_topic(database), 0, 0, 31)
    detect_events(database, "run")
    before = bursts(database)
    report = detect_events(database, "again")
    assert (report.entities, report.rows_written) == (0, 0)
    assert bursts(database) == before


def test_searching_again_what_is_known_changes_nothing(database: Database):
    close(database, add_burst_topic(database), 0, 0, 31)
    detect_events(database, "run")
    before = bursts(database), rows(database, "SELECT * FROM event_contents ORDER BY 1, 2")
    forget_searches(database)
    report = detect_events(database, "again")
    assert (report.entities, report.rows_written) == (1, 0)
    assert (bursts(database), rows(database, "SELECT * FROM event_contents ORDER BY 1, 2")) == before


def test_the_picture_is_of_the_most_severe_whatever_the_scores(database: Database):
    """Three posts where none are usual are less likely than a burst, and nothing to look at."""
    close(database, add_burst_topic(database), 0, 0, 31)
    report = detect_events(database, "run")
    worst = report.worst
    assert worst is not None
    assert worst.finding.severity != "info"
    unlikely = replace(worst.finding, severity="info", figures=worst.finding.figures | {"score": 99.0})
    report.show(replace(worst, finding=unlikely))
    assert report.worst is worst


def test_only_frozen_periods_are_searched(database: Database):
    topic = add_burst_topic(database)
    with database.transaction() as connection:
        add_period(connection, "topic", topic, 0, at(0), at(31), is_frozen=False)
    assert detect_events(database, "run").entities == 0


def test_killed_between_two_entities_the_next_run_writes_the_rest(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    for name in ("one", "two"):
        close(database, add_burst_topic(database, name), 0, 0, 31)
    write, written = database.write, []

    def dies(work: Any, **options: Any) -> Any:
        result = write(work, **options)
        written.append(work)
        if len(bursts(database)) == 1:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(database, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        detect_events(database, "killed")
    monkeypatch.undo()
    assert len(bursts(database)) == 1
    report = detect_events(database, "rest")
    assert (report.entities, effects(report)) == (2, {"opened": 1})
    assert len(rows(database, "SELECT * FROM event_contents")) == 60


def test_posts_that_are_not_linked_do_not_count(database: Database):
    topic = add_burst_topic(database)
    with database.transaction() as connection:
        add_period(connection, "topic", topic, 0, at(0), at(31), sets_pointers=False)
    assert detect_events(database, "run").entities == 1
    assert bursts(database) == []


def test_a_users_event_lies_in_the_users_own_period(database: Database):
    with database.transaction() as connection:
        topic, user = add_topic(connection), add_user(connection)
        for hour in range(30):
            crawl_hour(connection, hour, 30 if hour == BURST else 2, topic=topic, user=user)
        topics = add_period(connection, "topic", topic, 0, at(0), at(31))
        early = add_period(connection, "user", user, 0, at(0), at(12), sets_pointers=False)
        late = add_period(connection, "user", user, 1, at(12), at(31), sets_pointers=False)
    detect_events(database, "run")
    assert {(event.entity_type, event.period_id) for event in bursts(database)} == {
        ("topic", topics),
        ("user", late),
    }
    done = rows(database, "SELECT period_id FROM temporal_pipeline.period_stage WHERE stage = 'events'")
    assert {row.period_id for row in done} == {topics, early, late}


def test_one_entity_that_fails_is_recorded_and_the_others_commit(database: Database):
    good, bad = add_burst_topic(database, "good"), add_burst_topic(database, "bad")
    for topic in (good, bad):
        close(database, topic, 0, 0, 24)
    detect_events(database, "1")
    rows(
        database,
        "UPDATE temporal_events SET metadata = jsonb_set(metadata, '{onset}', '\"nonsense\"') "
        "WHERE entity_id = :bad",
        bad=bad,
    )
    for topic in (good, bad):
        close(database, topic, 1, 24, 31)
    report = detect_events(database, "2")
    assert [(entity.name, "nonsense" in reason) for entity, reason in report.failed] == [("bad", True)]
    assert report.entities == 1
    assert [row.stage for row in rows(database, "SELECT * FROM temporal_pipeline.problem")] == ["events"]
    rows(
        database,
        "UPDATE temporal_events SET metadata = metadata || jsonb_build_object('onset', CAST(:onset AS text)) "
        "WHERE entity_id = :bad",
        onset=at(BURST).isoformat(),
        bad=bad,
    )
    assert detect_events(database, "3").failed == []
    assert rows(database, "SELECT * FROM temporal_pipeline.problem") == []


def test_an_entity_that_cannot_be_read_does_not_stop_those_read_with_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    good, bad = add_burst_topic(database, "good"), add_burst_topic(database, "bad")
    for topic in (good, bad):
        close(database, topic, 0, 0, 31)
    crawls_of = reading.crawls_of

    def unreadable(
        connection: Any, entity_type: Any, ids: Sequence[uuid.UUID], until: Any, **options: Any
    ) -> Any:
        if bad in ids:
            raise ValueError("a crawl like no other")
        return crawls_of(connection, entity_type, ids, until, **options)

    monkeypatch.setattr(reading, "crawls_of", unreadable)
    report = detect_events(database, "run")
    assert [(entity.name, reason) for entity, reason in report.failed] == [
        ("bad", "ValueError: a crawl like no other")
    ]
    assert (report.entities, {event.entity_id for event in bursts(database)}) == (1, {good})


@pytest.mark.parametrize("time", ["infinity", "-infinity", "20000-01-01"])
@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE tasks SET completed_at = '{time}' WHERE id = (SELECT id FROM tasks ORDER BY started_at LIMIT 1)",
        "UPDATE tasks SET started_at = '{time}' WHERE id = (SELECT id FROM tasks ORDER BY started_at LIMIT 1)",
        "UPDATE contents SET crawled_at = '{time}' WHERE published_at = '2026-01-05 20:30Z'",
    ],
)
def test_times_that_cannot_be_do_not_stop_the_search(database: Database, spoil: str, time: str):
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    rows(database, spoil.format(time=time))
    report = detect_events(database, "run")
    assert (report.failed, effects(report)) == ([], {"opened": 1})


def test_absurd_reactions_do_not_stop_the_search(database: Database):
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    rows(database, """UPDATE contents SET metrics = '{"like_count": "9.5e307", "reply_count": 9.5e307}'""")
    report = detect_events(database, "run")
    assert (report.failed, effects(report)) == ([], {"opened": 1})


def test_a_period_of_the_applications_without_an_end_ends_now(database: Database):
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    rows(database, "UPDATE analysis_periods SET period_start = '-infinity', period_end = 'infinity'")
    assert detect_events(database, "run").count("opened") == 1


@pytest.mark.parametrize(("configured", "hours"), [(12, 12), ("0.5", 0.5), ("often", 6), (1e12, 6)])
def test_the_crawl_interval_is_that_of_the_entity(database: Database, configured: Any, hours: float):
    with database.transaction() as connection:
        topic = add_topic(connection, config={"schedule_interval_hours": configured})
        crawl_hour(connection, 1, 1, topic=topic)
    close(database, topic, 0, 0, 31)
    with database.transaction(read_only=True) as connection:
        (row,) = entities_to_watch(connection)
    assert row.crawl_interval == timedelta(hours=hours)


def test_a_post_dated_long_ago_costs_nothing(database: Database):
    topic = add_burst_topic(database)
    rows(
        database,
        "UPDATE contents SET published_at = '-infinity' "
        "WHERE id = (SELECT id FROM contents ORDER BY crawled_at LIMIT 1)",
    )
    close(database, topic, 0, 0, 31)
    assert detect_events(database, "run").count("opened") == 1


def test_entities_and_since_narrow_the_search(database: Database):
    one, two = add_burst_topic(database, "one"), add_burst_topic(database, "two")
    for topic in (one, two):
        close(database, topic, 0, 0, 31)
    assert detect_events(database, "1", since=at(32)).entities == 0
    assert detect_events(database, "2", entities=[Entity("topic", one, "one")]).entities == 1
    assert {event.entity_id for event in bursts(database)} == {one}


def test_small_batches_write_the_same(database: Database):
    with database.transaction() as connection:
        topic = add_topic(connection)
        for hour in range(120):
            crawl_hour(connection, hour, 40 if hour % 40 == 20 else 2, topic=topic)
    close(database, topic, 0, 0, 121)
    assert detect_events(database, "run", batch_size=1).count("opened") == 3
