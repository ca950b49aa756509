"""Leftovers are finished, what is forgotten is named, what is old is put away, and nothing that counts is touched."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.crosshot.sensors import events as event_queries
from temporal_pipeline.defs.events.reading import DETECTOR
from temporal_pipeline.defs.periods import cutting
from temporal_pipeline.defs.periods.reanalysis import reanalyse
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from temporal_pipeline.defs.trends.refreshing import refresh_view
from temporal_pipeline.defs.trends.story import report
from temporal_pipeline.defs.upkeep import tidying
from temporal_pipeline.defs.upkeep.tidying import archive_periods, finish_drafts, forgotten_events, vacuum
from temporal_pipeline.operations.verification import verify
from temporal_pipeline.query import Timeline
from tests.crosshot_rows import add_content, add_topic, at, mark_prepared
from tests.defs.events.world import add_period
from tests.defs.periods.world import cut, digest, periods_of, pointer, refuse_periods_of, rows

DAYS_AGO = "UPDATE analysis_periods SET created_at = now() - interval '2 days' WHERE status = 'draft'"
CUT_DAYS_AGO = (
    "UPDATE temporal_pipeline.cut SET instant = now() - interval '2 days' WHERE finished_at IS NULL"
)


def killed_while_closing(database: Database, *, days_ago: bool) -> tuple[uuid.UUID, uuid.UUID]:
    """A topic and its content that points to a draft, as kill -9 leaves them."""
    with database.transaction() as c:
        topic = add_topic(c)
        content = add_content(c, topic=topic, crawled_at=at(1))
        refuse_periods_of(c, topic)
    cut(database)
    with database.transaction() as c:
        c.execute(text("DROP FUNCTION refuse CASCADE"))
        if days_ago:
            c.execute(text(DAYS_AGO))
            c.execute(text(CUT_DAYS_AGO))
    return topic, content


def test_a_draft_older_than_a_day_is_finished(database: Database) -> None:
    topic, content = killed_while_closing(database, days_ago=True)
    assert periods_of(database, topic) == []
    drafts = finish_drafts(database, "upkeep", 5)
    assert (drafts.found, drafts.left) == (1, [])
    [period] = periods_of(database, topic)
    assert (period.status, period.content_count) == ("active", 1)
    assert pointer(database, content) == period.id
    before = digest(database)
    assert finish_drafts(database, "again", 5).found == 0
    assert digest(database) == before


def test_a_draft_of_today_may_be_somebodys_work(database: Database) -> None:
    topic, _ = killed_while_closing(database, days_ago=False)
    assert finish_drafts(database, "upkeep", 5).found == 0
    assert periods_of(database, topic) == []


def test_a_draft_whose_topic_is_gone_is_removed(database: Database) -> None:
    topic, content = killed_while_closing(database, days_ago=True)
    with database.transaction() as c:
        c.execute(text("UPDATE contents SET topic_id = NULL"))
        c.execute(text("DELETE FROM topics WHERE id = :id"), {"id": topic})
    drafts = finish_drafts(database, "upkeep", 5)
    assert (drafts.found, drafts.left) == (1, [])
    assert rows(database, "SELECT FROM analysis_periods") == []
    assert pointer(database, content) is None


def test_what_cannot_be_closed_is_named_with_the_reason(database: Database) -> None:
    topic, _ = killed_while_closing(database, days_ago=True)
    with database.transaction() as c:
        refuse_periods_of(c, topic)
        own = add_topic(c, name="theirs")
        c.execute(
            text(
                "INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, period_number, "
                "duration_hours, summary, status, created_at) VALUES ('topic', :own, :start, :end, 0, 1, '', "
                "'draft', now() - interval '3 days')"
            ),
            {"own": own, "start": at(0), "end": at(1)},
        )
    left = finish_drafts(database, "upkeep", 5).left
    assert [(row.entity, row.ours) for row in left] == [("theirs", False), ("AI agents", True)]
    assert left[0].reason == "the application's own, left alone"
    assert left[1].reason
    assert left[1].contents == 1


def add_event(
    connection: Connection, topic: uuid.UUID, period: uuid.UUID, title: str, **metadata: str
) -> None:
    connection.execute(
        text("""
            INSERT INTO temporal_events (period_id, entity_type, entity_id, event_type, severity, title, description,
                                         first_detected_at, metadata)
            VALUES (:period, 'topic', :topic, 'anomaly', 'warning', :title, '', now() - interval '30 days',
                    jsonb_strip_nulls(jsonb_build_object(
                        'detector', CAST(:detector AS text), 'state', CAST(:state AS text))))
        """),
        {"period": period, "topic": topic, "title": title, "detector": None, "state": None} | metadata,
    )


def test_open_events_that_nobody_looks_at_are_named_and_stay_open(database: Database) -> None:
    ours = {"detector": DETECTOR, "state": "active"}
    with database.transaction() as c:
        topics = {name: add_topic(c, name=name) for name in ("quiet", "watched", "gone")}
        periods = {name: add_period(c, "topic", topic, 0, at(0), at(1)) for name, topic in topics.items()}
        for name, topic in topics.items():
            add_event(c, topic, periods[name], f"of {name}", **ours)
        add_event(c, topics["watched"], periods["watched"], "a person's")
        add_event(c, topics["watched"], periods["watched"], "history", detector=DETECTOR, state="superseded")
        c.execute(
            text(
                "INSERT INTO temporal_pipeline.entity_watch (entity_type, entity_id, watched_until, covered, method) "
                "SELECT 'topic', id, now() - CASE name WHEN 'watched' THEN interval '1 hour' "
                "ELSE interval '20 days' END, '[]', 'tail-1' FROM topics"
            )
        )
        c.execute(text("DELETE FROM topics WHERE id = :id"), {"id": topics["gone"]})
        before = c.execute(text("SELECT id, resolved_at FROM temporal_events ORDER BY id")).all()
    with database.transaction() as c:
        named = {row.title: row.reason for row in forgotten_events(c)}
        assert c.execute(text("SELECT id, resolved_at FROM temporal_events ORDER BY id")).all() == before
    assert set(named) == {"of quiet", "of gone", "a person's"}
    assert named["of quiet"].startswith("not crawled since 20")
    assert named["of gone"] == "its topic or user is gone"
    assert named["a person's"].startswith("not found by us")


@pytest.fixture
def reanalysed(database: Database) -> uuid.UUID:
    """A topic whose Period 0 was analysed again 100 days ago, with an event of the old one."""
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
    cutting.perform_cut(database, "first")
    freeze_periods(database, "first")
    [old] = periods_of(database, topic)
    with database.transaction() as c:
        add_event(c, topic, old.id, "an old one", detector=DETECTOR, state="superseded")
    reanalyse(database, old.id, "better", "second")
    with database.transaction() as c:
        c.execute(
            text(
                "UPDATE analysis_periods p SET analyzed_at = made.at, created_at = made.at, execution_log = '{}' "
                "FROM (VALUES ('superseded', now() - interval '110 days'), "
                "             ('active', now() - interval '100 days')) AS made (status, at) "
                "WHERE made.status = p.status"
            )
        )
    return topic


def test_what_was_superseded_long_ago_is_archived_and_can_still_be_read(
    database: Database, reanalysed: uuid.UUID
) -> None:
    refresh_view(database)
    with database.transaction(read_only=True) as c:
        [told] = report(c)
    timeline = Timeline(database)
    asked = timeline.query_period_timeline(f"topic:{reanalysed}", include_superseded=True)
    assert archive_periods(database, timedelta(days=101)) == []
    [archived] = archive_periods(database)
    by_status = {period.status: period for period in periods_of(database, reanalysed)}
    assert set(by_status) == {"active", "archived"}
    assert by_status["archived"].id == archived.id
    assert by_status["archived"].superseded_by == by_status["active"].id
    again = timeline.query_period_timeline(f"topic:{reanalysed}", include_superseded=True)
    assert [p.period_id for p in again.items] == [p.period_id for p in asked.items]
    assert [p.status for p in again.items] == ["active", "archived"]
    assert [claim.name for claim in verify(database) if not claim.holds] == []
    with database.transaction(read_only=True) as c:
        # Its events are history as before.
        assert report(c) == [told]
        assert c.execute(event_queries["most_severe_events"]).all() == []
    before = digest(database)
    assert archive_periods(database) == []
    assert digest(database) == before


def test_vacuum_takes_ours_and_nothing_else(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        c.execute(text("UPDATE topics SET name = name"))
        add_period(c, "topic", topic, 0, at(0), at(1))
    done = {table.table: table for table in vacuum(database)}
    assert {"analysis_periods", "mv_period_metrics_trend", "temporal_pipeline.cut"} < set(done)
    assert not {"topics", "contents", "alembic_version"} & set(done)
    assert [table for table in done.values() if table.reason or table.seconds is None] == []
    [state] = rows(database, "SELECT relpages, reltuples FROM pg_class WHERE relname = 'analysis_periods'")
    assert state.reltuples == 1


def test_a_role_that_owns_nothing_is_told_which_tables_it_left_out(database: Database) -> None:
    role = f"guest_{uuid.uuid4().hex[:8]}"
    with database.transaction() as c:
        c.execute(text(f"CREATE ROLE {role}"))
        c.execute(text(f"GRANT USAGE ON SCHEMA temporal_pipeline TO {role}"))
        c.execute(text(f"ALTER TABLE temporal_events OWNER TO {role}"))
    try:
        with database.engine.connect() as c:
            c.execute(text(f"SET ROLE {role}"))
            mine = [table.name for table in tidying.our_tables(c) if table.may_vacuum]
            c.rollback()
        assert mine == ["temporal_events"]
    finally:
        with database.transaction() as c:
            c.execute(text(f"DROP OWNED BY {role} CASCADE"))
            c.execute(text(f"DROP ROLE {role}"))
