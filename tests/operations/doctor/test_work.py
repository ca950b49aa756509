"""What is left to do is told, and what should have been done by now is a warning."""

from datetime import UTC, datetime, timedelta

import pytest

from temporal_pipeline import problems
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.entities import Entity
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.doctor import work
from temporal_pipeline.operations.doctor.finding import Status
from tests.crosshot_rows import add_content, add_topic
from tests.migrations.tools import execute, upgrade_to
from tests.migrations.worlds import LATER_REVISION
from tests.operations.doctor.conftest import examined

DRAFT = """
    INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, period_number,
                                  duration_hours, status, summary)
    VALUES ('topic', gen_random_uuid(), now() - interval '1 hour', now(), 0, 1, 'draft', '')
"""


def test_a_schema_that_is_half_done(legacy_database: Database) -> None:
    upgrade_to(legacy_database, "20260301_0100")
    assert examined(legacy_database, work.schema_revision).found == "20260301_0100"
    verdict = examined(legacy_database, work.schema_definition)
    assert verdict.status is Status.WARN
    assert verdict.found.startswith("at 20260301_0100, ")
    assert verdict.remedy == "temporal-pipeline migrate"


def test_a_schema_that_drifted_names_what_differs(database: Database) -> None:
    execute(database, "ALTER TABLE temporal_events ALTER severity DROP DEFAULT")
    verdict = examined(database, work.schema_definition)
    assert verdict.status is Status.WARN
    assert verdict.details == ("defaults of temporal_events",)
    upgrade(database)
    assert examined(database, work.schema_definition).status is Status.OK


def test_an_application_that_migrated_on(database: Database) -> None:
    execute(database, LATER_REVISION)
    verdict = examined(database, work.schema_revision)
    assert verdict.status is Status.OK
    assert verdict.found.startswith("20260415_0100: the application has migrated on")
    assert examined(database, work.schema_definition).status is Status.OK


def test_a_strange_revision_without_our_objects_is_refused(database: Database) -> None:
    execute(database, LATER_REVISION)
    execute(database, "DROP VIEW v_period_timeline")
    with pytest.raises(PipelineError, match="20260415_0100, which is none of ours"):
        examined(database, work.schema_revision)


@pytest.mark.parametrize(("hours", "status"), [(1, Status.OK), (25, Status.WARN)])
def test_contents_that_wait(database: Database, hours: float, status: Status) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for later in (0, 0.5):
            crawled_at = datetime.now(UTC) - timedelta(hours=hours - later)
            add_content(connection, topic=topic, crawled_at=crawled_at)
        add_content(connection, topic=topic, crawled_at=datetime.now(UTC) + timedelta(hours=hours))
    verdict = examined(database, work.contents_to_link)
    assert verdict.status is status
    assert verdict.found == f"2 contents wait for a period, the first was crawled {hours:.1f} hours ago"
    verdict = examined(database, work.contents_to_prepare)
    assert verdict.status is status
    assert verdict.found.startswith("2 of the newest 10,000 contents were never prepared")


def test_a_cut_that_was_left_and_one_that_is_under_way(database: Database) -> None:
    execute(
        database,
        "INSERT INTO temporal_pipeline.cut (run_id, instant, started_at)"
        " VALUES ('x', '2026-02-01T00:00Z', '2026-02-01T10:00Z')",
    )
    verdict = examined(database, work.unfinished_cuts)
    assert verdict.status is Status.WARN
    assert verdict.found == "#1 of 2026-02-01 10:00 UTC were not finished, and no run is at work"
    with database.exclusive("periods"):
        assert examined(database, work.unfinished_cuts).status is Status.OK


def test_drafts_of_ours_and_of_the_application(database: Database) -> None:
    execute(database, DRAFT)
    assert examined(database, work.open_drafts).found == "1 are the application's own"
    execute(
        database,
        "INSERT INTO temporal_pipeline.cut (run_id, instant) VALUES ('x', now());"
        "INSERT INTO temporal_pipeline.period_cut (cut_id, entity_type, entity_id, ready, period_id)"
        " SELECT 1, entity_type, entity_id, true, id FROM analysis_periods",
    )
    verdict = examined(database, work.open_drafts)
    assert (verdict.status, verdict.found) == (Status.WARN, "1 periods are drafts, and no run is at work")
    with database.exclusive("periods"):
        assert examined(database, work.open_drafts).status is Status.OK


def test_entities_that_failed_are_named_with_the_reason(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection, "AI agents")
    problems.record(database, "periods", Entity("topic", topic, "AI agents"), ValueError("too odd"), "run")
    verdict = examined(database, work.failed_entities)
    assert verdict.status is Status.WARN
    assert verdict.details == ("periods: AI agents: ValueError: too odd",)


def test_alerts_that_reach_nobody_are_told_with_the_reason(database: Database) -> None:
    assert examined(database, work.undelivered_alerts).status is Status.OK
    execute(
        database,
        "INSERT INTO temporal_pipeline.alert_message (id, channel, created_at, attempts, due_at, failure, given_up_at)"
        " VALUES (gen_random_uuid(), 'ops', '2026-02-01T10:00Z', 5, now(), 'HTTP 404 Not Found', now()),"
        " (gen_random_uuid(), 'new', now(), 1, now(), 'connection refused', NULL);"
        "INSERT INTO temporal_pipeline.alert (subject, state, since, severity, about, title, details)"
        " VALUES ('run:1', 'failed', now(), 'critical', 'update', 'Run 1 failed', '{}');"
        "INSERT INTO temporal_pipeline.alert_in_message (channel, alert_id, message_id)"
        " SELECT m.channel, a.id, m.id FROM temporal_pipeline.alert_message m, temporal_pipeline.alert a",
    )
    verdict = examined(database, work.undelivered_alerts)
    assert (verdict.status, verdict.found) == (Status.WARN, "1 were not delivered")
    assert verdict.details == ("ops: 1 since 2026-02-01 10:00 UTC, given up: HTTP 404 Not Found",)
