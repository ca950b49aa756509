"""The views and functions of the contract, asked by their names as the application asks them."""

import hashlib
import json
import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Row, text

from temporal_pipeline.database import Database
from tests.crosshot_rows import add_content, add_topic

START = datetime(2026, 1, 1, tzinfo=UTC)
ENTITY = uuid.UUID("00000000-0000-0000-0000-00000000000a")
DAY = timedelta(days=1)


def add_period(
    connection: Connection,
    number: int,
    metrics: object = None,
    *,
    entity: uuid.UUID = ENTITY,
    length: timedelta = DAY,
    status: str = "active",
) -> uuid.UUID:
    """Period `number` of an entity begins `number` days after START."""
    identity = uuid.uuid4()
    connection.execute(
        text(
            "INSERT INTO analysis_periods (id, entity_type, entity_id, period_number, period_start, period_end,"
            " duration_hours, summary, status, metrics) VALUES (:id, 'topic', :entity, :number, :start, :end,"
            " :hours, '', :status, CAST(:metrics AS jsonb))"
        ),
        {
            "id": identity,
            "entity": entity,
            "number": number,
            "start": START + number * DAY,
            "end": START + number * DAY + length,
            "hours": length.total_seconds() / 3600,
            "status": status,
            "metrics": json.dumps({} if metrics is None else metrics),
        },
    )
    return identity


def add_snapshot(
    connection: Connection, period: uuid.UUID, content: uuid.UUID, relevance: float | None, post: str = ""
) -> None:
    connection.execute(
        text(
            "INSERT INTO period_content_snapshots (period_id, content_id, relevance_score, text_snapshot)"
            " VALUES (:period, :content, :relevance, :post)"
        ),
        {"period": period, "content": content, "relevance": relevance, "post": post},
    )


def anomalies(connection: Connection, *threshold: float) -> list[Row[Any]]:
    arguments = "".join(f", {value}" for value in threshold)
    sql = f"SELECT * FROM detect_metric_anomalies('topic', '{ENTITY}', 'likes'{arguments})"
    return list(connection.execute(text(sql)).all())


def add_series(connection: Connection, *values: object) -> None:
    for number, value in enumerate(values):
        add_period(connection, number, {"likes": value})


def test_the_tested_period_is_not_in_its_own_baseline(connection: Connection) -> None:
    add_series(connection, 10, 12, 11, 100)
    [found] = anomalies(connection)
    assert (found.period_number, found.metric_value, found.avg_value) == (3, 100, 11)
    # With the tested value inside, z could not exceed (n-1)/√n = 1.5 for four values.
    assert (found.stddev_value, found.z_score) == (pytest.approx(1), pytest.approx(89))


def test_values_that_are_no_numbers_are_missing(connection: Connection) -> None:
    add_series(connection, 10, None, "NaN", "12k", True, [1], {"a": 1}, "12", " 11 ", "nonsense", 100)
    [found] = anomalies(connection)
    assert (found.period_number, found.metric_value, found.avg_value) == (10, 100, 11)


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        ((), []),
        ((100,), []),
        ((1, 100), []),
        ((1, 2, 100), []),
        ((10, 11, 12, 100), [3]),
        ((10, 11, 12, -100), [3]),
        ((10, 11, 12, 13), []),
    ],
)
def test_short_histories(connection: Connection, values: tuple[int, ...], numbers: list[int]) -> None:
    add_series(connection, *values)
    assert [row.period_number for row in anomalies(connection)] == numbers


@pytest.mark.parametrize(("level", "jump"), [(5, 50), (0, 9), (0.1, 5), (1e9, 2e9)])
def test_over_a_constant_baseline_a_repeat_is_nothing_and_a_jump_is_an_anomaly(
    connection: Connection, level: float, jump: float
) -> None:
    add_series(connection, *[level] * 7, jump)
    [found] = anomalies(connection)
    assert (found.period_number, found.metric_value) == (7, jump)
    assert math.isfinite(found.z_score)


def test_the_threshold_decides(connection: Connection) -> None:
    add_series(connection, 10, 11, 12, 13.5)
    assert [row.period_number for row in anomalies(connection)] == [3]
    assert anomalies(connection, 3.0) == []


def test_only_active_periods_of_the_entity_of_at_least_a_minute_count(connection: Connection) -> None:
    add_series(connection, 10, 11, 12)
    add_period(connection, 3, {"likes": 99}, status="superseded")
    add_period(connection, 3, {"likes": 99}, length=timedelta(seconds=59))
    add_period(connection, 4, {"likes": 99}, entity=uuid.uuid4())
    add_period(connection, 4, {"likes": 12})
    assert anomalies(connection) == []


def recompute(connection: Connection, period: uuid.UUID) -> object:
    delta = connection.scalar(text("SELECT recompute_metrics_delta(:period)"), {"period": period})
    stored = connection.scalar(
        text("SELECT metrics_delta FROM analysis_periods WHERE id = :period"), {"period": period}
    )
    assert stored == delta
    return delta


def test_a_delta_has_one_number_per_metric_and_percentages_apart(connection: Connection) -> None:
    add_period(connection, 0, {"likes": 100, "views": "1e3", "replies": 0, "gone": 5, "platforms": {"x": 1}})
    period = add_period(
        connection,
        1,
        {"likes": 150, "views": " 999.5 ", "replies": 3, "new": 7, "platforms": {"x": 2}, "odd": "12k"},
    )
    assert recompute(connection, period) == {
        "likes": 50,
        "views": -0.5,
        "replies": 3,
        "pct": {"likes": 50, "views": -0.05},
    }


@pytest.mark.parametrize("metrics", [None, [], "x", 3, {"likes": None}])
def test_nothing_to_compare_is_an_empty_delta(connection: Connection, metrics: object) -> None:
    add_period(connection, 0, {"likes": 1})
    assert recompute(connection, add_period(connection, 1, metrics)) == {}


def test_there_is_no_delta_before_the_first_period_nor_for_one_that_is_not_there(
    connection: Connection,
) -> None:
    assert recompute(connection, add_period(connection, 0, {"likes": 1})) == {}
    assert recompute(connection, uuid.uuid4()) is None


def test_the_period_before_is_the_last_active_one(connection: Connection) -> None:
    add_period(connection, 0, {"likes": 1})
    add_period(connection, 1, {"likes": 1000}, status="superseded")
    add_period(connection, 1, {"likes": 1000}, entity=uuid.uuid4())
    assert recompute(connection, add_period(connection, 2, {"likes": 3})) == {
        "likes": 2,
        "pct": {"likes": 200},
    }


def timeline(connection: Connection, arguments: str = "") -> list[tuple[int, str]]:
    sql = f"SELECT * FROM get_content_timeline('topic', '{ENTITY}'{arguments})"
    return [(row.period_number, row.text_snapshot) for row in connection.execute(text(sql))]


def test_a_timeline_finds_what_straddles_the_window(connection: Connection) -> None:
    topic = add_topic(connection)
    for number in range(4):
        period = add_period(connection, number)
        add_snapshot(connection, period, add_content(connection, topic=topic), 0.5, f"day {number}")
    noon = "'2026-01-{:02}T12:00Z'"
    window = f", {noon.format(2)}, {noon.format(3)}"
    assert timeline(connection, window) == [(2, "day 2"), (1, "day 1")]
    # A window inside one period; a window without an end; one without a start.
    assert timeline(connection, f", {noon.format(2)}, {noon.format(2)}") == [(1, "day 1")]
    assert timeline(connection, f", {noon.format(4)}") == [(3, "day 3")]
    assert timeline(connection, f", NULL, {noon.format(1)}") == [(0, "day 0")]
    # A period holds its start and not its end.
    assert timeline(connection, ", '2026-01-02Z', '2026-01-02Z'") == [(1, "day 1")]
    assert len(timeline(connection)) == 4


def test_a_timeline_has_the_newest_period_first_then_the_most_relevant(connection: Connection) -> None:
    topic = add_topic(connection)
    for number in (0, 1):
        period = add_period(connection, number)
        for relevance in (0.2, None, 0.9):
            add_snapshot(connection, period, add_content(connection, topic=topic), relevance, str(relevance))
    add_snapshot(
        connection, add_period(connection, 2, status="superseded"), add_content(connection, topic=topic), 1
    )
    everything = [(1, "0.9"), (1, "0.2"), (1, "None"), (0, "0.9"), (0, "0.2"), (0, "None")]
    assert timeline(connection) == everything
    assert timeline(connection, ", NULL, NULL, 0.5") == [(1, "0.9"), (0, "0.9")]
    assert timeline(connection, ", NULL, NULL, NULL") == everything


def test_a_period_by_its_number_is_the_active_one(connection: Connection) -> None:
    add_period(connection, 3, status="superseded")
    period = add_period(connection, 3, {"likes": 3})
    sql = text("SELECT * FROM get_period_by_number('topic', :entity, :number)")
    [found] = connection.execute(sql, {"entity": ENTITY, "number": 3})
    assert (found.id, found.metrics, found.status) == (period, {"likes": 3}, "active")
    assert connection.execute(sql, {"entity": ENTITY, "number": 4}).all() == []


def test_the_ranking_averages_each_query_over_its_own_last_three_periods(connection: Connection) -> None:
    for number, (good, bad) in enumerate([(0.1, 0.9), (0.6, 0.0), (0.7, 0.0), (0.8, 0.0)]):
        period = add_period(connection, number)
        for query, score in (("good", good), ("bad", bad)):
            connection.execute(
                text(
                    "INSERT INTO crawl_effectiveness (period_id, entity_type, entity_id, platform, query,"
                    " effectiveness_score) VALUES (:period, 'topic', :entity, 'x', :query, :score)"
                ),
                {"period": period, "entity": ENTITY, "query": query, "score": score},
            )
    ranking = connection.execute(text("SELECT * FROM v_crawl_effectiveness_ranking")).all()
    latest = {
        row.query: row.recent_avg_effectiveness for row in ranking if row.effectiveness_score in (0.8, 0)
    }
    assert latest == {"good": pytest.approx(0.7), "bad": pytest.approx(0)}
    averages = [row.recent_avg_effectiveness for row in ranking]
    assert averages == sorted(averages, reverse=True)


def test_the_timeline_counts_open_events_and_crawls(connection: Connection) -> None:
    period = add_period(connection, 0)
    topic = add_topic(connection)
    content = add_content(connection, topic=topic)
    connection.execute(
        text("UPDATE tasks SET period_id = :p WHERE id = (SELECT task_id FROM contents WHERE id = :c)"),
        {"p": period, "c": content},
    )
    for resolved in (None, START):
        connection.execute(
            text(
                "INSERT INTO temporal_events (period_id, entity_type, entity_id, event_type, title, description,"
                " first_detected_at, resolved_at) VALUES (:p, 'topic', :e, 'anomaly', '', '', now(), :r)"
            ),
            {"p": period, "e": ENTITY, "r": resolved},
        )
    [row] = connection.execute(text("SELECT * FROM v_period_timeline"))
    assert (row.id, row.unresolved_event_count, row.crawl_task_count) == (period, 1, 1)


def test_the_summary_leaves_instants_out_of_the_duration(connection: Connection) -> None:
    add_period(connection, 0)
    add_period(connection, 1, length=timedelta(microseconds=1))
    add_period(connection, 2, status="draft")
    [row] = connection.execute(text("SELECT * FROM v_entity_timeline_summary"))
    assert (row.total_periods, row.avg_period_duration, row.first_period_start) == (2, 24, START)


@pytest.mark.parametrize("how", ["", "CONCURRENTLY "])
def test_the_trend_view_is_refreshed(connection: Connection, how: str) -> None:
    for number in range(3):
        add_period(connection, number, {"likes": number})
    connection.execute(text(f"REFRESH MATERIALIZED VIEW {how}mv_period_metrics_trend"))
    sql = text(
        "SELECT metrics, prev_metrics, prev_prev_metrics FROM mv_period_metrics_trend ORDER BY period_number"
    )
    assert [tuple(row) for row in connection.execute(sql)] == [
        ({"likes": 0}, None, None),
        ({"likes": 1}, {"likes": 0}, None),
        ({"likes": 2}, {"likes": 1}, {"likes": 0}),
    ]


def test_a_text_of_any_length_can_be_snapshotted(connection: Connection) -> None:
    # It must not be compressible: PostgreSQL would compress a repetition until it fits into an index row.
    post = "".join(hashlib.sha256(str(i).encode()).hexdigest() for i in range(200))[:12_000]
    period = add_period(connection, 0)
    add_snapshot(connection, period, add_content(connection, topic=add_topic(connection)), 0.5, post)
    assert timeline(connection) == [(0, post)]


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
    | st.from_regex(r"\A\s*[+-]?[0-9]{0,20}\.?[0-9]{0,20}([eE][+-]?[0-9]{1,5})?\s*\Z"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_json)
def test_a_metric_is_a_finite_number_or_missing_and_never_an_error(
    connection: Connection, value: Any
) -> None:
    sql = text("SELECT temporal_pipeline.metric_number(CAST(:value AS jsonb))")
    found = connection.scalar(sql, {"value": json.dumps(value)})
    assert found is None or math.isfinite(found)
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Beyond that no count of anything is believable, and sums would overflow.
        assert found == (pytest.approx(float(value), abs=1e-299) if abs(value) <= 1e15 else None)
    if isinstance(value, bool | list | dict | None):
        assert found is None


def test_a_refresh_beside_readers_needs_no_transaction_of_its_own(database: Database) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("REFRESH MATERIALIZED VIEW mv_period_metrics_trend"))
        connection.execute(text("REFRESH MATERIALIZED VIEW CONCURRENTLY mv_period_metrics_trend"))
