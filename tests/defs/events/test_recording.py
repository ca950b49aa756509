"""What becomes of an event's row: late posts, deleted posts, people's decisions, and the posts that show it."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Row, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.searching import detect_events, preview_events
from tests.crosshot_rows import add_task, add_topic, add_user, at
from tests.defs.events.world import (
    BURST,
    QUIET_AGAIN,
    add_burst_topic,
    add_counted_hours,
    add_empty_crawls,
    add_period,
    add_quiet_hours,
    close,
    crawl_hour,
    events,
    everything_written,
    forget_everything,
    rows,
)


def bursts(database: Database) -> Sequence[Row[Any]]:
    return [event for event in events(database) if event.metadata["key"] == "volume_up"]


def evidence(database: Database, event: uuid.UUID) -> Sequence[Row[Any]]:
    return rows(
        database,
        "SELECT c.*, k.relevance_to_event AS weight FROM event_contents k JOIN contents c ON c.id = k.content_id "
        "WHERE k.event_id = :event ORDER BY weight DESC, c.id",
        event=event,
    )


def add_late_posts(database: Database, topic: uuid.UUID, posts: dict[int, int], crawled: float) -> None:
    """Posts of earlier hours that only a later crawl finds."""
    with database.transaction() as connection:
        for i, (hour, n) in enumerate(posts.items()):
            found_at = at(crawled + i * 0.001)
            crawl_hour(connection, hour, n, topic=topic, words="found late", crawled_at=found_at)


def add_topic_with_bursts(database: Database, *hours: int, until: int = 60) -> uuid.UUID:
    with database.transaction() as connection:
        topic = add_topic(connection)
        counts = [40 if hour in hours else 2 for hour in range(until)]
        add_counted_hours(connection, "topic", topic, 0, counts)
    close(database, topic, 0, 0, until + 0.5)
    return topic


# Late posts.


def test_late_posts_change_nothing_that_was_before_them(database: Database) -> None:
    topic = add_topic_with_bursts(database, 10, 45)
    detect_events(database, "1")
    first, second = bursts(database)
    add_late_posts(database, topic, dict.fromkeys(range(36, 45), 2), 61)
    close(database, topic, 1, 60.5, 62)
    assert detect_events(database, "2").failed == []
    untouched, updated = bursts(database)
    assert untouched == first
    assert (updated.id, updated.first_detected_at) == (second.id, second.first_detected_at)
    assert updated.metadata["baseline"] > second.metadata["baseline"]
    assert [entry["state"] for entry in updated.metadata["history"]] == ["resolved", "resolved"]


def test_late_posts_of_the_burst_make_it_larger(database: Database) -> None:
    topic = add_topic_with_bursts(database, 45)
    detect_events(database, "1")
    add_late_posts(database, topic, {45: 10}, 61)
    close(database, topic, 1, 60.5, 62)
    assert detect_events(database, "2").count("updated") == 1
    [event] = bursts(database)
    assert event.metadata["peak"]["value"] == 50
    assert len(evidence(database, event.id)) == 50


def test_a_burst_that_is_found_late_was_not_known_before(database: Database) -> None:
    topic = add_topic_with_bursts(database)
    detect_events(database, "1")
    add_late_posts(database, topic, {50: 30}, 61)
    close(database, topic, 1, 60.5, 62)
    assert detect_events(database, "2").count("opened") == 1
    [event] = bursts(database)
    assert event.metadata["onset"] == at(50).isoformat()
    assert event.first_detected_at >= at(61)


def test_what_was_published_a_fortnight_before_is_no_news(database: Database) -> None:
    topic = add_topic_with_bursts(database, until=420)
    detect_events(database, "1")
    add_late_posts(database, topic, {50: 30}, 421)
    close(database, topic, 1, 420.5, 422)
    assert detect_events(database, "2").failed == []
    assert bursts(database) == []


def test_severity_is_never_lowered_within_an_episode(database: Database) -> None:
    topic = add_burst_topic(database, hours=24, burst=60)
    close(database, topic, 0, 0, 24.5)
    detect_events(database, "1")
    [before] = bursts(database)
    assert before.severity == "critical"
    add_late_posts(database, topic, dict.fromkeys(range(BURST), 20), 25)
    close(database, topic, 1, 24.5, 26)
    detect_events(database, "2")
    [after] = bursts(database)
    assert after.metadata["ratio"] < 3 < before.metadata["ratio"]
    assert (after.id, after.severity, after.metadata["history"][-1]["severity"]) == (
        before.id,
        "critical",
        "critical",
    )


def test_an_open_event_that_late_posts_explain_away_says_so(database: Database) -> None:
    topic = add_burst_topic(database, hours=24)
    close(database, topic, 0, 0, 24.5)
    detect_events(database, "1")
    add_late_posts(database, topic, dict.fromkeys(range(BURST), 40), 25)
    close(database, topic, 1, 24.5, 26)
    assert detect_events(database, "2").count("resolved") == 1
    [event] = [one for one in bursts(database) if one.metadata["onset"] == at(BURST).isoformat()]
    assert (event.metadata["state"], event.resolved_at) == ("resolved", at(25.019))
    assert event.resolution_note == "With what is known now, this no longer stands out by itself."
    assert len(evidence(database, event.id)) == 30


# Deleted posts.


def test_posts_that_were_all_deleted_do_not_stop_their_event(database: Database) -> None:
    topic = add_burst_topic(database, hours=24)
    period = close(database, topic, 0, 0, 24.5)
    detect_events(database, "1")
    rows(database, "DELETE FROM contents WHERE id IN (SELECT content_id FROM event_contents)")
    add_quiet_hours(database, topic, 24, 30)
    close(database, topic, 1, 24.5, 31)
    report = detect_events(database, "2")
    assert (report.failed, report.count("resolved")) == ([], 1)
    [event] = bursts(database)
    assert (event.period_id, event.resolved_at) == (period, at(QUIET_AGAIN))


def test_what_no_post_shows_any_more_is_not_opened(database: Database) -> None:
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    detect_events(database, "1")
    rows(database, "DELETE FROM contents WHERE id IN (SELECT content_id FROM event_contents)")
    hours = rows(database, "SELECT * FROM temporal_pipeline.period_hour")
    rows(database, "DELETE FROM temporal_events")
    rows(database, "DELETE FROM temporal_pipeline.entity_watch")
    rows(database, "DELETE FROM temporal_pipeline.period_stage WHERE stage = 'events'")
    report = detect_events(database, "2")
    assert rows(database, "SELECT * FROM temporal_pipeline.period_hour") == hours
    assert (report.failed, report.rows_written, events(database)) == ([], 0, [])


# Evidence.


def test_evidence_is_told_in_the_words_that_were_frozen(database: Database) -> None:
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    rows(database, "UPDATE contents SET text = 'edited afterwards' WHERE text LIKE 'an outage%'")
    detect_events(database, "run")
    [event] = bursts(database)
    assert "outage" in event.metadata["terms"]
    assert "edited" not in event.title + event.description


def test_of_a_large_burst_fifty_posts_are_evidence(database: Database) -> None:
    topic = add_burst_topic(database, burst=120)
    close(database, topic, 0, 0, 31)
    detect_events(database, "run")
    [event] = bursts(database)
    cited = evidence(database, event.id)
    assert len(cited) == 50
    assert all(0 <= post.weight <= 1 for post in cited)
    assert {post.published_at for post in cited} == {at(BURST + 0.5)}
    # Likes range to 99: those with fewest are left out.
    assert min(post.metrics["like_count"] for post in cited) >= 30


def test_engagement_is_shown_by_its_own_posts(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for hour in range(90):
            crawl_hour(connection, hour, 6, topic=topic, likes=(400,) if hour == 80 else (hour % 5,))
    close(database, topic, 0, 0, 91)
    detect_events(database, "run")
    [event] = [one for one in events(database) if one.metadata["key"] == "engagement_up"]
    assert event.metadata["peak"] == {"hour": at(80).isoformat(), "value": 400}
    assert (event.event_type, event.first_detected_at) == ("anomaly", at(81) + (at(1) - at(0)) / 60)
    assert {post.published_at for post in evidence(database, event.id)} == {at(80.5)}


def test_a_quarrel_is_an_event(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for hour in range(90):
            crawl_hour(connection, hour, 6, topic=topic, likes=(20,), replies=300 if hour == 80 else 1)
    close(database, topic, 0, 0, 91)
    detect_events(database, "run")
    [event] = [one for one in events(database) if one.metadata["key"] == "controversy_up"]
    assert (event.event_type, event.metadata["onset"]) == ("controversy", at(80).isoformat())
    assert len(evidence(database, event.id)) == 6


def test_nothing_is_detected_before_the_end_of_its_hour(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for hour in range(20):
            crawl_hour(connection, hour, 2, topic=topic)
        crawl_hour(connection, 20, 40, topic=topic, crawled_at=at(20.7))
        add_task(connection, topic=topic, started_at=at(21), found=0)
    close(database, topic, 0, 0, 21.5)
    detect_events(database, "run")
    [event] = bursts(database)
    assert event.first_detected_at == at(21)


# People.


def test_what_a_person_dismissed_opens_no_other_row_for_the_same_episode(database: Database) -> None:
    topic = add_burst_topic(database, hours=24)
    close(database, topic, 0, 0, 24.5)
    detect_events(database, "1")
    rows(database, "UPDATE temporal_events SET resolved_at = :at, resolution_note = 'expected'", at=at(24))
    [dismissed] = bursts(database)
    for number, (first, last) in enumerate([(24, 26), (26, 34), (34, 40), (40, 110)], start=1):
        with database.transaction() as connection:
            counts = [90 if hour in (25, 36, 100) else 2 for hour in range(first, last)]
            add_counted_hours(connection, "topic", topic, first, counts)
        close(database, topic, number, first + 0.5, last + 0.5)
        assert detect_events(database, f"{number}").failed == []
    theirs, later = bursts(database)
    unchanged = ("id", "title", "severity", "resolved_at", "resolution_note", "last_updated_at", "period_id")
    assert all(getattr(theirs, column) == getattr(dismissed, column) for column in unchanged)
    assert [entry["state"] for entry in theirs.metadata["history"]] == ["recovering", "dismissed"]
    assert later.metadata["onset"] == at(100).isoformat()


# The run.


def test_a_users_event_ends_though_no_period_is_cut(database: Database) -> None:
    with database.transaction() as connection:
        user = add_user(connection)
        for hour in range(22):
            crawl_hour(connection, hour, 30 if hour == BURST else 2, user=user)
        add_period(connection, "user", user, 0, at(0), at(22.5))
    detect_events(database, "burst")
    with database.transaction() as connection:
        for hour in range(22, 28):
            add_task(connection, user=user, started_at=at(hour + 1), found=0)
    assert detect_events(database, "quiet").count("resolved") == 1
    [event] = bursts(database)
    assert event.resolved_at == at(QUIET_AGAIN)


def test_a_dry_run_shows_what_would_end_and_writes_nothing(database: Database) -> None:
    topic = add_burst_topic(database, hours=24)
    close(database, topic, 0, 0, 24.5)
    detect_events(database, "1")
    add_empty_crawls(database, topic, 24, 30)
    before = everything_written(database)
    with database.transaction(read_only=True) as connection:
        [judged] = preview_events(connection)
    would = {change.finding.key: change for change in judged.changes if change.finding}
    assert (would["volume_up"].effect, would["volume_up"].ended) == ("resolved", at(QUIET_AGAIN))
    assert everything_written(database) == before


@pytest.mark.parametrize("started_at", ["infinity", "20000-01-01"])
def test_a_crawl_at_a_time_that_cannot_be_is_no_news_for_ever(database: Database, started_at: str) -> None:
    topic = add_burst_topic(database)
    close(database, topic, 0, 0, 31)
    detect_events(database, "1")
    with database.transaction() as connection:
        task = add_task(connection, topic=topic, started_at=at(31), found=0)
    rows(database, f"UPDATE tasks SET started_at = '{started_at}' WHERE id = :task", task=task)
    detect_events(database, "2")
    assert detect_events(database, "3").entities == 0


def test_killed_between_two_events_of_an_entity_the_next_run_writes_the_rest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_topic_with_bursts(database, 20, 60, 100, 140, until=160)
    detect_events(database, "whole")
    figures = (
        "SELECT title, severity, resolved_at, metadata->>'onset' AS onset FROM temporal_events ORDER BY 1, 4"
    )
    whole = rows(database, figures)
    assert len(bursts(database)) == 4
    forget_everything(database)
    write = database.write

    def dies(work: Any) -> Any:
        result = write(work)
        if len(bursts(database)) == 2:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(database, "write", dies)
        detect_events(database, "killed", batch_size=1)
    assert len(bursts(database)) == 2
    assert detect_events(database, "rest").failed == []
    assert rows(database, figures) == whole
    assert detect_events(database, "again").entities == 0


def test_a_period_of_long_ago_that_is_analysed_again_finds_its_events_again(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        counts = [40 if hour in (20, 450) else 2 for hour in range(480)]
        add_counted_hours(connection, "topic", topic, 0, counts)
    old = close(database, topic, 0, 0, 48.5)
    close(database, topic, 1, 48.5, 480.5)
    detect_events(database, "1")
    first, second = bursts(database)
    assert first.period_id == old
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE analysis_periods SET status = 'superseded' WHERE id = :old"), {"old": old}
        )
        new = add_period(connection, "topic", topic, 0, at(0), at(48.5))
    assert detect_events(database, "2").count("opened") == 1
    assert {event.id: event.period_id for event in bursts(database)}.items() >= {
        first.id: old,
        second.id: second.period_id,
    }.items()
    [again] = [event for event in bursts(database) if event.id not in {first.id, second.id}]
    assert (again.period_id, again.metadata["onset"]) == (new, first.metadata["onset"])


def test_the_gap_of_a_period_that_is_analysed_again_is_found_again(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        counts = [None if 20 <= hour < 40 else 2 for hour in range(60)]
        add_counted_hours(connection, "topic", topic, 0, counts)
    close(database, topic, 0, 0, 60.5)
    detect_events(database, "1")
    [gap] = [event for event in events(database) if event.metadata["key"] == "crawl_gap"]
    rows(database, "UPDATE analysis_periods SET status = 'superseded'")
    new = close(database, topic, 0, 0, 60.5)
    detect_events(database, "2")
    [again] = [event for event in events(database) if event.period_id == new]
    assert (again.title, again.first_detected_at, again.event_type) == (
        gap.title,
        gap.first_detected_at,
        "risk",
    )
