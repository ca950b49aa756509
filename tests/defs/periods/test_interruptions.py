"""Runs that fail, are killed, come at once or meet a busy application lose and double nothing."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods import cutting
from temporal_pipeline.defs.periods.checks import due_contents_are_linked
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import PROJECT_ROOT
from tests.crosshot_rows import add_content, add_topic, add_user, at, mark_prepared
from tests.defs.periods.world import (
    cut,
    periods_of,
    refuse_periods_of,
    rows,
)


def test_an_entity_that_fails_is_named_and_the_others_commit(database: Database) -> None:
    with database.transaction() as c:
        bad, good = add_topic(c, name="bad"), add_topic(c, name="good")
        add_content(c, topic=bad, crawled_at=at(1))
        add_content(c, topic=good, crawled_at=at(1))
        refuse_periods_of(c, bad)
    report = cut(database)
    [(entity, reason)] = report.failed
    assert entity.name == "bad"
    assert "no period for you" in reason
    assert [row.name for row in report.periods] == ["good"]
    assert rows(database, "SELECT reason FROM temporal_pipeline.problem WHERE entity_id = :id", id=bad)
    with database.transaction() as c:
        c.execute(text("DROP TRIGGER refuse ON analysis_periods"))
        add_content(c, topic=bad, crawled_at=at(2))
    report = cut(database)
    assert report.failed == []
    assert [p.content_count for p in periods_of(database, bad)] == [2]
    assert rows(database, "SELECT FROM temporal_pipeline.problem") == []


# What an undisturbed run of the test below writes, transaction by transaction.
WRITES = 9


@pytest.mark.parametrize("killed_after", range(WRITES + 1))
def test_a_run_that_is_killed_anywhere_is_completed_by_the_next_one(
    database: Database, killed_after: int
) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        for hour in range(6):
            add_content(c, topic=topic, user=user if hour % 2 else None, crawled_at=at(hour))
        mark_prepared(c)
    dying = _DyingDatabase(database.url, killed_after)
    if killed_after == WRITES:
        cutting.perform_cut(dying, "undisturbed", batch_size=2)
    else:
        with pytest.raises(_Killed):
            cutting.perform_cut(dying, "killed", batch_size=2)
    dying.dispose()
    cutting.perform_cut(database, "next", batch_size=2)
    assert [(p.period_number, p.content_count) for p in periods_of(database, topic)] == [(0, 6)]
    assert [(p.period_number, p.content_count) for p in periods_of(database, user)] == [(0, 3)]
    assert rows(database, "SELECT FROM analysis_periods WHERE status <> 'active'") == []


def test_two_runs_at_once_give_what_one_gives(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        for hour in range(50):
            add_content(c, topic=topic, crawled_at=at(hour))
        mark_prepared(c)
    others = [Database(database.url) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(cutting.perform_cut, o, str(i), batch_size=7) for i, o in enumerate(others)]
        linked = sorted(run.result().linked for run in runs)
    for other in others:
        other.dispose()
    assert linked == [0, 50]
    assert [p.content_count for p in periods_of(database, topic)] == [50]


def test_a_second_run_that_waited_long_enough_is_refused_and_told_by_whom(database: Database) -> None:
    other = Database(database.url)
    with (
        database.exclusive("periods"),
        pytest.raises(PipelineError, match="already works on periods") as refusal,
        other.exclusive("periods", wait_seconds=0.2),
    ):
        pass
    other.dispose()
    assert refusal.value.exit_code == 5


def test_rows_that_the_application_holds_are_linked_by_the_next_cut(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        held = add_content(c, topic=topic, crawled_at=at(1))
        add_content(c, topic=topic, crawled_at=at(2))
        mark_prepared(c)
    with database.engine.connect() as application:
        application.execute(text("UPDATE contents SET lang = 'de' WHERE id = :id"), {"id": held})
        assert cutting.perform_cut(database, "first").linked == 1
        application.rollback()
    # Free again before it is asked, it is still no fault of the cut's.
    result = due_contents_are_linked(database, "first")
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert cutting.perform_cut(database, "second").linked == 1
    assert len(periods_of(database, topic)) == 2
    assert due_contents_are_linked(database, "second").passed


def test_a_row_that_the_application_holds_fails_its_entity_alone(database: Database) -> None:
    with database.transaction() as c:
        held, free = add_topic(c, name="held"), add_topic(c, name="free")
        add_content(c, topic=held, crawled_at=at(1))
        add_content(c, topic=free, crawled_at=at(1))
    with database.engine.connect() as application:
        application.execute(text("UPDATE topics SET position = 1 WHERE id = :id"), {"id": held})
        report = cut(database, max_wait=0)
        application.rollback()
    [(entity, reason)] = report.failed
    assert entity.name == "held"
    assert "held the rows for too long: pid" in reason
    assert [row.name for row in report.periods] == ["free"]


def test_a_table_that_the_application_locks_ends_the_run_and_is_nobodys_fault(database: Database) -> None:
    with database.transaction() as c:
        for name in ("one", "two"):
            add_content(c, topic=add_topic(c, name=name), crawled_at=at(1))
    with database.engine.connect() as application:
        application.execute(text("LOCK TABLE tasks IN EXCLUSIVE MODE"))
        with pytest.raises(PipelineError, match="held the table tasks for too long: pid") as refused:
            cut(database, max_wait=0)
        application.rollback()
    assert refused.value.exit_code == 5
    assert rows(database, "SELECT FROM temporal_pipeline.problem") == []
    assert len(cut(database).periods) == 2


def test_an_entity_that_goes_on_failing_is_told_once_and_with_its_first_reason(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c, name="good"), add_user(c, name="bad")
        refuse_periods_of(c, user)
    for hour in range(3):
        with database.transaction() as c:
            add_content(c, topic=topic, user=user, crawled_at=at(hour))
        report = cut(database)
        [(entity, reason)] = report.failed
        assert entity.name == "bad"
        assert "no period for you" in reason
        assert len(report.periods) == 1
    [problem] = rows(database, "SELECT reason FROM temporal_pipeline.problem")
    assert "no period for you" in problem.reason
    assert len(rows(database, "SELECT FROM temporal_pipeline.cut WHERE finished_at IS NULL")) == 3
    with database.transaction() as c:
        c.execute(text("DROP TRIGGER refuse ON analysis_periods"))
    assert len(cut(database).periods) == 3
    assert rows(database, "SELECT FROM temporal_pipeline.problem") == []
    assert rows(database, "SELECT FROM temporal_pipeline.cut WHERE finished_at IS NULL") == []


def test_a_run_reports_what_it_closed_and_not_what_an_earlier_one_did(database: Database) -> None:
    with database.transaction() as c:
        good, bad = add_topic(c, name="good"), add_topic(c, name="bad")
        add_content(c, topic=good, crawled_at=at(1))
        add_content(c, topic=bad, crawled_at=at(1))
        refuse_periods_of(c, bad)
    assert [row.name for row in cut(database).periods] == ["good"]
    with database.transaction() as c:
        c.execute(text("DROP TRIGGER refuse ON analysis_periods"))
    assert [row.name for row in cut(database).periods] == ["bad"]


def test_a_process_that_is_killed_leaves_nothing_half_done(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        for hour in range(60):
            add_content(c, topic=topic, crawled_at=at(hour))
        mark_prepared(c)
    program = (
        "from temporal_pipeline.database import Database\n"
        "from temporal_pipeline.defs.periods.cutting import perform_cut\n"
        f"perform_cut(Database({database.url!r}), 'killed', batch_size=1)"
    )
    linked = "SELECT count(analysis_period_id) AS n FROM contents"
    with subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT_ROOT) as process:
        while process.poll() is None and rows(database, linked)[0].n < 5:
            pass
        process.kill()
    assert rows(database, linked)[0].n >= 5
    cutting.perform_cut(database, "next")
    assert [(p.period_number, p.content_count) for p in periods_of(database, topic)] == [(0, 60)]
    assert rows(database, "SELECT FROM temporal_pipeline.cut WHERE finished_at IS NULL") == []


class _Killed(BaseException):
    """The end of a process, which no handler of exceptions sees."""


class _DyingDatabase(Database):
    """A database whose process ends right after its n-th write transaction."""

    def __init__(self, url: str, writes: int) -> None:
        super().__init__(url)
        self._writes_left = writes

    def write(self, work, **options):  # type: ignore[no-untyped-def]
        if self._writes_left == 0:
            raise _Killed
        self._writes_left -= 1
        return super().write(work, **options)
