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
    checks.every_volume_event_has_evidence,
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
    assert (found["events_opened"], found["events_updated"], found["events_resolved"]) == (1, 0, 1)
    assert found["rows_written"] == 41
    assert "AI $^$ 智能体: 40 posts" in found["latest_events"]
    assert "系统故障 everywhere" in found["latest_events"]
    assert found["chart"].startswith(
        "![posts per hour of AI $^$ 智能体 around 2026-01-05](data:image/png;base64,"
    )
    assert failed_checks(result) == {}


def test_a_run_with_nothing_new_writes_nothing_and_keeps_the_data_version(
    database: Database, burst: uuid.UUID
):
    first, second = run(database), run(database)
    assert metadata(second)["rows_written"] == 0
    assert "chart" not in metadata(second)
    assert data_version(first) == data_version(second)


def test_a_dry_run_shows_what_would_be_searched_and_writes_nothing(database: Database, burst: uuid.UUID):
    assert "AI $^$ 智能体" in metadata(run(database, dry_run=True))["preview"]
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM temporal_events")) == 0


def test_the_latest_events_are_those_of_periods_that_were_not_analysed_again(
    database: Database, burst: uuid.UUID
):
    run(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE temporal_events SET title = 'the old analysis'"))
        connection.execute(text("UPDATE analysis_periods SET status = 'superseded'"))
        add_period(connection, "topic", burst, 0, at(0), at(31))
    found = metadata(run(database))
    assert (found["events_opened"], found["dagster/row_count"]) == (1, 2)
    assert "AI $^$ 智能体: 40 posts" in found["latest_events"]
    assert "the old analysis" not in found["latest_events"]


def test_an_endless_event_of_the_applications_is_shown(database: Database, burst: uuid.UUID):
    run(database)
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE temporal_events SET first_detected_at = '-infinity', resolved_at = 'infinity'")
        )
    assert "| -infinity | infinity |" in metadata(run(database))["latest_events"]


def break_it(database: Database, sql: str) -> dict[str, dg.AssetCheckSeverity]:
    run(database)
    with database.transaction() as connection:
        connection.execute(text(sql))
    return failed_checks(run(database))


def test_an_event_without_evidence_is_found(database: Database, burst: uuid.UUID):
    assert break_it(database, "DELETE FROM event_contents") == {
        "every_volume_event_has_evidence": dg.AssetCheckSeverity.ERROR
    }


def test_a_weight_out_of_range_is_found(database: Database, burst: uuid.UUID):
    assert break_it(database, "UPDATE event_contents SET relevance_to_event = NULL") == {
        "event_weights_are_in_range": dg.AssetCheckSeverity.ERROR
    }


def test_an_entity_that_failed_is_named(database: Database, burst: uuid.UUID):
    failing = (
        "INSERT INTO temporal_pipeline.problem (stage, entity_type, entity_id, reason, run_id) "
        "SELECT 'events', 'topic', id, 'broken', 'run' FROM topics"
    )
    assert break_it(database, failing) == {"every_entity_was_searched_for_events": dg.AssetCheckSeverity.WARN}
