"""An event in the database from its first sign to its end: rows, evidence, and what is never touched."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.searching import detect_events
from tests.crosshot_rows import add_task, add_topic, at
from tests.defs.events.world import (
    BURST,
    add_burst_topic,
    bursts,
    close,
    crawl_hour,
    effects,
    forget_searches,
    rows,
)

QUIET_AGAIN = 27


def drops(database: Database) -> Sequence[Row[Any]]:
    return rows(database, "SELECT * FROM temporal_events WHERE metadata->>'key' = 'volume_down'")


def test_a_burst_is_one_event_with_its_evidence(database: Database):
    topic = add_burst_topic(database)
    period = close(database, topic, 0, 0, 31)
    report = detect_events(database, "run")
    assert (report.entities, effects(report), report.failed) == (1, {"opened": 1}, [])
    (event,) = bursts(database)
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
    (event,) = bursts(database)
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


def test_an_event_opens_grows_resolves_and_reopens_as_one_row(database: Database):
    topic = add_burst_topic(database, hours=24)
    first = close(database, topic, 0, 0, 24)
    assert detect_events(database, "1").count("opened") == 1
    (opened,) = bursts(database)
    assert (opened.resolved_at, opened.metadata["state"]) == (None, "recovering")
    assert opened.period_id == first

    with database.transaction() as connection:
        for hour in range(24, 30):
            crawl_hour(connection, hour, 2, topic=topic)
    close(database, topic, 1, 24, 31)
    report = detect_events(database, "2")
    assert effects(report) == {"resolved": 1}
    (resolved,) = bursts(database)
    assert (resolved.id, resolved.resolved_at) == (opened.id, at(QUIET_AGAIN))
    assert resolved.resolution_note is not None
    assert (resolved.title, resolved.first_detected_at) == (opened.title, opened.first_detected_at)

    with database.transaction() as connection:
        for hour in range(30, 34):
            crawl_hour(connection, hour, 90 if hour == 32 else 2, topic=topic, words="rollback of the outage")
    close(database, topic, 2, 31, 35)
    report = detect_events(database, "3")
    assert report.count("reopened") == 1
    (reopened,) = bursts(database)
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
    assert [event.metadata["onset"] for event in bursts(database)] == [at(20).isoformat(), at(52).isoformat()]


def test_severity_is_never_lowered_and_deleted_posts_leave_the_evidence(database: Database):
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    detect_events(database, "run")
    rows(
        database,
        "DELETE FROM contents WHERE id IN (SELECT content_id FROM event_contents "
        "ORDER BY relevance_to_event DESC LIMIT 15)",
    )
    forget_searches(database)
    detect_events(database, "again")
    (event,) = bursts(database)
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
    assert bursts(database) == []


def test_a_topic_gone_quiet_is_resolved_though_no_period_is_cut(database: Database):
    topic = add_burst_topic(database, hours=22)
    close(database, topic, 0, 0, 22.5)
    detect_events(database, "burst")
    (event,) = bursts(database)
    assert event.metadata["state"] == "recovering"
    with database.transaction() as connection:
        for hour in range(22, 28):
            add_task(connection, topic=topic, started_at=at(hour + 1), found=0)
    report = detect_events(database, "quiet")
    # What opened is that the query found nothing six times.
    assert (report.entities, effects(report)) == (1, {"opened": 1, "resolved": 1})
    (event,) = bursts(database)
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
    (event,) = bursts(database)
    assert event.metadata["state"] == "recovering"
    close(database, topic, 1, 22.5, 25)
    detect_events(database, "linked")
    (event,) = bursts(database)
    assert (event.resolved_at, event.metadata["peak"]["value"]) == (at(30), 50)


def test_after_a_week_without_coverage_it_expires(database: Database):
    topic = add_burst_topic(database, hours=22)
    close(database, topic, 0, 0, 22.5)
    with database.transaction() as connection:
        crawl_hour(connection, 21 + 24 * 9, 2, topic=topic)
    close(database, topic, 1, 22.5, 24 * 11)
    detect_events(database, "run")
    (event,) = bursts(database)
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
    (event,) = drops(database)
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
    (event,) = bursts(database)
    assert (event.resolved_at, event.resolution_note) == (at(22), "false alarm")
    assert (event.metadata["state"], event.metadata["last_breach"]) == ("dismissed", at(25).isoformat())
    assert [entry["state"] for entry in event.metadata["history"]] == ["recovering", "dismissed"]
    assert rows(database, columns) == before


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
    forget_searches(database)
    report = detect_events(database, "2")
    assert effects(report)["resolved"] == 1
    (event,) = bursts(database)
    assert event.resolved_at == at(30)
    assert event.resolution_note.startswith("With what is known now")


def test_the_events_of_a_superseded_period_are_history(database: Database):
    topic = add_burst_topic(database)
    old = close(database, topic, 0, 0, 31)
    detect_events(database, "1")
    (before,) = bursts(database)
    rows(database, "UPDATE analysis_periods SET status = 'superseded'")
    new = close(database, topic, 0, 0, 31)
    assert detect_events(database, "2").count("opened") == 1
    assert {event.period_id for event in bursts(database)} == {old, new}
    assert before in bursts(database)
