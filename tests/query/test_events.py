"""`get_unresolved_events` and `search_events`: events in the state that they were known to be in."""

import uuid
from typing import Any

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.query import EventItem, Timeline
from tests.crosshot_rows import add_content, add_topic, at
from tests.query.world import add_event, add_period, add_snapshot, change, ok, supersede


@pytest.fixture
def topic(database: Database) -> uuid.UUID:
    with database.transaction() as c:
        topic = add_topic(c)
        add_period(c, topic, 0, 0, 10)
    return topic


def record(database: Database, topic: uuid.UUID, detected: float, **columns: Any) -> uuid.UUID:
    with database.transaction() as c:
        period = c.execute(text("SELECT id FROM analysis_periods ORDER BY created_at LIMIT 1")).scalar_one()
        return add_event(c, period, topic, detected, **columns)


def known(
    timeline: Timeline, topic: uuid.UUID, hours: float | None = None, **options: Any
) -> list[EventItem]:
    return ok(timeline.search_events(topic, as_of=None if hours is None else at(hours), **options)).items


@pytest.fixture
def event(database: Database, topic: uuid.UUID) -> uuid.UUID:
    """An event of ours that opened at 12, recovered at 14, was over at 20 (known at 21), and came back at 30."""
    return record(
        database,
        topic,
        12,
        severity="critical",
        title="now",
        last_updated_at=at(30),
        metadata={
            "detector": "temporal_pipeline",
            "state": "active",
            "onset": at(11).isoformat(),
            "score": 3.5,
            "reopened_count": 1,
            "history": [
                change(12, "active", title="first", severity="info"),
                change(14, "recovering", title="second", severity="warning"),
                change(21, "resolved", resolved_at=at(20).isoformat(), title="third", severity="warning"),
                change(30, "active", title="now", severity="critical"),
            ],
        },
    )


@pytest.mark.parametrize(
    ("hours", "state", "title", "severity", "resolved"),
    [
        (12, "active", "first", "info", None),
        (13.9, "active", "first", "info", None),
        (14, "recovering", "second", "warning", None),
        (20.9, "recovering", "second", "warning", None),
        (21, "resolved", "third", "warning", 20),
        (30, "active", "now", "critical", None),
        (None, "active", "now", "critical", None),
    ],
)
def test_its_state_is_that_of_the_asked_time(
    timeline: Timeline, topic: uuid.UUID, event: uuid.UUID, hours: float, state: str, title: str, severity: str,
    resolved: float | None,
) -> None:  # fmt: skip
    [item] = known(timeline, topic, hours)
    assert (item.event_id, item.state, item.title, item.severity) == (event, state, title, severity)
    assert item.resolved_at == (None if resolved is None else at(resolved))
    is_open = state != "resolved"
    as_of = None if hours is None else at(hours)
    assert bool(ok(timeline.get_unresolved_events(topic, as_of=as_of)).items) is is_open


def test_before_it_was_recorded_there_was_none(
    timeline: Timeline, topic: uuid.UUID, event: uuid.UUID
) -> None:
    assert known(timeline, topic, 11.9) == []


def test_figures_that_were_written_later_are_not_told(
    timeline: Timeline, topic: uuid.UUID, event: uuid.UUID
) -> None:
    fields = ["figures", "description", "reopened_count"]
    [then] = known(timeline, topic, 29, fields=fields)
    assert (then.figures, then.description, then.reopened_count) == (None, None, None)
    [now] = known(timeline, topic, 30, fields=fields)
    assert (now.figures, now.description, now.reopened_count) == ({"score": 3.5}, "many posts", 1)
    assert now.onset == at(11)


def test_an_update_without_a_change_of_state_hides_the_new_title(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    record(
        database,
        topic,
        12,
        title="larger",
        last_updated_at=at(15),
        metadata={"history": [change(12, "active", title="small", severity="info")]},
    )
    assert [item.title for item in known(timeline, topic, 14)] == ["small"]
    assert [item.title for item in known(timeline, topic, 15)] == ["larger"]


def test_an_event_of_others_ends_when_it_says(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    record(database, topic, 12, resolved_at=at(20), last_updated_at=at(20), resolution_note="over")
    [open_] = known(timeline, topic, 19, fields=["resolution_note"])
    assert (open_.state, open_.resolved_at, open_.resolution_note) == ("active", None, None)
    [over] = known(timeline, topic, 20, fields=["resolution_note"])
    assert (over.state, over.resolved_at, over.resolution_note) == ("resolved", at(20), "over")


@pytest.mark.parametrize(
    "metadata",
    [
        {"history": "none"},
        {"history": [None, 1, "x", {}, {"at": None}]},
        {"onset": "soon", "state": 5, "reopened_count": "many"},
        {"history": [{"at": "2026-13-99T99:99:99+00:00", "state": "active"}]},
        [],
    ],
)
def test_spoilt_metadata_hides_no_event(
    timeline: Timeline, database: Database, topic: uuid.UUID, metadata: Any
) -> None:
    event = record(database, topic, 12, metadata=metadata)
    assert [item.event_id for item in known(timeline, topic)] == [event]


def test_a_person_may_dismiss_it(timeline: Timeline, database: Database, topic: uuid.UUID) -> None:
    record(database, topic, 12, resolved_at=at(13), metadata={"state": "dismissed"})
    assert [item.state for item in known(timeline, topic)] == ["dismissed"]
    assert ok(timeline.get_unresolved_events(topic)).items == []


def test_what_overlaps_the_window_counts_from_its_onset_on(
    timeline: Timeline, topic: uuid.UUID, event: uuid.UUID, database: Database
) -> None:
    record(database, topic, 12, title="short", resolved_at=at(13))

    def titles(since: float | None, until: float | None) -> list[str]:
        window = {
            "since": None if since is None else at(since),
            "until": None if until is None else at(until),
        }
        return sorted(item.title for item in known(timeline, topic, **window))

    assert titles(None, 11) == []
    assert titles(None, 11.5) == ["now"]
    assert titles(12.5, 12.6) == ["now", "short"]
    assert titles(13, None) == ["now"]


def test_it_is_found_by_words_type_and_severity(
    timeline: Timeline, topic: uuid.UUID, event: uuid.UUID
) -> None:
    for found in ({"text": "NOW"}, {"text": "many"}, {"event_type": "anomaly"}, {"severity": "critical"}):
        assert len(known(timeline, topic, **found)) == 1, found
    for missed in ({"text": "fire"}, {"text": "%"}, {"event_type": "risk"}, {"severity": "info"}):
        assert known(timeline, topic, **missed) == [], missed
    assert len(known(timeline, topic, 12, text="first")) == 1
    assert known(timeline, topic, 12, text="now") == []
    assert known(timeline, topic, 12, text="many") == []


def test_evidence_is_frozen_text_and_not_of_later(
    timeline: Timeline, database: Database, topic: uuid.UUID, event: uuid.UUID
) -> None:
    with database.transaction() as c:
        period = c.execute(text("SELECT id FROM analysis_periods")).scalar_one()
        for hour, weight in ((12, 0.3), (12, 0.9), (12, 0.5), (12, None), (25, 1.0)):
            post = add_content(c, topic=topic, crawled_at=at(9), text="edited")
            add_snapshot(c, period, post, at(10), text_snapshot=f"weight\n{weight}")
            c.execute(
                text("INSERT INTO event_contents VALUES (:event, :post, :weight, :at)"),
                {"event": event, "post": post, "weight": weight, "at": at(hour)},
            )
    [then] = known(timeline, topic, 24)
    assert then.evidence_count == 4
    assert [(e.weight, e.excerpt) for e in then.evidence or []] == [
        (0.9, "weight 0.9"),
        (0.5, "weight 0.5"),
        (0.3, "weight 0.3"),
    ]
    [now] = known(timeline, topic)
    assert (now.evidence_count, (now.evidence or [])[0].weight) == (5, 1.0)


def test_events_of_a_superseded_period_are_history(
    timeline: Timeline, database: Database, topic: uuid.UUID, event: uuid.UUID
) -> None:
    with database.transaction() as c:
        supersede(c, c.execute(text("SELECT id FROM analysis_periods")).scalar_one(), at(50))
    assert known(timeline, topic) == []
    assert len(known(timeline, topic, 49)) == 1


def test_pages(timeline: Timeline, database: Database, topic: uuid.UUID) -> None:
    events = {record(database, topic, 12 + n // 2) for n in range(5)}
    first = ok(timeline.search_events(topic, limit=2))
    record(database, topic, 40)
    second = ok(timeline.search_events(topic, limit=200, cursor=first.next_cursor))
    assert {item.event_id for item in [*first.items, *second.items]} == events
    assert (len(second.items), second.next_cursor) == (3, None)
