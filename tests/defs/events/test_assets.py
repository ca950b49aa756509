"""The asset and its checks, through Dagster, in process."""

import uuid
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events import checks
from temporal_pipeline.defs.events.assets import temporal_events
from temporal_pipeline.scope import Scope
from tests.crosshot_rows import add_topic, at
from tests.defs.events.world import add_period, crawl_hour

CHECKS = [
    checks.every_upward_volume_event_has_evidence,
    checks.evidence_is_no_older_than_its_event,
    checks.one_open_event_per_key,
    checks.events_are_rare,
    checks.event_weights_are_in_range,
    checks.every_entity_was_searched_for_events,
]


@pytest.fixture
def burst(database: Database) -> uuid.UUID:
    with database.transaction() as connection:
        topic = add_topic(connection, "AI $^$ 智能体")
        for hour in range(30):
            crawl_hour(connection, hour, 40 if hour == 20 else 2, topic=topic, words="系统故障 everywhere")
        add_period(connection, "topic", topic, 0, at(0), at(31))
    return topic


def run(database: Database, **scope: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [temporal_events, *CHECKS], resources={"database": database, "scope": Scope(**scope)}
    )


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (materialization,) = result.asset_materializations_for_node("temporal_events")
    return {key: value.value for key, value in materialization.metadata.items()}


def data_version(result: dg.ExecuteInProcessResult) -> str:
    (materialization,) = result.asset_materializations_for_node("temporal_events")
    return materialization.tags["dagster/data_version"]


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckSeverity]:
    return {e.check_name: e.severity for e in result.get_asset_check_evaluations() if not e.passed}


def test_metadata_tells_what_was_found(database: Database, burst: uuid.UUID):
    result = run(database)
    found = metadata(result)
    assert found["dagster/row_count"] == 1
    assert (found["events_opened"], found["events_updated"], found["events_open"]) == (1, 0, 0)
    assert found["rows_written"] == 41
    assert "AI $^$ 智能体: 40 posts" in found["most_severe_events"]
    assert "系统故障 everywhere" in found["most_severe_events"]
    assert found["chart"].startswith("![AI $^$ 智能体: 40 posts at 2026-01-05 20:00 UTC, ")
    assert "](data:image/png;base64," in found["chart"]
    assert failed_checks(result) == {}


def test_a_run_with_nothing_new_writes_nothing_and_keeps_the_data_version(
    database: Database, burst: uuid.UUID
):
    first, second = run(database), run(database)
    assert metadata(second)["rows_written"] == 0
    assert "chart" not in metadata(second)
    assert data_version(first) == data_version(second)


def test_a_dry_run_shows_what_would_open_and_writes_nothing(database: Database, burst: uuid.UUID):
    preview = metadata(run(database, dry_run=True))["preview"]
    assert "| AI $^$ 智能体 | opened | AI $^$ 智能体: 40 posts at 2026-01-05 20:00 UTC, " in preview
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM temporal_events")) == 0


def test_the_most_severe_events_are_those_of_periods_that_were_not_analysed_again(
    database: Database, burst: uuid.UUID
):
    run(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE temporal_events SET title = 'the old analysis'"))
        connection.execute(text("UPDATE analysis_periods SET status = 'superseded'"))
        add_period(connection, "topic", burst, 0, at(0), at(31))
    found = metadata(run(database))
    assert (found["events_opened"], found["dagster/row_count"]) == (1, 2)
    assert "AI $^$ 智能体: 40 posts" in found["most_severe_events"]
    assert "the old analysis" not in found["most_severe_events"]


def test_an_endless_event_of_the_applications_is_shown(database: Database, burst: uuid.UUID):
    run(database)
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE temporal_events SET first_detected_at = '-infinity', resolved_at = 'infinity'")
        )
    assert "| -infinity | resolved | infinity |" in metadata(run(database))["most_severe_events"]


def break_it(database: Database, sql: str) -> dict[str, dg.AssetCheckSeverity]:
    run(database)
    with database.transaction() as connection:
        connection.execute(text(sql))
    return failed_checks(run(database))


def test_an_event_without_evidence_is_found(database: Database, burst: uuid.UUID):
    assert break_it(database, "DELETE FROM event_contents") == {
        "every_upward_volume_event_has_evidence": dg.AssetCheckSeverity.ERROR
    }


def test_a_weight_out_of_range_is_found(database: Database, burst: uuid.UUID):
    assert break_it(database, "UPDATE event_contents SET relevance_to_event = NULL") == {
        "event_weights_are_in_range": dg.AssetCheckSeverity.ERROR
    }


def test_evidence_of_an_earlier_period_is_found(database: Database, burst: uuid.UUID):
    later = """
        WITH later AS (
            INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, period_number,
                                          duration_hours, status, summary)
            SELECT entity_type, entity_id, period_end, period_end + interval '1 hour', 1, 1, 'active', ''
            FROM analysis_periods RETURNING id
        )
        UPDATE temporal_events SET period_id = later.id FROM later
    """
    assert break_it(database, later) == {"evidence_is_no_older_than_its_event": dg.AssetCheckSeverity.ERROR}


def test_two_open_events_of_a_key_are_found(database: Database, burst: uuid.UUID):
    twice = """
        DROP INDEX one_open_event_per_key;
        UPDATE temporal_events SET resolved_at = NULL, metadata = metadata || '{"state": "active"}';
        INSERT INTO temporal_events (period_id, entity_type, entity_id, event_type, title, description,
                                     first_detected_at, metadata)
        SELECT period_id, entity_type, entity_id, event_type, title, description, first_detected_at,
               metadata - 'evidence_at' || '{"key": "volume_down"}' FROM temporal_events, generate_series(1, 2)
    """
    run(database)
    with database.transaction() as connection:
        connection.execute(text(twice))
    assert not checks.one_open_event_per_key(database=database).passed


def test_a_detector_that_cries_wolf_is_found(database: Database, burst: uuid.UUID):
    often = """
        UPDATE temporal_pipeline.entity_watch SET watched_until = watched_until + interval '20 days';
        INSERT INTO temporal_events (period_id, entity_type, entity_id, event_type, title, description,
                                     first_detected_at, resolved_at, metadata)
        SELECT period_id, entity_type, entity_id, event_type, title, description, first_detected_at, now(),
               metadata - 'evidence_at' || '{"detector": "temporal_pipeline", "key": "volume_up"}'
        FROM temporal_events, generate_series(1, 4);
        INSERT INTO event_contents (event_id, content_id) SELECT v.id, c.id FROM temporal_events v, contents c
        ON CONFLICT DO NOTHING
    """
    assert break_it(database, often) == {"events_are_rare": dg.AssetCheckSeverity.WARN}


def test_an_entity_that_failed_is_named(database: Database, burst: uuid.UUID):
    failing = (
        "INSERT INTO temporal_pipeline.problem (stage, entity_type, entity_id, reason, run_id) "
        "SELECT 'events', 'topic', id, 'broken', 'run' FROM topics"
    )
    assert break_it(database, failing) == {"every_entity_was_searched_for_events": dg.AssetCheckSeverity.WARN}
