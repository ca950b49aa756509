"""The trend view is refreshed when periods changed and only then; the check tells when it lags behind."""

import json
import threading
import uuid
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Connection, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.trends.assets import mv_period_metrics_trend
from temporal_pipeline.defs.trends.checks import trend_view_agrees_with_periods
from temporal_pipeline.defs.trends.refreshing import disagreements, refresh_view
from temporal_pipeline.defs.trends.story import ENTITIES_DRAWN, PERIODS_DRAWN, panels, report
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.scope import Scope
from tests.crosshot_rows import add_topic, add_user, at
from tests.defs.periods.world import rows


def add_period(
    connection: Connection,
    entity: uuid.UUID,
    number: int,
    posts: int,
    *,
    entity_type: str = "topic",
    hours: float = 6,
    status: str = "active",
) -> uuid.UUID:
    """A period of six hours as the pipeline or the application closes it; the shortest ones have no rate."""
    start = at(number * 6)
    metrics = {"total_contents": posts, "contents_per_hour": posts / hours if hours >= 1 / 60 else None}
    return connection.execute(
        text("""
            INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, period_number,
                                          duration_hours, status, content_count, summary, metrics)
            VALUES (:entity_type, :entity, :start, :end, :number, :hours, :status, :posts, '',
                    CAST(:metrics AS jsonb))
            RETURNING id
        """),
        {
            "entity_type": entity_type,
            "entity": entity,
            "start": start,
            "end": start + timedelta(hours=hours),
            "number": number,
            "hours": hours,
            "status": status,
            "posts": posts,
            "metrics": json.dumps(metrics),
        },
    ).scalar_one()


def add_event(
    connection: Connection,
    entity: uuid.UUID,
    period: uuid.UUID,
    detected: datetime,
    *,
    resolved: bool = False,
) -> None:
    connection.execute(
        text("""
            INSERT INTO temporal_events (period_id, entity_type, entity_id, event_type, severity, title,
                                         description, first_detected_at, resolved_at)
            VALUES (:period, 'topic', :entity, 'anomaly', 'warning', 'a burst', 'five times the usual', :at,
                    CASE WHEN :resolved THEN CAST(:at AS timestamptz) + interval '1 hour' END)
        """),
        {"period": period, "entity": entity, "at": detected, "resolved": resolved},
    )


def add_query(connection: Connection, entity: uuid.UUID, period: uuid.UUID, query: str, score: float) -> None:
    connection.execute(
        text("""
            INSERT INTO crawl_effectiveness (period_id, entity_type, entity_id, platform, query,
                                             effectiveness_score)
            VALUES (:period, 'topic', :entity, 'x', :query, :score)
        """),
        {"period": period, "entity": entity, "query": query, "score": score},
    )


def version_of_rows(database: Database) -> str:
    """Which file and which row versions the view consists of."""
    [row] = rows(
        database,
        "SELECT pg_relation_filenode('mv_period_metrics_trend') || ' ' || "
        "coalesce(string_agg(xmin::text || ctid::text, ',' ORDER BY ctid), '') AS version "
        "FROM mv_period_metrics_trend",
    )
    version: str = row.version
    return version


def test_the_view_follows_the_active_periods(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for number, posts in enumerate([3, 5, 8]):
            add_period(connection, topic, number, posts)
        add_period(connection, topic, 7, 1, status="draft")
    first = refresh_view(database)
    assert (first.refreshed, first.rows) == (True, 3)
    seen = rows(
        database,
        "SELECT period_number, metrics->>'total_contents', prev_metrics->>'total_contents', "
        "prev_prev_metrics->>'total_contents' FROM mv_period_metrics_trend ORDER BY 1",
    )
    assert [tuple(row) for row in seen] == [
        (0, "3", None, None),
        (1, "5", "3", None),
        (2, "8", "5", "3"),
    ]


def test_a_second_refresh_writes_nothing(database: Database) -> None:
    with database.transaction() as connection:
        add_period(connection, add_topic(connection), 0, 3)
    first = refresh_view(database)
    before = version_of_rows(database)
    again = refresh_view(database)
    assert (again.refreshed, again.rows, again.digest) == (False, 1, first.digest)
    assert version_of_rows(database) == before


def test_every_change_of_a_period_is_seen(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_period(connection, topic, 0, 3)
        add_period(connection, topic, 1, 5)
    seen = {refresh_view(database).digest}
    for change in (
        "UPDATE analysis_periods SET metrics = metrics || '{\"total_likes\": 1}' WHERE period_number = 0",
        "UPDATE analysis_periods SET metrics_delta = '{\"total_contents\": 2}' WHERE period_number = 1",
        "UPDATE analysis_periods SET analyzed_at = analyzed_at + interval '1 second' WHERE period_number = 0",
        "UPDATE analysis_periods SET period_number = 2 WHERE period_number = 1",
        "UPDATE analysis_periods SET status = 'superseded' WHERE period_number = 2",
        "DELETE FROM analysis_periods",
    ):
        with database.transaction() as connection:
            connection.execute(text(change))
            assert len(disagreements(connection)) >= 1, change
        after = refresh_view(database)
        assert after.refreshed, change
        assert after.digest not in seen, change
        seen.add(after.digest)
        with database.transaction(read_only=True) as connection:
            assert disagreements(connection) == [], change


def test_a_view_that_was_never_filled_is_filled(database: Database) -> None:
    with database.transaction() as connection:
        add_period(connection, add_topic(connection), 0, 3)
        connection.execute(text("REFRESH MATERIALIZED VIEW mv_period_metrics_trend WITH NO DATA"))
    assert refresh_view(database).refreshed
    assert not refresh_view(database).refreshed


def test_readers_of_the_view_are_not_blocked(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_period(connection, topic, 0, 3)
    refresh_view(database)
    with database.transaction() as reader:
        assert reader.scalar(text("SELECT count(*) FROM mv_period_metrics_trend")) == 1
        with database.transaction() as connection:
            add_period(connection, topic, 1, 4)
        # A plain REFRESH would wait for the end of the reader's transaction.
        refreshing = threading.Thread(target=refresh_view, args=[database], daemon=True)
        refreshing.start()
        refreshing.join(timeout=30)
        assert not refreshing.is_alive()
        assert reader.scalar(text("SELECT count(*) FROM mv_period_metrics_trend")) == 2


def test_a_legacy_database_is_refused(legacy_database: Database) -> None:
    with pytest.raises(PipelineError, match="the schema is not at 20260301_0300"):
        refresh_view(legacy_database)


def test_the_report_compares_the_last_period_with_the_one_before(database: Database) -> None:
    with database.transaction() as connection:
        topic, user = add_topic(connection), add_user(connection)
        first = add_period(connection, topic, 0, 12)
        last = add_period(connection, topic, 1, 18)
        add_event(connection, topic, first, at(1))
        add_event(connection, topic, first, at(2), resolved=True)
        add_query(connection, topic, first, "old", 0.99)
        add_query(connection, topic, last, "fair", 0.5)
        add_query(connection, topic, last, "good", 0.9)
        add_period(connection, user, 0, 2, entity_type="user", hours=0.01)
    refresh_view(database)
    with database.transaction(read_only=True) as connection:
        assert report(connection) == [
            {
                "entity": "topic AI agents",
                "period": 1,
                "posts": "18",
                "before": "12",
                "posts per hour": "3.00",
                "% of rate": "+50 %",
                "open events": 1,
                "best query": "x: good",
            },
            {
                "entity": "user ada",
                "period": 0,
                "posts": "2",
                "before": None,
                "posts per hour": None,
                "% of rate": None,
                "open events": 0,
                "best query": None,
            },
        ]


def test_nothing_before_gives_no_percentage(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_period(connection, topic, 0, 0)
        add_period(connection, topic, 1, 6)
    refresh_view(database)
    with database.transaction(read_only=True) as connection:
        [line] = report(connection)
    assert (line["posts per hour"], line["% of rate"]) == ("1.00", None)


def test_the_busiest_entities_are_drawn_with_their_newest_periods_and_events(database: Database) -> None:
    with database.transaction() as connection:
        busy = [add_topic(connection, f"topic {number}") for number in range(ENTITIES_DRAWN + 2)]
        for rank, topic in enumerate(busy):
            period = add_period(connection, topic, 0, 10 * (rank + 1))
            add_event(connection, topic, period, at(3))
        newest = busy[-1]
        for number in range(1, PERIODS_DRAWN + 5):
            add_period(connection, newest, number, 1000)
        add_period(connection, add_user(connection), 0, 10**6, entity_type="user", hours=0.01)
    with database.transaction(read_only=True) as connection:
        drawn = panels(connection)
    assert [panel.title for panel in drawn] == [f"topic topic {n}" for n in (7, 6, 5, 4, 3, 2)]
    assert len(drawn[0].rates) == PERIODS_DRAWN
    assert drawn[0].rates[0].start == at(5 * 6)
    assert [len(panel.happenings) for panel in drawn] == [0, 1, 1, 1, 1, 1]


def test_events_of_periods_that_were_analysed_again_are_history(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        old = add_period(connection, topic, 0, 12, status="superseded")
        new = add_period(connection, topic, 0, 12)
        for period in (old, new):
            add_event(connection, topic, period, at(1))
    refresh_view(database)
    with database.transaction(read_only=True) as connection:
        assert [line["open events"] for line in report(connection)] == [1]
        assert [len(panel.happenings) for panel in panels(connection)] == [1]


def test_endless_periods_and_events_are_not_drawn(database: Database) -> None:
    with database.transaction() as connection:
        topic, endless = add_topic(connection), add_topic(connection)
        period = add_period(connection, topic, 0, 12)
        add_event(connection, topic, period, at(1))
        add_event(connection, topic, period, at(2))
        add_period(connection, endless, 0, 12)
        connection.execute(
            text("UPDATE temporal_events SET first_detected_at = 'infinity' WHERE first_detected_at = :at"),
            {"at": at(2)},
        )
        connection.execute(
            text("UPDATE analysis_periods SET period_end = 'infinity' WHERE entity_id = :id"), {"id": endless}
        )
    with database.transaction(read_only=True) as connection:
        [panel] = panels(connection)
    assert (panel.title, len(panel.happenings)) == ("topic AI agents", 1)


def materialize(database: Database, **scope: Any) -> dict[str, Any]:
    result = dg.materialize(
        [mv_period_metrics_trend, trend_view_agrees_with_periods],
        resources={"database": database, "scope": Scope(**scope)},
        selection=dg.AssetSelection.assets(mv_period_metrics_trend),
    )
    [materialization] = result.asset_materializations_for_node("mv_period_metrics_trend")
    return {
        "check": all(check.passed for check in result.get_asset_check_evaluations()),
        "version": (materialization.tags or {})["dagster/data_version"],
        **{key: value.value for key, value in materialization.metadata.items()},
    }


def test_the_asset_says_what_it_did(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection, "人工智能")
        add_period(connection, topic, 0, 12)
    preview = materialize(database, dry_run=True)
    assert preview["would_write"] == 1
    assert "not in the view" in preview["preview"]
    assert not preview["check"]
    first = materialize(database)
    assert (first["refreshed"], first["rows_written"], first["dagster/row_count"]) == (True, 1, 1)
    assert first["chart"].startswith("![posts per hour")
    assert "| topic 人工智能 | 0 | 12 |" in first["report"]
    assert first["check"]
    second = materialize(database)
    assert (second["refreshed"], second["rows_written"]) == (False, 0)
    assert "Nothing new" in second["note"]
    assert second["version"] == first["version"]


def test_without_periods_there_is_nothing_to_draw(database: Database) -> None:
    shown = materialize(database)
    assert shown["report"] == "There are no periods yet."
    assert "rate" in shown["chart"]


def test_the_check_fails_when_the_view_lags_behind(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_period(connection, topic, 0, 3)
        add_period(connection, topic, 1, 4)
    for lag, reason in (
        ("UPDATE analysis_periods SET metrics = '{}' WHERE period_number = 0", "other figures"),
        ("UPDATE analysis_periods SET period_number = 2 WHERE period_number = 1", "not in the view"),
        ("DELETE FROM analysis_periods WHERE period_number = 2", "no longer active"),
        ("REFRESH MATERIALIZED VIEW mv_period_metrics_trend WITH NO DATA", "was never filled"),
    ):
        refresh_view(database)
        assert checked(database).passed
        with database.transaction() as connection:
            connection.execute(text(lag))
        result = checked(database)
        assert not result.passed, lag
        assert reason in str(result.metadata["first_offenders"].value)


def checked(database: Database) -> dg.AssetCheckResult:
    result = trend_view_agrees_with_periods(database)
    assert isinstance(result, dg.AssetCheckResult)
    return result
