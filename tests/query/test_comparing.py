"""`compare_periods`: what changed, between neighbours, strangers, and two states of one period."""

import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.reanalysis import reanalyse
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from temporal_pipeline.query import Timeline
from temporal_pipeline.query.comparing import metric_changes, term_changes
from tests.crosshot_rows import add_content, add_topic, at
from tests.defs.periods.world import cut, periods_of
from tests.query.world import add_event, add_period, add_snapshot, change, code, insert, ok


def side(hours: float, **metrics: Any) -> Any:
    return SimpleNamespace(period_start=at(0), period_end=at(0) + timedelta(hours=hours), metrics=metrics)


def test_without_a_baseline_there_is_no_percentage() -> None:
    none, zero = (
        metric_changes(None, side(6, total_likes=4)),
        metric_changes(side(6, total_likes=0), side(6, total_likes=4)),
    )
    assert [(c.before, c.after, c.change, c.change_pct) for c in none] == [(None, 4, None, None)]
    assert [(c.before, c.after, c.change, c.change_pct) for c in zero] == [(0, 4, 4, None)]
    [gone] = metric_changes(side(6, total_likes=4), side(6))
    assert (gone.before, gone.after, gone.change) == (4, None, None)


def test_rates_stand_beside_totals_where_lengths_differ() -> None:
    [longer] = metric_changes(side(6, total_contents=12), side(12, total_contents=36))
    assert (longer.change_pct, longer.before_per_hour, longer.after_per_hour, longer.rate_change_pct) == (
        200,
        2,
        3,
        50,
    )
    [same] = metric_changes(side(6, total_contents=12), side(6, total_contents=36))
    assert (same.before_per_hour, same.after_per_hour) == (None, None)
    assert metric_changes(side(6, total_likes=-1e308), side(6, total_likes=1e308)) == []
    [no_total] = metric_changes(side(6, avg_relevance=0.5), side(12, avg_relevance=0.6))
    assert no_total.after_per_hour is None
    [too_short] = metric_changes(side(6, total_contents=12), side(0.01, total_contents=1))
    assert (too_short.before_per_hour, too_short.after_per_hour, too_short.rate_change_pct) == (2, None, None)


def test_terms_rise_and_fall() -> None:
    rising, falling = term_changes(["calm sea"] * 9 + ["storm sea"], ["storm at sea"] * 10)
    assert [(t.term, t.posts_before, t.posts_after) for t in rising] == [("storm", 1, 10)]
    assert [(t.term, t.posts_before, t.posts_after) for t in falling] == [("calm", 9, 0)]


@pytest.fixture
def topic(database: Database) -> uuid.UUID:
    with database.transaction() as c:
        topic = add_topic(c)
        for number in range(3):
            period = add_period(c, topic, number, 6 * number, 6 * number + 6)
            for n in range(3):
                post = add_content(c, topic=topic, crawled_at=at(6 * number + n))
                add_snapshot(c, period, post, at(6 * number + 6), text_snapshot=f"word{number} everywhere")
            insert(
                c,
                "crawl_effectiveness",
                {
                    "period_id": period,
                    "entity_type": "topic",
                    "entity_id": topic,
                    "platform": "x",
                    "query": "agents",
                    "effectiveness_score": [0.2, 0.9, 0.4][number],
                    "created_at": at(6 * number + 6),
                },
            )
            add_event(
                c,
                period,
                topic,
                6 * number + 5,
                title=f"event {number}",
                resolved_at=at(6 * number + 7),
                metadata={"history": [change(6 * number + 5, "active")]},
            )
    return topic


def test_the_latest_against_the_one_before(timeline: Timeline, topic: uuid.UUID) -> None:
    answer = ok(timeline.compare_periods(topic))
    assert answer.before is not None
    assert (answer.before.period_number, answer.after.period_number) == (1, 2)
    assert [(m.metric, m.before, m.after, m.change, m.change_pct) for m in answer.metrics] == [
        ("total_contents", 20, 30, 10, 50)
    ]
    assert (answer.counts.contents_came, answer.counts.contents_left, len(answer.contents_came)) == (
        3,
        None,
        3,
    )
    assert {post.text for post in answer.contents_came} == {"word2 everywhere"}
    assert [event.title for event in answer.events_opened] == ["event 2"]
    assert [event.title for event in answer.events_resolved] == ["event 1"]
    assert [(q.score_before, q.score_after) for q in answer.queries_worse] == [(0.9, 0.4)]
    assert [term.term for term in answer.terms_rising] == ["word2"]
    assert [term.term for term in answer.terms_falling] == ["word1"]


def test_any_two_and_only_the_sections_asked_for(timeline: Timeline, topic: uuid.UUID) -> None:
    answer = ok(timeline.compare_periods(topic, 0, 2, fields=["events", "queries"]))
    assert (answer.metrics, answer.contents_came, answer.terms_rising) == ([], [], [])
    assert [event.title for event in answer.events_opened] == ["event 2", "event 1"]
    assert [q.score_after for q in answer.queries_better] == [0.4]
    assert answer.counts.contents_came == 3
    by_id = ok(timeline.compare_periods(topic, str(answer.after.period_id), "0"))
    assert (by_id.before is not None and by_id.before.period_number, by_id.after.period_number) == (2, 0)


def test_queries_beyond_the_limit_are_told_of(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    one: dict[str, Any] = {"fields": ["queries"], "limit": 1}
    assert not ok(timeline.compare_periods(topic, **one)).truncated
    with database.transaction() as c:
        c.execute(
            text(
                "INSERT INTO crawl_effectiveness (id, period_id, entity_type, entity_id, platform, query, "
                "effectiveness_score, created_at) SELECT gen_random_uuid(), period_id, entity_type, entity_id, "
                "platform, 'another', effectiveness_score, created_at FROM crawl_effectiveness"
            )
        )
    answer = ok(timeline.compare_periods(topic, **one))
    assert (len(answer.queries_worse), answer.truncated) == (1, True)
    assert not ok(timeline.compare_periods(topic, **one | {"limit": 2})).truncated


def test_the_first_period_has_nothing_before_it(timeline: Timeline, topic: uuid.UUID) -> None:
    answer = ok(timeline.compare_periods(topic, b=0))
    assert answer.before is None
    assert [m.change_pct for m in answer.metrics] == [None]
    assert "insufficient_history" in {notice.code for notice in answer.warnings}
    assert answer.terms_rising == []


def test_what_cannot_be_compared_is_refused(timeline: Timeline, topic: uuid.UUID) -> None:
    assert code(timeline.compare_periods(topic, 2, 2)) == "invalid_argument"
    nonsense: list[Any] = ["two", "half a \ud800", "9" * 5000, 1.5, float("nan"), float("inf"), [1]]
    for which in nonsense:
        assert code(timeline.compare_periods(topic, which)) == "invalid_argument"
    for nowhere in (7, "7", -1, 2**40, 10**5000, uuid.uuid4()):
        assert code(timeline.compare_periods(topic, nowhere)) == "unknown_period"


def test_as_of_a_time_the_later_period_is_not_there(timeline: Timeline, topic: uuid.UUID) -> None:
    answer = ok(timeline.compare_periods(topic, as_of=at(12)))
    assert answer.after.period_number == 1
    assert [event.title for event in answer.events_resolved] == ["event 0"]
    assert code(timeline.compare_periods(topic, b=2, as_of=at(12))) == "unknown_period"


def test_a_period_that_crawls_missed_is_marked(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    with database.transaction() as c:
        c.execute(text("UPDATE analysis_periods SET completeness_score = 0.4 WHERE period_number = 1"))
    answer = ok(timeline.compare_periods(topic))
    assert answer.before is not None
    assert (answer.before.partial, answer.after.partial) == (True, False)
    assert [n.periods for n in answer.warnings if n.code == "partial_period"] == [[1]]


def test_its_lists_are_cut_to_the_characters(timeline: Timeline, topic: uuid.UUID) -> None:
    whole = len(ok(timeline.compare_periods(topic)).to_json())
    least = len(ok(timeline.compare_periods(topic, max_chars=1)).to_json())
    for max_chars in range(least, whole, 7):
        answer = ok(timeline.compare_periods(topic, max_chars=max_chars))
        assert len(answer.to_json()) <= max_chars
        assert answer.truncated
        assert answer.counts.contents_came == 3
    assert not ok(timeline.compare_periods(topic, max_chars=whole)).truncated


def test_between_two_states_of_one_period(timeline: Timeline, database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        posts = [add_content(c, topic=topic, crawled_at=at(hour), text="first") for hour in (1, 2)]
    cut(database)
    freeze_periods(database, "run")
    [old] = periods_of(database, topic)
    with database.transaction() as c:
        c.execute(
            text("UPDATE contents SET text = 'edited', metrics = '{\"like_count\": 50}' WHERE id = :id"),
            {"id": posts[0]},
        )
    new = reanalyse(database, old.id, "better figures", "again")
    answer = ok(timeline.compare_periods(topic, old.id, new))
    assert answer.before is not None
    assert (answer.before.status, answer.before.superseded_by, answer.after.status) == (
        "superseded",
        new,
        "active",
    )
    assert (answer.before.superseded_at, answer.before.period_number) == (answer.after.recorded_at, 0)
    counts = answer.counts
    assert (counts.contents_came, counts.contents_left, counts.contents_kept, counts.contents_reworded) == (
        0,
        0,
        2,
        1,
    )
    [likes] = [m for m in answer.metrics if m.metric == "total_likes"]
    assert (likes.before, likes.after) == (2, 51)
