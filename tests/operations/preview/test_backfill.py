"""What a backfill would create: the same before and after the migration, and what then is created."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import perform_cut
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.operations.preview.backfill import (
    CRAWL_IS_RUNNING,
    HAS_PERIOD,
    IN_THE_FUTURE,
    NO_CONTENTS,
    WITH_ITS_TOPICS,
    BackfillPreview,
    EntityPreview,
    preview_backfill,
)
from tests.crosshot_rows import add_content, add_task, add_topic, add_user, at, mark_prepared
from tests.migrations.tools import downgrade, execute, rows, upgrade_to
from tests.migrations.worlds import CREATE_ALL, TO_THE_HEAD_OF_THE_APPLICATION

NOW = datetime.now(UTC)
AHEAD = NOW + timedelta(days=400)


def _preview(database: Database) -> BackfillPreview:
    with database.transaction(read_only=True) as connection:
        return preview_backfill(connection)


def _by_name(preview: BackfillPreview) -> dict[str, EntityPreview]:
    return {entity.name: entity for entity in preview.entities}


def _populate(database: Database) -> None:
    """A world in which each topic and user stands for one case; it is crawled at this very moment."""
    with database.transaction() as c:
        alone, shared, busy, ahead = (add_topic(c, name) for name in ("alone", "shared", "busy", "ahead"))
        add_topic(c, "empty")
        waited = add_topic(c, "waited")
        own, of_shared, of_busy = (add_user(c, name) for name in ("own", "of shared", "of busy"))
        for hour in range(3):
            add_content(c, topic=alone, crawled_at=at(hour))
        add_content(c, topic=shared, user=of_shared, crawled_at=at(5))
        add_content(c, topic=shared, crawled_at=at(6))
        add_content(c, user=own, crawled_at=at(7))
        add_content(c, user=own, crawled_at=AHEAD)
        add_content(c, topic=busy, user=of_busy, crawled_at=NOW)
        add_content(c, topic=ahead, crawled_at=AHEAD)
        add_content(c, topic=waited, crawled_at=at(0))
        add_content(c, crawled_at=at(1))
        for topic in (busy, waited):
            add_task(c, topic=topic, started_at=NOW, status="running", completed_at=None)


EXPECTED = {
    "alone": (None, 3, at(0), at(2), 0, 0),
    "shared": (None, 2, at(5), at(6), 0, 0),
    "busy": (CRAWL_IS_RUNNING, 0, None, None, 1, 0),
    "ahead": (IN_THE_FUTURE, 0, None, None, 0, 1),
    "empty": (NO_CONTENTS, 0, None, None, 0, 0),
    "waited": (None, 1, at(0), at(0), 0, 0),
    "own": (None, 1, at(7), at(7), 0, 1),
    "of shared": (None, 1, at(5), at(5), 0, 0),
    "of busy": (WITH_ITS_TOPICS, 0, None, None, 1, 0),
}


def _seen(preview: BackfillPreview) -> dict[str, tuple[object, ...]]:
    return {
        name: (
            entity.skipped,
            entity.contents.number,
            entity.contents.first_crawled_at,
            entity.contents.last_crawled_at,
            entity.waiting,
            entity.future,
        )
        for name, entity in _by_name(preview).items()
    }


def test_a_legacy_database_and_a_migrated_one_have_the_same_preview(legacy_database: Database) -> None:
    _populate(legacy_database)
    assert _seen(_preview(legacy_database)) == EXPECTED
    assert _preview(legacy_database).unowned == 1
    upgrade(legacy_database)
    assert _seen(_preview(legacy_database)) == EXPECTED
    assert _preview(legacy_database).unowned == 1


@pytest.mark.parametrize("revision", ["20260301_0100", "20260301_0200"])
def test_so_does_one_half_way(legacy_database: Database, revision: str) -> None:
    _populate(legacy_database)
    upgrade_to(legacy_database, revision)
    assert _seen(_preview(legacy_database)) == EXPECTED


def test_so_does_one_that_the_application_or_a_downgrade_left(
    legacy_database: Database, database: Database
) -> None:
    execute(legacy_database, CREATE_ALL)
    _populate(legacy_database)
    assert _seen(_preview(legacy_database)) == EXPECTED
    _populate(database)
    execute(database, TO_THE_HEAD_OF_THE_APPLICATION)
    assert _seen(_preview(database)) == EXPECTED
    downgrade(database, "-3")
    assert _seen(_preview(database)) == EXPECTED


def test_what_is_created_is_what_was_previewed(database: Database) -> None:
    _populate(database)
    with database.transaction() as connection:
        mark_prepared(connection)
    before = _preview(database)
    perform_cut(database, "run")
    made = rows(
        database,
        "SELECT e.name, p.content_count AS contents FROM analysis_periods p"
        " JOIN temporal_pipeline.entity e USING (entity_type, entity_id)"
        " WHERE p.status = 'active' AND p.period_number = 0",
    )
    assert {row.name: row.contents for row in made} == {
        entity.name: entity.contents.number for entity in before.created
    }
    after = _by_name(_preview(database))
    assert all(after[entity.name].skipped == HAS_PERIOD for entity in before.created)
    assert _preview(database).created == []


def test_later_contents_wait_for_the_next_update(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        add_content(c, topic=topic, crawled_at=at(0))
        mark_prepared(c)
    perform_cut(database, "run")
    with database.transaction() as c:
        add_content(c, topic=topic, user=user, crawled_at=at(9))
    after = _by_name(_preview(database))
    assert (after["AI agents"].skipped, after["AI agents"].waiting) == (HAS_PERIOD, 1)
    assert (after["ada"].skipped, after["ada"].waiting) == (WITH_ITS_TOPICS, 1)


def test_a_period_that_was_begun_is_still_to_come(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        linked = add_content(c, topic=topic, crawled_at=at(0))
        add_content(c, topic=topic, crawled_at=at(3))
        mark_prepared(c)
        period = c.execute(
            text(
                "INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, duration_hours,"
                " period_number, status, summary)"
                " VALUES ('topic', :topic, now(), now() + interval '1 us', 0, 0, 'draft', '') RETURNING id"
            ),
            {"topic": topic},
        ).scalar_one()
        c.execute(text("INSERT INTO temporal_pipeline.cut (run_id, instant) VALUES ('killed', now())"))
        c.execute(
            text(
                "INSERT INTO temporal_pipeline.period_cut (cut_id, entity_type, entity_id, ready, period_id)"
                " SELECT id, 'topic', :topic, true, :period FROM temporal_pipeline.cut"
            ),
            {"topic": topic, "period": period},
        )
        c.execute(
            text("UPDATE contents SET analysis_period_id = :period WHERE id = :content"),
            {"period": period, "content": linked},
        )
    [entity] = _preview(database).created
    assert (entity.contents.number, entity.contents.first_crawled_at, entity.contents.last_crawled_at) == (
        2,
        at(0),
        at(3),
    )


@pytest.mark.parametrize(
    ("interval", "is_held"), [("48", True), ('"48"', True), ("1", False), ('"often"', False), ("-1", False)]
)
def test_a_crawl_holds_its_contents_for_one_interval(
    legacy_database: Database, interval: str, is_held: bool
) -> None:
    with legacy_database.transaction() as c:
        topic = add_topic(c)
        c.execute(
            text(
                "UPDATE topics SET config = jsonb_build_object('schedule_interval_hours', CAST(:v AS jsonb))"
            ),
            {"v": interval},
        )
        add_content(c, topic=topic, crawled_at=NOW - timedelta(hours=12))
        add_task(c, topic=topic, started_at=NOW, status="running", completed_at=None)
    before = _seen(_preview(legacy_database))
    assert (before["AI agents"][0] == CRAWL_IS_RUNNING) is is_held
    upgrade(legacy_database)
    assert _seen(_preview(legacy_database)) == before


def test_times_before_and_after_all_calendars_are_counted(legacy_database: Database) -> None:
    with legacy_database.transaction() as c:
        topic = add_topic(c)
        contents = [add_content(c, topic=topic, crawled_at=at(0)) for _ in range(3)]
        for content, time in zip(contents, ("infinity", "-infinity"), strict=False):
            c.execute(
                text("UPDATE contents SET crawled_at = CAST(:time AS timestamptz) WHERE id = :content"),
                {"time": time, "content": content},
            )
    [entity] = _preview(legacy_database).created
    assert (entity.contents.number, entity.future) == (1, 2)


def test_an_owner_that_is_gone_is_none(legacy_database: Database) -> None:
    with legacy_database.transaction() as c:
        add_content(c, topic=add_topic(c), crawled_at=at(0))
        c.execute(text("ALTER TABLE contents DROP CONSTRAINT contents_topic_id_fkey"))
        c.execute(text("DELETE FROM topics"))
    assert _preview(legacy_database) == BackfillPreview((), 0)
