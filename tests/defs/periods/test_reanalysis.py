"""Analysing a period again destroys nothing, and the chain of successors neither breaks nor cycles."""

import uuid

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.reanalysis import reanalyse
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from temporal_pipeline.errors import PipelineError
from tests.crosshot_rows import add_content, add_topic, add_user, at
from tests.defs.periods.world import application_period, cut, digest, members, periods_of, pointer, rows


@pytest.fixture
def topic(database: Database) -> uuid.UUID:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        add_content(c, topic=topic, crawled_at=at(1), text="first")
        add_content(c, topic=topic, user=user, crawled_at=at(2), text="second")
    cut(database)
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(8))
    cut(database)
    freeze_periods(database, "run")
    return topic


def test_the_successor_takes_the_place_and_the_old_period_stays_readable(
    database: Database, topic: uuid.UUID
) -> None:
    old, following = periods_of(database, topic)
    contents = members(database, old.id)
    with database.transaction() as c:
        c.execute(text("UPDATE contents SET text = 'edited', metrics = '{\"like_count\": 50}'"))
    new_id = reanalyse(database, old.id, "better figures", "reanalysis")
    [superseded] = [p for p in periods_of(database, topic) if p.id == old.id]
    [new] = [p for p in periods_of(database, topic) if p.id == new_id]
    assert (superseded.status, superseded.superseded_by) == ("superseded", new.id)
    assert superseded.supersession_reason == "better figures"
    assert superseded.metrics == old.metrics
    assert (new.status, new.period_number) == ("active", old.period_number)
    assert (new.period_start, new.period_end) == (old.period_start, old.period_end)
    assert new.metrics["total_likes"] == 100
    assert members(database, new.id) == members(database, old.id) == contents
    assert {pointer(database, content) for content in contents} == {new.id}
    texts = "SELECT DISTINCT text_snapshot FROM period_content_snapshots WHERE period_id = :id ORDER BY 1"
    assert [r.text_snapshot for r in rows(database, texts, id=old.id)] == ["first", "second"]
    assert [r.text_snapshot for r in rows(database, texts, id=new.id)] == ["edited"]
    [after] = [p for p in periods_of(database, topic) if p.id == following.id]
    assert after.metrics_delta["total_likes"] == 1 - 100
    [counters] = rows(database, "SELECT total_periods, last_period_id FROM topics")
    assert counters == (2, following.id)


def test_a_users_period_keeps_what_it_shares_with_a_topic(database: Database, topic: uuid.UUID) -> None:
    [old] = rows(database, "SELECT * FROM analysis_periods WHERE entity_type = 'user'")
    shared = members(database, old.id)
    new_id = reanalyse(database, old.id, "again", "reanalysis")
    assert members(database, new_id) == shared
    assert len(shared) == 1
    [new] = rows(database, "SELECT content_count FROM analysis_periods WHERE id = :id", id=new_id)
    assert new.content_count == 1


def test_what_the_application_said_stays_what_it_said_then(database: Database) -> None:
    said = {"metrics": {"total_contents": 1}, "knowledge": "K1"}
    with database.transaction() as c:
        topic = add_topic(c, last_summary="January.", summary_data=said)
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    freeze_periods(database, "run")
    [old] = periods_of(database, topic)
    with database.transaction() as c:
        c.execute(
            text(
                "UPDATE topics SET last_summary = 'March.', "
                'summary_data = \'{"metrics": {"total_contents": 99}, "knowledge": "K3"}\''
            )
        )
    reanalyse(database, old.id, "again", "reanalysis")
    _, new = periods_of(database, topic)
    assert (new.summary, new.knowledge_doc) == ("January.", "K1")
    assert new.metrics["reported"] == {"total_contents": 1}
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(9))
    cut(database)
    assert periods_of(database, topic)[-1].summary == "March."


def test_one_run_may_analyse_several_periods_again(database: Database, topic: uuid.UUID) -> None:
    for period in periods_of(database, topic):
        reanalyse(database, period.id, "again", "the same run")
    assert [p.status for p in periods_of(database, topic)].count("active") == 2


def test_tasks_are_measured_anew(database: Database, topic: uuid.UUID) -> None:
    first, _ = periods_of(database, topic)
    with database.transaction() as c:
        c.execute(
            text(
                "WITH row AS (INSERT INTO crawl_effectiveness (period_id, entity_type, entity_id, platform, query) "
                "VALUES (:period, 'topic', :topic, 'x', 'agents') RETURNING id) "
                "UPDATE tasks SET effectiveness_id = row.id FROM row WHERE period_id = :period"
            ),
            {"period": first.id, "topic": topic},
        )
    new_id = reanalyse(database, first.id, "again", "reanalysis")
    tasks = rows(database, "SELECT effectiveness_id FROM tasks WHERE period_id = :id", id=new_id)
    assert tasks
    assert all(task.effectiveness_id is None for task in tasks)


def test_a_chain_never_branches(database: Database, topic: uuid.UUID) -> None:
    first, _ = periods_of(database, topic)
    second = reanalyse(database, first.id, "once", "a")
    third = reanalyse(database, second, "twice", "b")
    before = digest(database)
    with pytest.raises(PipelineError, match="superseded") as error:
        reanalyse(database, first.id, "again", "c")
    assert str(second) in error.value.hint
    assert digest(database) == before
    successors = {p.id: p.superseded_by for p in periods_of(database, topic)}
    assert (successors[first.id], successors[second], successors[third]) == (second, third, None)


def test_a_period_that_was_not_frozen_is_refused(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    [period] = periods_of(database, topic)
    with pytest.raises(PipelineError, match="not frozen yet"):
        reanalyse(database, period.id, "too early", "run")


def test_an_unknown_period_is_refused(database: Database) -> None:
    with pytest.raises(PipelineError, match="there is no period"):
        reanalyse(database, uuid.uuid4(), "why not", "run")


@pytest.mark.parametrize("reason", ["nul \x00", "half a \ud800", ""])
def test_a_reason_that_cannot_be_kept_is_refused(database: Database, topic: uuid.UUID, reason: str) -> None:
    before = periods_of(database, topic)
    with pytest.raises(PipelineError) as error:
        reanalyse(database, before[0].id, reason, "run")
    assert error.value.exit_code == 2
    assert periods_of(database, topic) == before


def test_the_next_cut_goes_on_behind_a_reanalysed_period(database: Database, topic: uuid.UUID) -> None:
    _, last = periods_of(database, topic)
    new_id = reanalyse(database, last.id, "again", "reanalysis")
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(14))
    cut(database)
    by_number = {p.period_number: p for p in periods_of(database, topic) if p.status == "active"}
    assert by_number[1].id == new_id
    assert by_number[2].period_start == by_number[1].period_end


def test_a_period_that_the_application_made(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        old = application_period(c, topic, number=0, start=at(0), end=at(5))
        for hour in range(2):
            content = add_content(c, topic=topic, crawled_at=at(hour))
            c.execute(
                text("UPDATE contents SET analysis_period_id = :period WHERE id = :id"),
                {"period": old, "id": content},
            )
        c.execute(text("UPDATE analysis_periods SET metrics = '[]', insights = '[1]'"))
    freeze_periods(database, "run")
    [before] = periods_of(database, topic)
    new = reanalyse(database, old, "it was miscounted", "reanalysis")
    superseded, successor = sorted(periods_of(database, topic), key=lambda p: p.status, reverse=True)
    assert (superseded.content_count, superseded.metrics) == (before.content_count, before.metrics) == (0, [])
    assert (successor.id, successor.content_count, successor.period_number) == (new, 2, 0)
    # What it said is its own.
    assert (successor.summary, successor.insights) == ("by the application", [1])
    assert members(database, new) == members(database, old)
    assert len(members(database, new)) == 2


def test_one_that_was_stopped_is_not_made_twice(database: Database, topic: uuid.UUID) -> None:
    first, _ = periods_of(database, topic)
    second = reanalyse(database, first.id, "again", "a")
    # Nothing was derived of it yet.
    assert reanalyse(database, second, "again", "b") == second
    assert reanalyse(database, second, "for another reason", "c") != second


def test_recorded_time_is_that_of_the_database(database: Database, topic: uuid.UUID) -> None:
    old = periods_of(database, topic)[0].id
    new = reanalyse(database, old, "again", "reanalysis")
    [recorded] = rows(
        database,
        "SELECT old.ended_at = new.recorded_at AS is_one_moment, "
        "new.recorded_at BETWEEN p.analyzed_at AND now() AS is_past, "
        "new.recorded_at >= all(SELECT created_at FROM period_content_snapshots WHERE period_id = p.id) AS is_last "
        "FROM temporal_pipeline.recorded_period new JOIN temporal_pipeline.recorded_period old ON old.id = :old "
        "JOIN analysis_periods p ON p.id = new.id WHERE new.id = :new",
        old=old,
        new=new,
    )
    assert tuple(recorded) == (True, True, True)
