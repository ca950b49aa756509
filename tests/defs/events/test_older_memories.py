"""Alerts and notes of the application's older memory become events of Period 0, once."""

import uuid

import pytest

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.older_memories import remember_older_memories
from temporal_pipeline.defs.events.searching import detect_events
from tests.crosshot_rows import add_topic, at
from tests.defs.events.world import add_period, events, rows

MEMORIES = ("alerts", "analysis_notes")


@pytest.fixture
def topic(database: Database) -> uuid.UUID:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_period(connection, "topic", topic, 0, at(0), at(10))
        add_period(connection, "topic", topic, 1, at(10), at(20))
    return topic


def add_memories(database: Database, owner: uuid.UUID) -> None:
    rows(
        database,
        "INSERT INTO alerts (id, level, message, entity_type, entity_id, created_at, resolved_at) "
        "SELECT gen_random_uuid(), level, message, 'topic', :owner, :at, CAST(resolved_at AS timestamptz) "
        "FROM (VALUES ('error', 'the outage', NULL), ('warn', 'slow', CAST(:over AS text)), "
        "             ('note', repeat('x', 300), NULL)) AS v (level, message, resolved_at)",
        owner=owner,
        at=at(3),
        over=at(5).isoformat(),
    )
    rows(
        database,
        "INSERT INTO analysis_notes (id, entity_type, entity_id, category, note, is_active, created_at) "
        "SELECT gen_random_uuid(), 'topic', :owner, 'tone', note, is_active, :at "
        "FROM (VALUES ('harsher', true), ('kinder', false)) AS v (note, is_active)",
        owner=owner,
        at=at(4),
    )


def test_without_these_tables_there_is_nothing_to_remember(database: Database, topic: uuid.UUID) -> None:
    for table in MEMORIES:
        rows(database, f"DROP TABLE {table}")
    with database.transaction() as connection:
        assert remember_older_memories(connection) == 0
    assert detect_events(database, "run").failed == []


def test_each_becomes_an_event_of_period_zero(database: Database, topic: uuid.UUID) -> None:
    add_memories(database, topic)
    assert detect_events(database, "run").remembered == 5
    found = events(database)
    [(zero,)] = rows(database, "SELECT id FROM analysis_periods WHERE period_number = 0")
    assert {event.period_id for event in found} == {zero}
    assert {(event.event_type, event.severity, event.description[:10]) for event in found} == {
        ("risk", "critical", "the outage"),
        ("risk", "warning", "slow"),
        ("risk", "info", "x" * 10),
        ("observation", "info", "harsher"),
        ("observation", "info", "kinder"),
    }
    [over] = [event for event in found if event.title == "slow"]
    assert (over.first_detected_at, over.resolved_at, over.resolution_note) == (
        at(3),
        at(5),
        "resolved in alerts",
    )
    [inactive] = [event for event in found if event.title == "kinder"]
    assert inactive.resolved_at == at(4)
    assert inactive.metadata["category"] == "tone"
    [still_open] = [event for event in found if event.title == "harsher"]
    assert still_open.resolved_at is None
    assert max(len(event.title) for event in found) == 256
    assert not any("detector" in event.metadata for event in found)


def test_they_are_remembered_once_and_stay_as_people_leave_them(database: Database, topic: uuid.UUID) -> None:
    add_memories(database, topic)
    detect_events(database, "1")
    rows(database, "UPDATE temporal_events SET title = 'mine', resolved_at = now()")
    before = events(database)
    assert detect_events(database, "2").rows_written == 0
    assert events(database) == before
    rows(
        database,
        "INSERT INTO alerts (id, level, message, entity_type, entity_id) "
        "VALUES (gen_random_uuid(), 'critical', 'one more', 'topic', :topic)",
        topic=topic,
    )
    report = detect_events(database, "3")
    assert (report.remembered, report.rows_written) == (1, 1)


def test_what_has_no_period_zero_yet_waits_for_it(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
    add_memories(database, topic)
    assert detect_events(database, "1").remembered == 0
    with database.transaction() as connection:
        add_period(connection, "topic", topic, 0, at(0), at(10), is_frozen=False)
    assert detect_events(database, "2").remembered == 5


@pytest.mark.parametrize(("missing", "remembered"), [("alerts", 2), ("analysis_notes", 3)])
def test_one_of_the_two_tables_is_enough(
    database: Database, topic: uuid.UUID, missing: str, remembered: int
) -> None:
    add_memories(database, topic)
    rows(database, f"DROP TABLE {missing}")
    assert detect_events(database, "run").remembered == remembered
