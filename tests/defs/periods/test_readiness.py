"""Who waits for a period, why, and for how long."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods import cutting
from tests.crosshot_rows import add_content, add_task, add_topic, at, mark_prepared
from tests.defs.periods.world import cut, periods_of, pointer


def test_a_content_from_the_future_waits_and_is_counted(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        future = add_content(c, topic=topic, crawled_at=datetime(2100, 1, 1, tzinfo=UTC))
    report = cut(database)
    assert pointer(database, future) is None
    assert report.future == 1


def test_an_entity_whose_crawl_is_running_waits_while_others_go_on(database: Database) -> None:
    now = datetime.now(UTC)
    with database.transaction() as c:
        busy, calm = add_topic(c, name="busy"), add_topic(c, name="calm")
        add_task(c, topic=busy, started_at=now, status="running", completed_at=None)
        waiting = add_content(c, topic=busy, crawled_at=now - timedelta(minutes=1))
        add_content(c, topic=calm, crawled_at=at(1))
    report = cut(database)
    assert periods_of(database, busy) == []
    assert pointer(database, waiting) is None
    assert [row.name for row in report.periods] == ["calm"]
    assert [(row.name, row.reason) for row in report.waiting] == [("busy", "its crawl is running")]


def test_a_crawl_that_runs_for_longer_than_its_interval_is_not_waited_for(database: Database) -> None:
    now = datetime.now(UTC)
    with database.transaction() as c:
        topic = add_topic(c)
        add_task(c, topic=topic, started_at=now, status="running", completed_at=None)
        add_content(c, topic=topic, crawled_at=at(1), discovered_at=now - timedelta(hours=7))
    cut(database)
    assert len(periods_of(database, topic)) == 1


def test_the_sensor_waits_half_an_interval_and_a_run_by_hand_does_not(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(0))
    cut(database, automatic=True)
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(2))
    report = cut(database, automatic=True)
    assert [row.reason for row in report.waiting] == ["too little time since its last period"]
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(4))
    assert len(cut(database, automatic=True).periods) == 1
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(4.5))
    assert len(cut(database, automatic=False).periods) == 1


def test_late_arrivals_alone_wait_for_company_up_to_an_interval(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(10))
    cut(database)
    with database.transaction() as c:
        late = add_content(c, topic=topic, crawled_at=at(2))
    assert cut(database, automatic=True).periods == []
    with database.transaction() as c:
        c.execute(
            text("UPDATE contents SET discovered_at = now() - interval '7 hours' WHERE id = :id"),
            {"id": late},
        )
    assert len(cut(database, automatic=True).periods) == 1


def test_an_unprepared_content_waits_for_its_preparation(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
        unprepared = add_content(c, topic=topic, crawled_at=at(2))
    cutting.perform_cut(database, "run")
    assert len(periods_of(database, topic)) == 1
    assert pointer(database, unprepared) is None


@pytest.mark.parametrize("column", ["discovered_at", "crawled_at"])
@pytest.mark.parametrize("never", ["infinity", "-infinity"])
def test_a_time_without_end_stops_nobody(database: Database, column: str, never: str) -> None:
    with database.transaction() as c:
        topic, other = add_topic(c, name="odd"), add_topic(c, name="even")
        odd = add_content(c, topic=topic, crawled_at=at(1))
        add_content(c, topic=other, crawled_at=at(1))
        c.execute(text(f"UPDATE contents SET {column} = '{never}' WHERE id = :id"), {"id": odd})
    report = cut(database, automatic=True)
    assert len(periods_of(database, other)) == 1
    assert (pointer(database, odd) is None) == (column == "crawled_at")
    assert report.future == (column == "crawled_at")
