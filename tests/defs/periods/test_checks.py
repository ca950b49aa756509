"""Each check of periods holds on sound data and fails on what it speaks of."""

import uuid

import dagster as dg
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods import checks
from temporal_pipeline.defs.periods.cutting import perform_cut
from tests.crosshot_rows import add_content, add_topic, at, mark_prepared
from tests.defs.periods.world import application_period, cut


def test_every_due_content_is_linked(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        content = add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
    perform_cut(database, "run")
    assert checks.due_contents_are_linked(database, "run").passed
    with database.transaction() as c:
        c.execute(text("UPDATE contents SET analysis_period_id = NULL WHERE id = :id"), {"id": content})
    result = checks.due_contents_are_linked(database, "run")
    assert not result.passed
    assert (result.severity, result.metadata["offenders"].value) == (dg.AssetCheckSeverity.ERROR, 1)


def test_what_comes_after_the_cut_is_not_its_fault(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
    perform_cut(database, "run")
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(1))
    assert checks.due_contents_are_linked(database, "run").passed


def test_active_periods_do_not_overlap(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        add_content(c, topic=topic, crawled_at=at(3))
    cut(database)
    assert checks.no_overlap(database, "run").passed
    with database.transaction() as c:
        c.execute(text("ALTER TABLE analysis_periods DROP CONSTRAINT no_overlapping_periods"))
        c.execute(
            text(
                "INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, "
                "period_number, duration_hours, summary) VALUES ('topic', :topic, :start, :end, 1, 1, '')"
            ),
            {"topic": topic, "start": at(2), "end": at(9)},
        )
    assert not checks.no_overlap(database, "run").passed


def test_entity_counters_agree_with_periods(database: Database) -> None:
    with database.transaction() as c:
        add_content(c, topic=add_topic(c), crawled_at=at(1))
    cut(database)
    assert checks.entity_counters_agree_with_periods(database).passed
    with database.transaction() as c:
        c.execute(text("UPDATE topics SET total_periods = 7"))
    assert not checks.entity_counters_agree_with_periods(database).passed


def test_a_later_period_of_the_application_is_its_own_to_count(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    with database.transaction() as c:
        application_period(c, topic, number=1, start=at(5), end=at(6))
    assert checks.entity_counters_agree_with_periods(database).passed


def test_every_period_could_be_closed(database: Database) -> None:
    assert checks.every_period_could_be_closed(database).passed
    with database.transaction() as c:
        c.execute(
            text(
                "INSERT INTO temporal_pipeline.problem (stage, entity_type, entity_id, reason, run_id) "
                "VALUES ('periods', 'topic', :id, 'broken', 'run')"
            ),
            {"id": uuid.uuid4()},
        )
    result = checks.every_period_could_be_closed(database)
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
