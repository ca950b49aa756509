"""The application beside us: its own periods win, and what it deletes takes nothing with it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods import closing, cutting
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from tests.crosshot_rows import add_content, add_topic, add_user, at, mark_prepared
from tests.defs.periods.world import (
    application_period,
    cut,
    link,
    members,
    periods_of,
    pointer,
    refuse_periods_of,
    rows,
    somebody_waits,
)


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
    link(database, begun)
    with database.transaction() as c:
        theirs = application_period(c, topic, number=0, start=at(0), end=at(5))
    report = cutting.perform_cut(database, "another run")
    assert report.failed == []
    assert pointer(database, inside) == theirs
    zero, one = periods_of(database, topic)
    assert zero.id == theirs
    assert (pointer(database, outside), one.period_number, one.period_start) == (one.id, 1, at(5))


def test_what_the_application_changes_while_it_is_moved_moves_too(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        inside = add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
        begun = cutting._begin(c, "run", None, None, False)
    assert begun is not None
    link(database, begun)
    other = Database(database.url)
    with ThreadPoolExecutor() as pool:
        with database.transaction() as c:
            theirs = application_period(c, topic, number=0, start=at(0), end=at(5))
        with database.transaction() as c:
            c.execute(text("UPDATE contents SET lang = 'de' WHERE id = :id"), {"id": inside})
            done = pool.submit(cutting.perform_cut, other, "another run")
            while not (done.done() or somebody_waits(database)):
                pass
        assert done.result().failed == []
    other.dispose()
    assert pointer(database, inside) == theirs
    assert [period.id for period in periods_of(database, topic)] == [theirs]


def test_a_draft_that_the_application_emptied_is_gone(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        content = add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
        begun = cutting._begin(c, "run", None, None, False)
    assert begun is not None
    link(database, begun)
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
    link(database, begun)
    with database.transaction() as c:
        c.execute(text("DELETE FROM topics WHERE id = :topic"), {"topic": topic})
    cutting.perform_cut(database, "run")
    cut(database)
    assert periods_of(database, topic) == []
    [period] = [p for p in periods_of(database, user) if p.id == pointer(database, shared)]
    assert period.status == "active"


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
        refuse_periods_of(c, topic)
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


@pytest.fixture
def one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(closing.MOVED_AT_ONCE, "most", 1)


@pytest.mark.usefixtures("one_at_once")
def test_many_contents_move_to_a_period_of_the_application_in_several_transactions(
    database: Database,
) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        inside = [add_content(c, topic=topic, user=user, crawled_at=at(hour)) for hour in range(3)]
        outside = add_content(c, topic=topic, crawled_at=at(6))
        mark_prepared(c)
        begun = cutting._begin(c, "run", None, None, False)
    assert begun is not None
    link(database, begun)
    with database.transaction() as c:
        theirs = application_period(c, topic, number=0, start=at(0), end=at(5))
    assert cutting.perform_cut(database, "another run").failed == []
    assert {pointer(database, content) for content in inside} == {theirs}
    [of_the_user], [_, one] = periods_of(database, user), periods_of(database, topic)
    assert members(database, of_the_user.id) == set(inside)
    assert members(database, one.id) == {outside}


@pytest.mark.usefixtures("one_at_once")
def test_many_contents_of_a_topic_that_vanishes_leave_its_draft_in_several_transactions(
    database: Database,
) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        shared = [add_content(c, topic=topic, user=user, crawled_at=at(hour)) for hour in range(3)]
        own = [add_content(c, topic=topic, crawled_at=at(hour)) for hour in range(3)]
        mark_prepared(c)
        begun = cutting._begin(c, "run", None, None, False)
    assert begun is not None
    link(database, begun)
    with database.transaction() as c:
        c.execute(text("DELETE FROM topics"))
    cutting.perform_cut(database, "run")
    [period] = periods_of(database, user)
    assert members(database, period.id) == set(shared)
    assert {pointer(database, content) for content in own} == {None}
    assert rows(database, "SELECT FROM analysis_periods WHERE status = 'draft'") == []
