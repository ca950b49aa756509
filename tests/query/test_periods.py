"""`query_period_timeline`: which periods, as they were known, and what to bear in mind."""

import uuid
from typing import Any

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.query import PeriodItem, Timeline, Timelines
from temporal_pipeline.query.periods import metrics_delta, numbers_in
from tests.crosshot_rows import add_topic, at
from tests.query.world import add_period, code, ok, supersede


@pytest.fixture
def topic(database: Database) -> uuid.UUID:
    """A topic with periods 0 to 4, of six hours each."""
    with database.transaction() as c:
        topic = add_topic(c)
        for number in range(5):
            add_period(c, topic, number, 6 * number, 6 * number + 6)
    return topic


def numbers(page: Timelines) -> list[int]:
    return [item.period_number for item in page.items]


def warned(page: Timelines) -> set[str]:
    return {notice.code for notice in page.warnings}


def test_the_newest_first_with_both_clocks_and_what_was_asked_for(
    timeline: Timeline, topic: uuid.UUID
) -> None:
    page = ok(timeline.query_period_timeline(topic, as_of=at(36)))
    assert numbers(page) == [4, 3, 2, 1, 0]
    latest = page.items[0]
    assert (latest.period_start, latest.period_end, latest.recorded_at) == (at(24), at(30), at(30))
    assert (latest.status, latest.superseded_by, latest.coverage, latest.age) == (
        "active",
        None,
        1,
        "6 hours ago",
    )
    assert (page.truncated, page.next_cursor) == (False, None)
    assert set(page.to_dict()["items"][0]) - {
        n for n, f in PeriodItem.model_fields.items() if f.is_required()
    } == {
        "content_count",
        "summary_short",
        "metrics",
    }
    only = ok(timeline.query_period_timeline(topic, fields=["summary"])).to_dict()["items"][0]
    assert only["summary"] == "period 4"
    assert "metrics" not in only


def test_a_period_that_straddles_the_window_counts_and_is_marked(
    timeline: Timeline, topic: uuid.UUID
) -> None:
    page = ok(timeline.query_period_timeline(topic, since=at(9), until=at(18)))
    assert [(item.period_number, item.partial) for item in page.items] == [(2, False), (1, True)]
    [partial] = [notice for notice in page.warnings if notice.code == "partial_period"]
    assert partial.periods == [1]
    assert numbers(ok(timeline.query_period_timeline(topic, since=at(12), until=at(12.5)))) == [2]
    assert numbers(ok(timeline.query_period_timeline(topic, since=at(500)))) == []


def test_pages_go_on_where_they_stopped_while_new_periods_arrive(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    seen: list[int] = []
    cursor = None
    for more in range(5, 8):
        page = ok(timeline.query_period_timeline(topic, limit=2, cursor=cursor))
        seen += numbers(page)
        cursor = page.next_cursor
        with database.transaction() as c:
            add_period(c, topic, more, 6 * more, 6 * more + 6)
    assert seen == [4, 3, 2, 1, 0]
    assert cursor is None


def test_a_cursor_of_another_window_is_refused(timeline: Timeline, topic: uuid.UUID) -> None:
    cursor = ok(timeline.query_period_timeline(topic, limit=1)).next_cursor
    assert code(timeline.query_period_timeline(topic, cursor=cursor, since=at(0))) == "invalid_cursor"
    assert code(timeline.query_contents_by_timerange(topic, cursor=cursor)) == "invalid_cursor"
    assert code(timeline.query_period_timeline(topic, cursor="no cursor")) == "invalid_cursor"


def test_what_a_period_said_before_it_was_analysed_again(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    old = ok(timeline.query_period_timeline(topic)).items[1].period_id
    with database.transaction() as c:
        new = supersede(c, old, at(100), summary="better", metrics={"total_contents": 99})
    now = ok(timeline.query_period_timeline(topic, fields=["summary", "metrics_delta"]))
    assert [item.summary for item in now.items[:2]] == ["period 4", "better"]
    assert now.items[0].metrics_delta == {"total_contents": 50 - 99, "pct": {"total_contents": -49.49}}
    then = ok(timeline.query_period_timeline(topic, fields=["summary", "metrics_delta"], as_of=at(99)))
    assert [item.summary for item in then.items[:2]] == ["period 4", "period 3"]
    assert then.items[0].metrics_delta == {"total_contents": 10, "pct": {"total_contents": 25.0}}
    assert (then.items[1].status, then.items[1].superseded_by, then.items[1].superseded_at) == (
        "active",
        None,
        None,
    )
    both = ok(
        timeline.query_period_timeline(topic, include_superseded=True, fields=["supersession_reason"])
    ).items
    assert [item.period_id for item in both[1:3]] == [new, old]
    assert (both[2].status, both[2].superseded_by, both[2].superseded_at) == ("superseded", new, at(100))
    assert both[2].supersession_reason == "again"


def test_a_draft_is_not_shown_and_is_told_of(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    with database.transaction() as c:
        add_period(c, topic, 5, 30, 36, status="draft")
    page = ok(timeline.query_period_timeline(topic))
    assert numbers(page)[0] == 4
    assert "partial_period" in warned(page)


def test_a_draft_that_was_closed_later_is_known_since_then(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    """A cut that was killed goes on hours later, with the drafts of the first hour."""
    with database.transaction() as c:
        period = add_period(c, topic, 5, 30, 36, execution_log={"finished_at": at(48).isoformat()})
        c.execute(
            text(
                "WITH cut AS (INSERT INTO temporal_pipeline.cut (run_id, instant) VALUES ('one', now()) RETURNING id) "
                "INSERT INTO temporal_pipeline.period_cut SELECT cut.id, 'topic', :topic, true, :period FROM cut"
            ),
            {"topic": topic, "period": period},
        )
    assert numbers(ok(timeline.query_period_timeline(topic, as_of=at(47))))[0] == 4
    known = ok(timeline.query_period_timeline(topic, as_of=at(48))).items[0]
    assert (known.period_number, known.recorded_at) == (5, at(48))


def test_an_archived_period_was_active_before(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    with database.transaction() as c:
        c.execute(
            text(
                "UPDATE analysis_periods SET status = 'archived', updated_at = :at "
                "WHERE entity_id = :topic AND period_number = 0"
            ),
            {"topic": topic, "at": at(100)},
        )
    assert numbers(ok(timeline.query_period_timeline(topic))) == [4, 3, 2, 1]
    assert numbers(ok(timeline.query_period_timeline(topic, as_of=at(99)))) == [4, 3, 2, 1, 0]


def test_times_that_no_calendar_has_are_shown_as_the_nearest(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    with database.transaction() as c:
        c.execute(
            text(
                "UPDATE analysis_periods SET period_end = 'infinity', analyzed_at = 'infinity' WHERE period_number = 4"
            )
        )
        c.execute(text("UPDATE analysis_periods SET period_start = '-infinity' WHERE period_number = 0"))
    page = ok(timeline.query_period_timeline(topic))
    assert (page.items[0].period_end.year, page.items[0].recorded_at.year) == (9998, 9998)
    assert page.items[-1].period_start.year == 1970


def test_a_flag_is_true_or_false(timeline: Timeline, topic: uuid.UUID) -> None:
    nonsense: list[Any] = ["yes", 2, [], None]
    for value in nonsense:
        assert code(timeline.query_period_timeline(topic, include_superseded=value)) == "invalid_argument"


def test_gaps_short_history_and_a_stale_view_are_told(timeline: Timeline, database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_period(c, topic, 0, 0, 6)
        add_period(c, topic, 1, 6, 12, completeness_score=0.5)
        c.execute(text("REFRESH MATERIALIZED VIEW mv_period_metrics_trend"))
    page = ok(timeline.query_period_timeline(topic))
    assert warned(page) == {"crawl_gap", "insufficient_history"}
    assert [n.periods for n in page.warnings if n.code == "crawl_gap"] == [[1], [1]]
    with database.transaction() as c:
        for number in (2, 3):
            add_period(c, topic, number, 6 * number, 6 * number + 6)
    page = ok(timeline.query_period_timeline(topic, since=at(18), until=at(24)))
    assert warned(page) == {"stale_trend_view"}
    with database.transaction() as c:
        c.execute(text("REFRESH MATERIALIZED VIEW mv_period_metrics_trend"))
    assert warned(ok(timeline.query_period_timeline(topic, since=at(18), until=at(24)))) == set()


def test_numbers_are_what_the_application_may_write() -> None:
    metrics = {
        "total_contents": 3,
        "avg": 0.5,
        "string": "12",
        "nonsense": "12k",
        "huge": 10**400,
        "large": 1.7e308,
        "nan": "nan",
        "yes": True,
        "list": [1],
        "platforms": {"x": 2, "web": None},
    }
    assert numbers_in(metrics) == {"total_contents": 3, "avg": 0.5, "string": 12, "platforms.x": 2}
    assert numbers_in(None) == numbers_in([1]) == {}
    assert metrics_delta({"a": 1, "b": 5}, {"a": 0, "c": 1}) == {"a": 1}
    assert metrics_delta({"a": 1}, None) == {}
