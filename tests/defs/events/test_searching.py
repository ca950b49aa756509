"""The search for events against a database: what is written, when, and what is never touched."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Row, text
from sqlalchemy.exc import IntegrityError

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events import reading
from temporal_pipeline.defs.events.reading import entities_to_watch
from temporal_pipeline.defs.events.searching import EventReport, detect_events
from temporal_pipeline.entities import Entity
from tests.crosshot_rows import add_task, add_topic, add_user, at
from tests.defs.events.world import add_period, crawl_hour

BURST = 20
QUIET_AGAIN = 27


def rows(database: Database, sql: str, **parameters: Any) -> Sequence[Row[Any]]:
    with database.transaction() as connection:
        result = connection.execute(text(sql), parameters)
        return result.all() if result.returns_rows else []


def events(database: Database, key: str = "volume_up") -> Sequence[Row[Any]]:
    return rows(
        database,
        "SELECT * FROM temporal_events WHERE metadata->>'detector' = 'temporal_pipeline' "
        "AND metadata->>'key' = :key ORDER BY first_detected_at, id",
        key=key,
    )


def counts(report: EventReport) -> dict[str, int]:
    """What became of how many events, of whatever key."""
    effects = ("opened", "updated", "resolved", "reopened")
    return {effect: n for effect in effects if (n := report.count(effect))}


def unmark(database: Database) -> None:
    """Everything that says what was searched already."""
    rows(database, "DELETE FROM temporal_pipeline.period_stage WHERE stage = 'events'")
    rows(database, "DELETE FROM temporal_pipeline.period_hour")
    rows(database, "DELETE FROM temporal_pipeline.entity_watch")


def figures_of(database: Database) -> Sequence[Row[Any]]:
    """All that identifies the events, without the times at which they were written."""
    return rows(
        database,
        "SELECT entity_id, severity, resolved_at, title, metadata - 'evidence_at' - 'history' AS metadata "
        "FROM temporal_events ORDER BY entity_id, metadata->>'key', metadata->>'onset'",
    )


def add_burst_topic(
    database: Database, name: str = "AI agents", *, hours: int = 30, burst: int = 30
) -> uuid.UUID:
    """Two posts an hour, and in hour 20 a burst about an outage."""
    with database.transaction() as connection:
        topic = add_topic(connection, name)
        for hour in range(hours):
            if hour == BURST:
                crawl_hour(
                    connection, hour, burst, topic=topic, words="an outage of everything", likes=range(100)
                )
            else:
                crawl_hour(connection, hour, 2, topic=topic)
    return topic


def close(database: Database, topic: uuid.UUID, number: int, start: float, end: float) -> uuid.UUID:
    with database.transaction() as connection:
        return add_period(connection, "topic", topic, number, at(start), at(end))


def test_a_burst_is_one_event_with_its_evidence(database: Database):
    topic = add_burst_topic(database)
    period = close(database, topic, 0, 0, 31)
    report = detect_events(database, "run")
    assert (report.entities, counts(report), report.failed) == (1, {"opened": 1}, [])
    (event,) = events(database)
    assert (event.entity_type, event.entity_id, event.period_id) == ("topic", topic, period)
    assert (event.event_type, event.severity) == ("anomaly", "critical")
    assert event.title.startswith("AI agents: 30 posts at 2026-01-05 20:00 UTC, 14.8× the usual 2 per hour (")
    assert "outage" in event.title
    assert event.metadata["key"] == "volume_up"
    assert event.metadata["onset"] == event.metadata["last_breach"] == at(BURST).isoformat()
    assert event.metadata["peak"] == {"hour": at(BURST).isoformat(), "value": 30}
    assert event.metadata["state"] == "resolved"
    assert [entry["state"] for entry in event.metadata["history"]] == ["resolved"]
    assert event.first_detected_at > at(BURST + 1)
    assert event.resolved_at == at(QUIET_AGAIN)
    evidence = rows(
        database,
        "SELECT k.relevance_to_event AS weight, c.text, c.metrics FROM event_contents k "
        "JOIN contents c ON c.id = k.content_id ORDER BY weight DESC",
    )
    assert len(evidence) == 30
    assert {row.text for row in evidence} == {"an outage of everything"}
    assert all(0 <= row.weight <= 1 for row in evidence)
    assert evidence[0].metrics["like_count"] == 29
    assert report.rows_written == 31
    assert (
        event.resolution_note == "quiet for 6 h; peak 2026-01-05 20:00 UTC, 14.8× the usual 2 posts per hour"
    )


def test_the_event_is_known_with_the_post_that_crossed_the_threshold(database: Database):
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    detect_events(database, "run")
    (event,) = events(database)
    nth = event.metadata["threshold_count"]
    assert 2 < nth < 30
    (crossing,) = rows(
        database,
        "SELECT crawled_at FROM contents WHERE topic_id = :topic AND published_at = :at "
        "ORDER BY crawled_at OFFSET :nth - 1 LIMIT 1",
        topic=topic,
        at=at(BURST + 0.5),
        nth=nth,
    )
    assert event.first_detected_at == crossing.crawled_at


def test_a_second_run_writes_nothing(database: Database):
    close(database, add_burst_topic(database), 0, 0, 31)
    detect_events(database, "run")
    before = events(database)
    report = detect_events(database, "again")
    assert (report.entities, report.rows_written) == (0, 0)
    assert events(database) == before


def test_searching_again_what_is_known_changes_nothing(database: Database):
    close(database, add_burst_topic(database), 0, 0, 31)
    detect_events(database, "run")
    before = events(database), rows(database, "SELECT * FROM event_contents ORDER BY 1, 2")
    unmark(database)
    report = detect_events(database, "again")
    assert (report.entities, report.rows_written) == (1, 0)
    assert (events(database), rows(database, "SELECT * FROM event_contents ORDER BY 1, 2")) == before


def test_only_frozen_periods_are_searched(database: Database):
    topic = add_burst_topic(database)
    with database.transaction() as connection:
        add_period(connection, "topic", topic, 0, at(0), at(31), is_frozen=False)
    assert detect_events(database, "run").entities == 0


def test_an_event_opens_grows_resolves_and_reopens_as_one_row(database: Database):
    topic = add_burst_topic(database, hours=24)
    first = close(database, topic, 0, 0, 24)
    assert detect_events(database, "1").count("opened") == 1
    (opened,) = events(database)
    assert (opened.resolved_at, opened.metadata["state"]) == (None, "recovering")
    assert opened.period_id == first

    with database.transaction() as connection:
        for hour in range(24, 30):
            crawl_hour(connection, hour, 2, topic=topic)
    close(database, topic, 1, 24, 31)
    report = detect_events(database, "2")
    assert counts(report) == {"resolved": 1}
    (resolved,) = events(database)
    assert (resolved.id, resolved.resolved_at) == (opened.id, at(QUIET_AGAIN))
    assert resolved.resolution_note is not None
    assert (resolved.title, resolved.first_detected_at) == (opened.title, opened.first_detected_at)

    with database.transaction() as connection:
        for hour in range(30, 34):
            crawl_hour(connection, hour, 90 if hour == 32 else 2, topic=topic, words="rollback of the outage")
    close(database, topic, 2, 31, 35)
    report = detect_events(database, "3")
    assert report.count("reopened") == 1
    (reopened,) = events(database)
    assert (reopened.id, reopened.period_id, reopened.resolved_at) == (opened.id, first, None)
    assert reopened.resolution_note is None
    assert reopened.metadata["last_breach"] == at(32).isoformat()
    assert (reopened.metadata["reopened_count"], reopened.metadata["reopened"]) == (1, [at(32).isoformat()])
    assert [entry["state"] for entry in reopened.metadata["history"]] == [
        "recovering",
        "resolved",
        "recovering",
    ]
    assert reopened.title.startswith("AI agents: 90 posts")
    assert reopened.first_detected_at == opened.first_detected_at
    (count,) = rows(database, "SELECT count(*) FROM event_contents")
    assert count[0] == 50


def test_a_burst_more_than_a_day_later_is_another_event(database: Database):
    with database.transaction() as connection:
        topic = add_topic(connection)
        for hour in range(62):
            crawl_hour(connection, hour, 40 if hour in (20, 52) else 2, topic=topic)
    close(database, topic, 0, 0, 63)
    detect_events(database, "run")
    assert [event.metadata["onset"] for event in events(database)] == [at(20).isoformat(), at(52).isoformat()]


def test_severity_is_never_lowered_and_deleted_posts_leave_the_evidence(database: Database):
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    detect_events(database, "run")
    rows(
        database,
        "DELETE FROM contents WHERE id IN (SELECT content_id FROM event_contents "
        "ORDER BY relevance_to_event DESC LIMIT 15)",
    )
    unmark(database)
    detect_events(database, "again")
    (event,) = events(database)
    assert event.severity == "critical"
    assert event.metadata["peak"]["value"] == 15
    assert len(rows(database, "SELECT * FROM event_contents")) == 15


def test_hours_that_no_crawl_covers_are_not_silence(database: Database):
    with database.transaction() as connection:
        topic = add_topic(connection)
        for hour in (*range(10), *range(30, 40)):
            crawl_hour(connection, hour, 6, topic=topic)
    close(database, topic, 0, 0, 41)
    detect_events(database, "run")
    assert events(database) == []


def test_a_topic_gone_quiet_is_resolved_though_no_period_is_cut(database: Database):
    topic = add_burst_topic(database, hours=22)
    close(database, topic, 0, 0, 22.5)
    detect_events(database, "burst")
    (event,) = events(database)
    assert event.metadata["state"] == "recovering"
    with database.transaction() as connection:
        for hour in range(22, 28):
            add_task(connection, topic=topic, started_at=at(hour + 1), found=0)
    report = detect_events(database, "quiet")
    # What opened is that the query found nothing six times.
    assert (report.entities, counts(report)) == (1, {"opened": 1, "resolved": 1})
    (event,) = events(database)
    assert event.resolved_at == at(QUIET_AGAIN)
    assert detect_events(database, "again").entities == 0


def test_what_waits_for_a_period_is_no_silence(database: Database):
    topic = add_burst_topic(database, hours=22)
    close(database, topic, 0, 0, 22.5)
    detect_events(database, "burst")
    with database.transaction() as connection:
        crawl_hour(connection, 23, 50, topic=topic)
        for hour in range(24, 30):
            add_task(connection, topic=topic, started_at=at(hour + 1), found=0)
    detect_events(database, "waiting")
    (event,) = events(database)
    assert event.metadata["state"] == "recovering"
    close(database, topic, 1, 22.5, 25)
    detect_events(database, "linked")
    (event,) = events(database)
    assert (event.resolved_at, event.metadata["peak"]["value"]) == (at(30), 50)


def test_after_a_week_without_coverage_it_expires(database: Database):
    topic = add_burst_topic(database, hours=22)
    close(database, topic, 0, 0, 22.5)
    with database.transaction() as connection:
        crawl_hour(connection, 21 + 24 * 9, 2, topic=topic)
    close(database, topic, 1, 22.5, 24 * 11)
    detect_events(database, "run")
    (event,) = events(database)
    assert (event.metadata["state"], event.resolved_at) == ("expired", at(22 + 24 * 7))
    assert "not covered by any crawl for 7 days" in event.resolution_note


def test_of_a_key_one_event_is_open_at_a_time_whoever_writes(database: Database):
    topic = add_burst_topic(database, hours=22)
    close(database, topic, 0, 0, 22.5)
    detect_events(database, "run")
    with pytest.raises(IntegrityError, match="one_open_event_per_key"):
        rows(
            database,
            "INSERT INTO temporal_events (period_id, entity_type, entity_id, event_type, title, description, "
            "  first_detected_at, metadata) "
            "SELECT period_id, entity_type, entity_id, event_type, 'twice', '', now(), metadata FROM temporal_events",
        )


def test_a_drop_is_a_warning_that_cites_the_last_posts_before(database: Database):
    with database.transaction() as connection:
        topic = add_topic(connection)
        for hour in range(40):
            crawl_hour(connection, hour, 20 + hour % 3, topic=topic)
        for hour in range(40, 44):
            add_task(connection, topic=topic, started_at=at(hour + 1), found=0)
    period = close(database, topic, 0, 0, 45)
    detect_events(database, "run")
    (event,) = events(database, "volume_down")
    assert (event.severity, event.event_type, event.period_id) == ("warning", "anomaly", period)
    assert event.title == "AI agents: no posts at 2026-01-06 16:00 UTC, where 21 per hour are usual"
    assert event.first_detected_at > at(41)
    cited = rows(
        database,
        "SELECT c.published_at FROM event_contents JOIN contents c ON c.id = content_id WHERE event_id = :id",
        id=event.id,
    )
    assert {row.published_at for row in cited} == {at(39.5)}
    assert len(cited) == 5


def test_killed_between_two_entities_the_next_run_writes_the_rest(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    for name in ("one", "two"):
        close(database, add_burst_topic(database, name), 0, 0, 31)
    write, written = database.write, []

    def dies(work: Any, **options: Any) -> Any:
        result = write(work, **options)
        written.append(work)
        if len(events(database)) == 1:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(database, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        detect_events(database, "killed")
    monkeypatch.undo()
    assert len(events(database)) == 1
    report = detect_events(database, "rest")
    assert (report.entities, counts(report)) == (2, {"opened": 1})
    assert len(rows(database, "SELECT * FROM event_contents")) == 60


def test_posts_that_are_not_linked_do_not_count(database: Database):
    topic = add_burst_topic(database)
    with database.transaction() as connection:
        add_period(connection, "topic", topic, 0, at(0), at(31), sets_pointers=False)
    assert detect_events(database, "run").entities == 1
    assert events(database) == []


def test_a_users_event_lies_in_the_users_own_period(database: Database):
    with database.transaction() as connection:
        topic, user = add_topic(connection), add_user(connection)
        for hour in range(30):
            crawl_hour(connection, hour, 30 if hour == BURST else 2, topic=topic, user=user)
        topics = add_period(connection, "topic", topic, 0, at(0), at(31))
        early = add_period(connection, "user", user, 0, at(0), at(12), sets_pointers=False)
        late = add_period(connection, "user", user, 1, at(12), at(31), sets_pointers=False)
    detect_events(database, "run")
    assert {(event.entity_type, event.period_id) for event in events(database)} == {
        ("topic", topics),
        ("user", late),
    }
    done = rows(database, "SELECT period_id FROM temporal_pipeline.period_stage WHERE stage = 'events'")
    assert {row.period_id for row in done} == {topics, early, late}


def test_events_of_people_and_of_the_application_are_never_touched(database: Database):
    topic = add_burst_topic(database)
    period = close(database, topic, 0, 0, 31)
    for metadata in ("{}", '{"key": "volume_up"}', '{"key": "other", "detector": "mine"}'):
        rows(
            database,
            "INSERT INTO temporal_events (period_id, entity_type, entity_id, event_type, title, description, "
            "  first_detected_at, metadata) "
            "VALUES (:period, 'topic', :topic, 'anomaly', 'mine', '', :at, CAST(:metadata AS jsonb))",
            period=period,
            topic=topic,
            at=at(BURST),
            metadata=metadata,
        )
    before = rows(database, "SELECT * FROM temporal_events WHERE title = 'mine' ORDER BY id")
    assert detect_events(database, "run").count("opened") == 1
    assert rows(database, "SELECT * FROM temporal_events WHERE title = 'mine' ORDER BY id") == before


def test_the_end_that_a_person_set_stays(database: Database):
    topic = add_burst_topic(database, hours=24)
    close(database, topic, 0, 0, 24)
    detect_events(database, "1")
    rows(database, "UPDATE temporal_events SET resolved_at = :at, resolution_note = 'false alarm'", at=at(22))
    with database.transaction() as connection:
        for hour in range(24, 34):
            crawl_hour(connection, hour, 90 if hour == 25 else 2, topic=topic)
    close(database, topic, 1, 24, 35)
    columns = (
        "SELECT title, description, severity, last_updated_at FROM temporal_events "
        "WHERE metadata->>'key' = 'volume_up'"
    )
    before = rows(database, columns)
    detect_events(database, "2")
    (event,) = events(database)
    assert (event.resolved_at, event.resolution_note) == (at(22), "false alarm")
    assert (event.metadata["state"], event.metadata["last_breach"]) == ("dismissed", at(25).isoformat())
    assert [entry["state"] for entry in event.metadata["history"]] == ["recovering", "dismissed"]
    assert rows(database, columns) == before


def test_evidence_that_a_person_added_stays(database: Database):
    topic = add_burst_topic(database, hours=24)
    close(database, topic, 0, 0, 24)
    detect_events(database, "1")
    rows(
        database,
        "INSERT INTO event_contents (event_id, content_id, relevance_to_event) "
        "SELECT v.id, c.id, 0.123 FROM temporal_events v, contents c ORDER BY c.crawled_at LIMIT 1",
    )
    with database.transaction() as connection:
        crawl_hour(connection, 24, 90, topic=topic)
        crawl_hour(connection, 25, 2, topic=topic)
    close(database, topic, 1, 24, 27)
    assert detect_events(database, "2").count("updated") == 1
    assert len(rows(database, "SELECT * FROM event_contents WHERE relevance_to_event = 0.123")) == 1


def test_an_open_event_whose_hours_no_longer_stand_out_is_resolved(database: Database):
    topic = add_burst_topic(database, hours=24)
    close(database, topic, 0, 0, 24)
    detect_events(database, "1")
    rows(database, "DELETE FROM contents WHERE id IN (SELECT content_id FROM event_contents)")
    with database.transaction() as connection:
        for hour in range(24, 30):
            crawl_hour(connection, hour, 2, topic=topic)
    close(database, topic, 1, 24, 31)
    rows(database, "DELETE FROM temporal_pipeline.period_hour")
    unmark(database)
    report = detect_events(database, "2")
    assert counts(report)["resolved"] == 1
    (event,) = events(database)
    assert event.resolved_at == at(30)
    assert event.resolution_note.startswith("With what is known now")


def test_the_events_of_a_superseded_period_are_history(database: Database):
    topic = add_burst_topic(database)
    old = close(database, topic, 0, 0, 31)
    detect_events(database, "1")
    (before,) = events(database)
    rows(database, "UPDATE analysis_periods SET status = 'superseded'")
    new = close(database, topic, 0, 0, 31)
    assert detect_events(database, "2").count("opened") == 1
    assert {event.period_id for event in events(database)} == {old, new}
    assert before in events(database)


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
    assert (report.entities, {event.entity_id for event in events(database)}) == (1, {good})


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
    assert (report.failed, counts(report)) == ([], {"opened": 1})


def test_absurd_reactions_do_not_stop_the_search(database: Database):
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    rows(database, """UPDATE contents SET metrics = '{"like_count": "9.5e307", "reply_count": 9.5e307}'""")
    report = detect_events(database, "run")
    assert (report.failed, counts(report)) == ([], {"opened": 1})


def test_a_period_of_the_applications_without_an_end_ends_now(database: Database):
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    rows(database, "UPDATE analysis_periods SET period_start = '-infinity', period_end = 'infinity'")
    assert detect_events(database, "run").count("opened") == 1


def test_the_endless_end_that_a_person_set_stays(database: Database):
    topic = add_burst_topic(database, hours=24)
    close(database, topic, 0, 0, 24)
    detect_events(database, "1")
    rows(database, "UPDATE temporal_events SET resolved_at = 'infinity'")
    with database.transaction() as connection:
        for hour in range(24, 34):
            crawl_hour(connection, hour, 90 if hour == 25 else 2, topic=topic)
    close(database, topic, 1, 24, 35)
    assert detect_events(database, "2").count("updated") == 1
    (event,) = rows(
        database,
        "SELECT metadata, isfinite(resolved_at) AS is_finite FROM temporal_events "
        "WHERE metadata->>'key' = 'volume_up'",
    )
    assert (event.metadata["state"], event.is_finite) == ("dismissed", False)


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
    assert {event.entity_id for event in events(database)} == {one}


def test_small_batches_write_the_same(database: Database):
    with database.transaction() as connection:
        topic = add_topic(connection)
        for hour in range(120):
            crawl_hour(connection, hour, 40 if hour % 40 == 20 else 2, topic=topic)
    close(database, topic, 0, 0, 121)
    assert detect_events(database, "run", batch_size=1).count("opened") == 3


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    owner=st.sampled_from(["topic", "user"]),
    bursts=st.dictionaries(st.integers(5, 110), st.integers(8, 60), max_size=4),
    gaps=st.sets(st.integers(5, 110), max_size=30),
    cuts=st.lists(st.integers(5, 110), min_size=1, max_size=5, unique=True).map(sorted),
)
def test_searching_round_by_round_finds_what_searching_at_once_finds(
    database: Database, owner: str, bursts: dict[int, int], gaps: set[int], cuts: list[int]
):
    rows(database, "TRUNCATE topics, users, contents, tasks, analysis_periods CASCADE")
    unmark(database)
    with database.transaction() as connection:
        entity = (add_topic if owner == "topic" else add_user)(
            connection, config={"schedule_interval_hours": 1}
        )
        for hour in range(112):
            if hour not in gaps:
                crawl_hour(connection, hour, bursts.get(hour, 1 + hour % 3), **{owner: entity})
    for number, (start, end) in enumerate(pairwise([0, *cuts, 114])):
        with database.transaction() as connection:
            add_period(connection, owner, entity, number, at(start), at(end))
        assert detect_events(database, str(number)).failed == []
    step_by_step = [
        row for row in figures_of(database) if "tier" in row.metadata or row.metadata["key"] == "crawl_gap"
    ]
    rows(database, "DELETE FROM temporal_events")
    unmark(database)
    assert detect_events(database, "at once").failed == []
    at_once = [
        row for row in figures_of(database) if "tier" in row.metadata or row.metadata["key"] == "crawl_gap"
    ]
    assert [(r.metadata["key"], r.metadata["onset"], r.resolved_at) for r in at_once] == [
        (r.metadata["key"], r.metadata["onset"], r.resolved_at) for r in step_by_step
    ]
