"""What a period contained stays readable, whatever the crawler does later."""

import random
import string

import dagster as dg
import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.snapshots.checks import (
    application_periods_count_their_members,
    counts_are_right,
)
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from temporal_pipeline.entities import Entity
from tests.crosshot_rows import add_content, add_topic, add_user, at
from tests.defs.periods.world import cut, digest, periods_of, rows


def _snapshots(database: Database) -> list[tuple[str, str]]:
    sql = (
        "SELECT p.entity_type, s.text_snapshot FROM period_content_snapshots s "
        "JOIN analysis_periods p ON p.id = s.period_id ORDER BY 1, 2"
    )
    return [tuple(row) for row in rows(database, sql)]


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_every_member_is_frozen_once_for_each_owner(database: Database, batch_size: int) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        add_content(c, topic=topic, crawled_at=at(1), text="one")
        add_content(c, topic=topic, user=user, crawled_at=at(2), text="two")
        add_content(c, user=user, crawled_at=at(3), text=None)
    cut(database)
    report = freeze_periods(database, "run", batch_size=batch_size)
    assert _snapshots(database) == [("topic", "one"), ("topic", "two"), ("user", "two"), ("user", None)]
    assert (report.rows_written, len(report.periods)) == (4, 2)


def test_a_later_edit_or_run_changes_no_snapshot(database: Database) -> None:
    with database.transaction() as c:
        add_content(c, topic=add_topic(c), crawled_at=at(1), text="as it was")
    cut(database)
    freeze_periods(database, "run")
    with database.transaction() as c:
        c.execute(text("UPDATE contents SET text = 'edited'"))
    before = digest(database)
    assert freeze_periods(database, "again").rows_written == 0
    assert digest(database) == before
    assert _snapshots(database) == [("topic", "as it was")]


# A text that compresses well would fit where texts do not belong.
INCOMPRESSIBLE = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=12_000))


@pytest.mark.parametrize("post", [INCOMPRESSIBLE, "人工智能" * 300])
def test_a_text_of_any_length_is_frozen(database: Database, post: str) -> None:
    with database.transaction() as c:
        add_content(c, topic=add_topic(c), crawled_at=at(1), text=post)
    cut(database)
    freeze_periods(database, "run")
    assert _snapshots(database) == [("topic", post)]


def test_late_arrivals_are_marked(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(10))
    cut(database)
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(5), text="late")
        add_content(c, topic=topic, crawled_at=at(15), text="in time")
    cut(database)
    assert freeze_periods(database, "run").late_arrivals == 1
    late = rows(
        database,
        "SELECT text_snapshot FROM period_content_snapshots WHERE contribution_type = 'late_arrival'",
    )
    assert [row.text_snapshot for row in late] == ["late"]


def test_a_content_deleted_before_freezing_is_no_member_and_one_deleted_later_is_reported(
    database: Database,
) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        contents = [add_content(c, topic=topic, crawled_at=at(hour)) for hour in range(3)]
    cut(database)
    delete = text("DELETE FROM contents WHERE id = :id")
    with database.transaction() as c:
        c.execute(delete, {"id": contents[0]})
    freeze_periods(database, "run")
    [period] = periods_of(database, topic)
    assert period.content_count == 2
    with database.transaction() as c:
        c.execute(delete, {"id": contents[1]})
    result = counts_are_right(database, "run")
    assert result.passed
    assert result.metadata["deleted_since"].value == 1


def test_the_check_of_counts_fails_when_a_member_was_left_out(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        add_content(c, topic=topic, crawled_at=at(2))
    cut(database)
    freeze_periods(database, "run")
    assert counts_are_right(database, "run").passed
    with database.transaction() as c:
        c.execute(text("DELETE FROM period_content_snapshots WHERE ctid = '(0,1)'"))
    result = counts_are_right(database, "run")
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    # It blocks the run that left it out, and no later one.
    assert counts_are_right(database, "another run").passed


def test_a_period_of_the_application_is_frozen_and_its_own_count_left_alone(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        c.execute(
            text(
                "INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, "
                "period_number, duration_hours, summary, content_count) "
                "VALUES ('topic', :topic, :start, :end, 0, 5, 's', 7)"
            ),
            {"topic": topic, "start": at(0), "end": at(5)},
        )
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    freeze_periods(database, "run")
    [period] = periods_of(database, topic)
    assert period.content_count == 7
    assert counts_are_right(database, "run").passed
    assert not application_periods_count_their_members(database).passed


def test_a_problem_lasts_as_long_as_a_period_of_the_entity_is_not_frozen(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1), text="poison")
        c.execute(
            text(
                "ALTER TABLE period_content_snapshots ADD CONSTRAINT taste CHECK (text_snapshot <> 'poison')"
            )
        )
    cut(database)
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(9), text="fine")
    cut(database)
    assert len(freeze_periods(database, "run").failed) == 1
    assert _snapshots(database) == [("topic", "fine")]
    assert len(rows(database, "SELECT FROM temporal_pipeline.problem")) == 1
    with database.transaction() as c:
        c.execute(text("ALTER TABLE period_content_snapshots DROP CONSTRAINT taste"))
    assert freeze_periods(database, "run").failed == []
    assert rows(database, "SELECT FROM temporal_pipeline.problem") == []


def test_who_was_drawn_into_the_cut_of_another_entity_is_frozen_with_it(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        add_content(c, topic=topic, user=user, crawled_at=at(1), text="shared")
    cut(database, entities=[Entity("topic", topic, "AI agents")])
    freeze_periods(database, "run")
    assert _snapshots(database) == [("topic", "shared"), ("user", "shared")]


def test_what_the_application_links_later_is_no_fault_of_a_frozen_period(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        content = add_content(c, topic=topic, crawled_at=at(1))
        add_content(c, topic=topic, user=user, crawled_at=at(1))
    cut(database)
    freeze_periods(database, "run")
    with database.transaction() as c:
        c.execute(text("UPDATE contents SET user_id = :user WHERE id = :id"), {"user": user, "id": content})
    assert counts_are_right(database, "another run").passed


def test_a_period_that_cannot_be_frozen_stops_no_other(database: Database) -> None:
    with database.transaction() as c:
        bad, good = add_topic(c, name="bad"), add_topic(c, name="good")
        add_content(c, topic=bad, crawled_at=at(1), text="poison")
        add_content(c, topic=good, crawled_at=at(1), text="fine")
        c.execute(text("ALTER TABLE period_content_snapshots ADD CHECK (text_snapshot <> 'poison')"))
    cut(database)
    report = freeze_periods(database, "run")
    assert [entity.name for entity, _ in report.failed] == ["bad"]
    assert _snapshots(database) == [("topic", "fine")]
