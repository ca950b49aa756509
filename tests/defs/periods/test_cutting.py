"""Which contents are linked to which period, when, and what never happens."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods import cutting
from temporal_pipeline.defs.periods.checks import due_contents_are_linked
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import PROJECT_ROOT
from tests.crosshot_rows import add_content, add_task, add_topic, add_user, at, mark_prepared
from tests.defs.periods.world import application_period, cut, digest, members, periods_of, pointer, rows

MICROSECOND = timedelta(microseconds=1)


def test_a_content_belongs_to_its_owners_and_points_to_the_primary_one(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        of_topic = add_content(c, topic=topic, crawled_at=at(1))
        of_user = add_content(c, user=user, crawled_at=at(2))
        of_both = add_content(c, topic=topic, user=user, crawled_at=at(3))
        of_none = add_content(c, crawled_at=at(4))
    report = cut(database)
    [of_the_topic], [of_the_user] = periods_of(database, topic), periods_of(database, user)
    assert pointer(database, of_topic) == pointer(database, of_both) == of_the_topic.id
    assert pointer(database, of_user) == of_the_user.id
    assert pointer(database, of_none) is None
    assert members(database, of_the_topic.id) == {of_topic, of_both}
    assert members(database, of_the_user.id) == {of_user, of_both}
    assert (of_the_topic.content_count, of_the_user.content_count) == (2, 2)
    assert (report.linked, report.unowned) == (3, 1)


def test_period_zero_contains_its_contents_and_ends_with_the_last_crawl(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c, last_crawl_at=at(5))
        add_content(c, topic=topic, crawled_at=at(1))
        add_content(c, topic=topic, crawled_at=at(3))
    cut(database)
    [period] = periods_of(database, topic)
    assert (period.period_start, period.period_end) == (at(1), at(5))


@pytest.mark.parametrize("last_crawl_at", [at(-9), None, datetime(2100, 1, 1, tzinfo=UTC)])
def test_period_zero_is_never_empty_or_inverted(database: Database, last_crawl_at: datetime | None) -> None:
    with database.transaction() as c:
        topic = add_topic(c, last_crawl_at=last_crawl_at)
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    [period] = periods_of(database, topic)
    assert (period.period_start, period.period_end) == (at(1), at(1) + MICROSECOND)


def test_the_last_crawl_of_an_owner_that_was_only_drawn_in_does_not_count(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c, last_crawl_at=at(9))
        add_content(c, topic=topic, user=user, crawled_at=at(1))
    cut(database)
    [period] = periods_of(database, user)
    assert period.period_end == at(1) + MICROSECOND


def test_periods_follow_each_other_without_a_gap_and_never_reach_beyond_the_data(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(7))
    cut(database)
    zero, one = periods_of(database, topic)
    assert (zero.period_number, one.period_number) == (0, 1)
    assert one.period_start == zero.period_end
    assert one.period_end == at(7) + MICROSECOND


def test_all_periods_of_a_cut_have_its_instant(database: Database) -> None:
    with database.transaction() as c:
        for name in ("a", "b", "c"):
            add_content(c, topic=add_topic(c, name=name), crawled_at=at(1))
    cut(database)
    [row] = rows(
        database,
        "SELECT count(DISTINCT analyzed_at) AS instants, bool_and(p.analyzed_at = c.instant) AS is_cut "
        "FROM analysis_periods p, temporal_pipeline.cut c",
    )
    assert (row.instants, row.is_cut) == (1, True)


def test_a_late_arrival_goes_to_the_next_period(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(10))
    cut(database)
    with database.transaction() as c:
        late = add_content(c, topic=topic, crawled_at=at(2))
    cut(database)
    zero, one = periods_of(database, topic)
    assert pointer(database, late) == one.id
    assert one.period_start == zero.period_end
    assert one.period_end == one.period_start + MICROSECOND
    assert one.metrics["contents_per_hour"] is None
    [topic_row] = rows(database, "SELECT avg_period_duration_hours FROM topics")
    assert topic_row.avg_period_duration_hours is None


def test_a_content_from_the_future_waits_and_is_counted(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        future = add_content(c, topic=topic, crawled_at=datetime(2100, 1, 1, tzinfo=UTC))
    report = cut(database)
    assert pointer(database, future) is None
    assert report.future == 1


def test_an_entity_whose_crawl_is_running_waits_while_others_go_on(database: Database) -> None:
    now = datetime.now(UTC)
    with database.transaction() as c:
        busy, calm = add_topic(c, name="busy"), add_topic(c, name="calm")
        add_task(c, topic=busy, started_at=now, status="running", completed_at=None)
        waiting = add_content(c, topic=busy, crawled_at=now - timedelta(minutes=1))
        add_content(c, topic=calm, crawled_at=at(1))
    report = cut(database)
    assert periods_of(database, busy) == []
    assert pointer(database, waiting) is None
    assert [row.name for row in report.periods] == ["calm"]
    assert [(row.name, row.reason) for row in report.waiting] == [("busy", "its crawl is running")]


def test_a_crawl_that_runs_for_longer_than_its_interval_is_not_waited_for(database: Database) -> None:
    now = datetime.now(UTC)
    with database.transaction() as c:
        topic = add_topic(c)
        add_task(c, topic=topic, started_at=now, status="running", completed_at=None)
        add_content(c, topic=topic, crawled_at=at(1), discovered_at=now - timedelta(hours=7))
    cut(database)
    assert len(periods_of(database, topic)) == 1


def test_the_sensor_waits_half_an_interval_and_a_run_by_hand_does_not(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(0))
    cut(database, automatic=True)
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(2))
    report = cut(database, automatic=True)
    assert [row.reason for row in report.waiting] == ["too little time since its last period"]
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(4))
    assert len(cut(database, automatic=True).periods) == 1
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(4.5))
    assert len(cut(database, automatic=False).periods) == 1


def test_late_arrivals_alone_wait_for_company_up_to_an_interval(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(10))
    cut(database)
    with database.transaction() as c:
        late = add_content(c, topic=topic, crawled_at=at(2))
    assert cut(database, automatic=True).periods == []
    with database.transaction() as c:
        c.execute(
            text("UPDATE contents SET discovered_at = now() - interval '7 hours' WHERE id = :id"),
            {"id": late},
        )
    assert len(cut(database, automatic=True).periods) == 1


def test_an_unprepared_content_waits_for_its_preparation(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
        unprepared = add_content(c, topic=topic, crawled_at=at(2))
    cutting.perform_cut(database, "run")
    assert len(periods_of(database, topic)) == 1
    assert pointer(database, unprepared) is None


def test_a_period_of_the_application_takes_what_was_crawled_inside_it_and_is_never_rewritten(
    database: Database,
) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        theirs = application_period(c, topic, number=0, start=at(0), end=at(5))
        inside = add_content(c, topic=topic, crawled_at=at(1))
        outside = add_content(c, topic=topic, crawled_at=at(6))
    before = periods_of(database, topic)
    cut(database)
    after = periods_of(database, topic)
    assert after[0] == before[0]
    assert pointer(database, inside) == theirs
    assert pointer(database, outside) == after[1].id
    assert (after[1].period_number, after[1].period_start) == (1, at(5))


def test_a_period_that_the_application_closes_meanwhile_wins(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        inside = add_content(c, topic=topic, crawled_at=at(1))
        outside = add_content(c, topic=topic, crawled_at=at(6))
        mark_prepared(c)
        begun = cutting._begin(c, "run", None, None, False)
    assert begun is not None
    cutting._link(database, begun, 100)
    with database.transaction() as c:
        theirs = application_period(c, topic, number=0, start=at(0), end=at(5))
    report = cutting.perform_cut(database, "another run")
    assert report.failed == []
    assert pointer(database, inside) == theirs
    zero, one = periods_of(database, topic)
    assert zero.id == theirs
    assert (pointer(database, outside), one.period_number, one.period_start) == (one.id, 1, at(5))


def test_a_draft_that_the_application_emptied_is_gone(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        content = add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
        begun = cutting._begin(c, "run", None, None, False)
    assert begun is not None
    cutting._link(database, begun, 100)
    with database.transaction() as c:
        theirs = application_period(c, topic, number=0, start=at(0), end=at(5))
    cutting.perform_cut(database, "run")
    assert pointer(database, content) == theirs
    assert rows(database, "SELECT FROM analysis_periods WHERE status = 'draft'") == []
    assert rows(database, "SELECT FROM temporal_pipeline.cut WHERE finished_at IS NULL") == []


def test_the_contents_of_an_entity_that_vanishes_go_to_their_other_owner(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        shared = add_content(c, topic=topic, user=user, crawled_at=at(1))
        mark_prepared(c)
        begun = cutting._begin(c, "run", None, None, False)
    assert begun is not None
    cutting._link(database, begun, 100)
    with database.transaction() as c:
        c.execute(text("DELETE FROM topics WHERE id = :topic"), {"topic": topic})
    cutting.perform_cut(database, "run")
    cut(database)
    assert periods_of(database, topic) == []
    [period] = [p for p in periods_of(database, user) if p.id == pointer(database, shared)]
    assert period.status == "active"


def test_an_entity_that_fails_is_named_and_the_others_commit(database: Database) -> None:
    with database.transaction() as c:
        bad, good = add_topic(c, name="bad"), add_topic(c, name="good")
        add_content(c, topic=bad, crawled_at=at(1))
        add_content(c, topic=good, crawled_at=at(1))
        _refuse_periods_of(c, bad)
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


def test_a_run_with_nothing_new_writes_nothing(database: Database) -> None:
    with database.transaction() as c:
        add_content(c, topic=add_topic(c), crawled_at=at(1))
    cut(database)
    before = digest(database)
    report = cut(database)
    assert digest(database) == before
    assert (report.linked, list(report.periods)) == (0, [])


def test_a_run_makes_one_cut_and_reports_it_again(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
    first = cutting.perform_cut(database, "run")
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(2))
        mark_prepared(c)
    second = cutting.perform_cut(database, "run")
    assert list(second.periods) == list(first.periods)
    assert second.linked == 0


# What an undisturbed run of the test below writes, transaction by transaction.
WRITES = 10


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


def test_a_frozen_period_of_the_application_takes_nothing_more(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        theirs = application_period(c, topic, number=0, start=at(0), end=at(5))
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    freeze_periods(database, "run")
    with database.transaction() as c:
        late = add_content(c, topic=topic, crawled_at=at(2))
    cut(database)
    freeze_periods(database, "run")
    _, ours = periods_of(database, topic)
    assert pointer(database, late) == ours.id != theirs
    assert members(database, ours.id) == {late}


def test_what_a_period_of_the_application_takes_is_in_the_users_period_too(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        theirs = application_period(c, topic, number=0, start=at(0), end=at(5))
        shared = add_content(c, topic=topic, user=user, crawled_at=at(1))
    cut(database)
    [of_the_user] = periods_of(database, user)
    assert pointer(database, shared) == theirs
    assert (members(database, of_the_user.id), of_the_user.content_count) == ({shared}, 1)


def test_a_shared_content_is_not_counted_twice_when_its_topic_goes_away_before_it_is_closed(
    database: Database,
) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        shared = add_content(c, topic=topic, user=user, crawled_at=at(1))
        _refuse_periods_of(c, topic)
    cut(database)
    freeze_periods(database, "run")
    with database.transaction() as c:
        c.execute(text("DROP TRIGGER refuse ON analysis_periods"))
        c.execute(text("DELETE FROM topics"))
    cut(database)
    cut(database)
    freeze_periods(database, "run")
    [period] = periods_of(database, user)
    assert pointer(database, shared) == period.id
    assert members(database, period.id) == {shared}
    assert rows(database, "SELECT FROM temporal_pipeline.problem") == []


@pytest.mark.parametrize("column", ["discovered_at", "crawled_at"])
@pytest.mark.parametrize("never", ["infinity", "-infinity"])
def test_a_time_without_end_stops_nobody(database: Database, column: str, never: str) -> None:
    with database.transaction() as c:
        topic, other = add_topic(c, name="odd"), add_topic(c, name="even")
        odd = add_content(c, topic=topic, crawled_at=at(1))
        add_content(c, topic=other, crawled_at=at(1))
        c.execute(text(f"UPDATE contents SET {column} = '{never}' WHERE id = :id"), {"id": odd})
    report = cut(database, automatic=True)
    assert len(periods_of(database, other)) == 1
    assert (pointer(database, odd) is None) == (column == "crawled_at")
    assert report.future == (column == "crawled_at")


def test_a_run_reports_what_it_closed_and_not_what_an_earlier_one_did(database: Database) -> None:
    with database.transaction() as c:
        good, bad = add_topic(c, name="good"), add_topic(c, name="bad")
        add_content(c, topic=good, crawled_at=at(1))
        add_content(c, topic=bad, crawled_at=at(1))
        _refuse_periods_of(c, bad)
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

    def write(self, work):  # type: ignore[no-untyped-def]
        if self._writes_left == 0:
            raise _Killed
        self._writes_left -= 1
        return super().write(work)


def _refuse_periods_of(connection, topic) -> None:  # type: ignore[no-untyped-def]
    connection.execute(
        text(f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.entity_id = '{topic}' AND NEW.status = 'active' THEN
                    RAISE EXCEPTION 'no period for you';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE UPDATE ON analysis_periods FOR EACH ROW EXECUTE FUNCTION refuse();
        """)
    )
