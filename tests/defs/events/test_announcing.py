"""Who is told of an event: what begins, ends or begins again, each once, and in the same transaction."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Row

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.announcing import NO_LONGER
from temporal_pipeline.defs.events.searching import detect_events
from tests.crosshot_rows import at
from tests.defs.events.world import (
    BURST,
    QUIET_AGAIN,
    add_burst_topic,
    add_quiet_hours,
    close,
    crawl_hour,
    events,
    forget_searches,
    rows,
)


def told(database: Database) -> Sequence[Row[Any]]:
    return rows(
        database,
        "SELECT * FROM temporal_pipeline.alert WHERE details->>'key' = 'volume_up' ORDER BY id",
    )


def states(database: Database) -> list[str]:
    return [alert.state for alert in told(database)]


@pytest.fixture
def open_burst(database: Database) -> uuid.UUID:
    """A topic whose burst still goes on, as far as is known."""
    topic = add_burst_topic(database, hours=24)
    close(database, topic, 0, 0, 24)
    detect_events(database, "1")
    return topic


def add_flare_up(database: Database, topic: uuid.UUID, start: int, end: int) -> None:
    with database.transaction() as connection:
        for hour in range(start, end):
            crawl_hour(connection, hour, 90 if hour == 32 else 2, topic=topic)


def test_an_event_is_told_when_it_opens_ends_and_opens_again(
    database: Database, open_burst: uuid.UUID
) -> None:
    [opened] = told(database)
    assert (opened.state, opened.since, opened.severity) == ("opened", at(BURST), "critical")
    assert (opened.subject, opened.about) == (f"event:topic:{open_burst}:volume_up", "AI agents")
    assert opened.title.startswith("AI agents: 30 posts at 2026-01-05 20:00 UTC, 14.8× the usual 2 per hour")
    assert opened.details["peak"] == {"hour": at(BURST).isoformat(), "value": 30}
    assert opened.details["entity"] == {"type": "topic", "id": str(open_burst), "name": "AI agents"}

    add_quiet_hours(database, open_burst, 24, 30)
    close(database, open_burst, 1, 24, 31)
    detect_events(database, "2")
    [_, resolved] = told(database)
    assert (resolved.state, resolved.since, resolved.subject) == ("resolved", at(QUIET_AGAIN), opened.subject)
    assert resolved.details["note"].startswith("quiet for 6 h")
    assert resolved.details["event_id"] == opened.details["event_id"]

    add_flare_up(database, open_burst, 30, 34)
    close(database, open_burst, 2, 31, 35)
    detect_events(database, "3")
    [_, _, reopened] = told(database)
    assert (reopened.state, reopened.since) == ("reopened", at(32))

    add_quiet_hours(database, open_burst, 34, 44)
    close(database, open_burst, 3, 35, 45)
    detect_events(database, "4")
    assert states(database) == ["opened", "resolved", "reopened", "resolved"]


def test_a_hundred_looks_at_the_same_tell_nothing(database: Database, open_burst: uuid.UUID) -> None:
    before = rows(database, "SELECT * FROM temporal_pipeline.alert ORDER BY id")
    for n in range(100):
        forget_searches(database)
        assert detect_events(database, str(n)).entities == 1
    assert rows(database, "SELECT * FROM temporal_pipeline.alert ORDER BY id") == before


def test_an_event_that_grows_is_not_told_again(database: Database, open_burst: uuid.UUID) -> None:
    with database.transaction() as connection:
        crawl_hour(connection, 24, 60, topic=open_burst)
    close(database, open_burst, 1, 24, 26)
    detect_events(database, "2")
    [event] = [one for one in events(database) if one.metadata["key"] == "volume_up"]
    assert event.metadata["peak"]["value"] == 60
    assert states(database) == ["opened"]


def test_what_was_over_before_anybody_looked_is_history(database: Database) -> None:
    close(database, add_burst_topic(database), 0, 0, 31)
    assert detect_events(database, "1").count("opened") == 1
    assert told(database) == []


def test_what_began_and_ended_between_two_looks_is_told_once(database: Database) -> None:
    topic = add_burst_topic(database, hours=20)
    close(database, topic, 0, 0, 20.5)
    detect_events(database, "1")
    with database.transaction() as connection:
        for hour in range(20, 30):
            crawl_hour(connection, hour, 30 if hour == BURST else 2, topic=topic)
    close(database, topic, 1, 20.5, 31)
    detect_events(database, "2")
    [alert] = told(database)
    assert (alert.state, alert.since, alert.details["onset"]) == (
        "resolved",
        at(QUIET_AGAIN),
        at(BURST).isoformat(),
    )


def test_what_began_again_and_ended_between_two_looks_is_told_once(
    database: Database, open_burst: uuid.UUID
) -> None:
    add_quiet_hours(database, open_burst, 24, 30)
    close(database, open_burst, 1, 24, 31)
    detect_events(database, "2")
    add_flare_up(database, open_burst, 30, 44)
    close(database, open_burst, 2, 31, 45)
    assert detect_events(database, "3").count("updated") == 1
    assert states(database) == ["opened", "resolved", "resolved"]
    assert told(database)[-1].since > at(32)


def test_a_period_that_is_analysed_again_tells_only_what_changed(
    database: Database, open_burst: uuid.UUID
) -> None:
    rows(database, "UPDATE analysis_periods SET status = 'superseded'")
    close(database, open_burst, 0, 0, 24)
    assert detect_events(database, "2").count("opened") == 1
    assert states(database) == ["opened"]
    add_quiet_hours(database, open_burst, 24, 30)
    close(database, open_burst, 1, 24, 31)
    detect_events(database, "3")
    assert states(database) == ["opened", "resolved"]


def test_what_is_not_found_again_when_its_period_is_analysed_again_is_told_to_be_over(
    database: Database, open_burst: uuid.UUID
) -> None:
    rows(database, "UPDATE analysis_periods SET status = 'superseded'")
    rows(
        database,
        "UPDATE contents SET published_at = date_trunc('day', published_at) + random() * interval '20 h'",
    )
    close(database, open_burst, 0, 0, 24)
    assert detect_events(database, "2").count("opened") == 0
    opened, resolved = told(database)
    assert (opened.state, resolved.state, resolved.subject) == ("opened", "resolved", opened.subject)
    assert resolved.since > opened.since
    assert resolved.details == {**opened.details, "note": NO_LONGER}
    forget_searches(database)
    detect_events(database, "3")
    assert states(database) == ["opened", "resolved"]


def test_what_late_posts_explain_away_is_told_to_be_over(database: Database, open_burst: uuid.UUID) -> None:
    with database.transaction() as connection:
        for hour in range(BURST):
            found_at = at(25 + hour / 1000)
            crawl_hour(connection, hour, 40, topic=open_burst, words="found late", crawled_at=found_at)
    close(database, open_burst, 1, 24, 26)
    assert detect_events(database, "2").count("resolved") == 1
    opened, resolved, *others = told(database)
    assert (opened.state, resolved.state, others) == ("opened", "resolved", [])
    assert resolved.details["note"] == "With what is known now, this no longer stands out by itself."
    assert resolved.title == opened.title


def test_no_event_without_its_alert(database: Database) -> None:
    """One transaction has both: where the outbox cannot be written, the event is not there either."""
    topic = add_burst_topic(database, hours=24)
    close(database, topic, 0, 0, 24)
    rows(
        database,
        "CREATE FUNCTION full_up() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no more room'; END$$",
    )
    rows(
        database,
        "CREATE TRIGGER full_up BEFORE INSERT ON temporal_pipeline.alert FOR EACH ROW EXECUTE FUNCTION full_up()",
    )
    assert len(detect_events(database, "1").failed) == 1
    assert events(database) == []
    rows(database, "DROP FUNCTION full_up CASCADE")
    assert detect_events(database, "2").count("opened") >= 1
    assert states(database) == ["opened"]
