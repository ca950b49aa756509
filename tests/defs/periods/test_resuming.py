"""A cut that another run left unfinished is finished as it was begun, and by one run at a time."""

import threading

import pytest
from sqlalchemy import text

from temporal_pipeline.bulk import Chunks
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods import cutting, linking
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.holding import hold
from tests.crosshot_rows import add_content, add_topic, add_user, at, mark_prepared
from tests.defs.periods.world import (
    cut,
    end_session_with_lock,
    members,
    periods_of,
    pointer,
    refuse_periods_of,
    rows,
)


def test_what_came_after_its_period_was_closed_is_the_next_cuts(database: Database) -> None:
    with database.transaction() as c:
        good, bad = add_topic(c, name="good"), add_topic(c, name="bad")
        add_content(c, topic=good, crawled_at=at(2))
        add_content(c, topic=bad, crawled_at=at(2))
        refuse_periods_of(c, bad)
    cut(database)
    with database.transaction() as c:
        late = add_content(c, topic=good, crawled_at=at(1))
        late_as_well = add_content(c, topic=bad, crawled_at=at(1))
        c.execute(text("DROP TRIGGER refuse ON analysis_periods"))
    cut(database)
    zero, one = periods_of(database, good)
    assert pointer(database, late) == one.id
    assert (zero.content_count, one.content_count) == (1, 1)
    # What is still open takes it.
    [zero] = periods_of(database, bad)
    assert pointer(database, late_as_well) == zero.id
    assert zero.content_count == 2


def test_a_shared_content_waits_where_the_period_of_its_other_owner_is_closed(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        add_content(c, topic=topic, crawled_at=at(2))
        add_content(c, user=user, crawled_at=at(2))
        refuse_periods_of(c, topic)
    cut(database)
    with database.transaction() as c:
        shared = add_content(c, topic=topic, user=user, crawled_at=at(1))
        c.execute(text("DROP TRIGGER refuse ON analysis_periods"))
    cut(database)
    [_, of_topic], [zero, of_user] = periods_of(database, topic), periods_of(database, user)
    assert members(database, of_topic.id) == members(database, of_user.id) == {shared}
    assert zero.content_count == 1


def test_two_who_make_a_draft_at_once_make_one(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
        begun = cutting._begin(c, "run", None, None, False)
    assert begun is not None
    with hold(database, "periods", 0) as held, database.engine.connect() as first:
        linker = linking.Linker(held, begun, Chunks("linking", most=1), has_application_periods=False)
        linking.make_drafts(first, begun, ["topic"], [topic])
        second = threading.Thread(target=linker._make_drafts, args=[["topic"], [topic]])
        second.start()
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
        with database.engine.connect() as watcher:
            while not watcher.execute(text(waiting)).rowcount:
                pass
        first.commit()
        second.join()
    assert len(rows(database, "SELECT FROM analysis_periods")) == 1
    known = rows(
        database,
        "SELECT FROM analysis_periods p JOIN temporal_pipeline.period_cut k ON k.period_id = p.id",
    )
    assert len(known) == 1


def test_a_run_that_loses_its_lock_stops_before_it_writes_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        for hour in range(6):
            add_content(c, topic=topic, crawled_at=at(hour))
        mark_prepared(c)
    link = linking.Linker._link

    def lose_it_after_the_first(self, connection, rows):  # type: ignore[no-untyped-def]
        linked, outcome = link(self, connection, rows)
        if linked:
            end_session_with_lock(database)
        return linked, outcome

    monkeypatch.setattr(linking.Linker, "_link", lose_it_after_the_first)
    with pytest.raises(PipelineError, match="ended the session that held the lock on periods") as lost:
        cutting.perform_cut(database, "run", batch_size=2, workers=1)
    assert lost.value.exit_code == 5
    assert rows(database, "SELECT count(analysis_period_id) AS n FROM contents")[0].n == 2
    monkeypatch.undo()
    cutting.perform_cut(database, "next")
    assert [p.content_count for p in periods_of(database, topic)] == [6]


def test_losing_the_lock_is_no_fault_of_the_entity_that_is_being_closed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as c:
        add_content(c, topic=add_topic(c), crawled_at=at(1))
        mark_prepared(c)
    close = cutting.close

    def lose_it_first(*arguments):  # type: ignore[no-untyped-def]
        end_session_with_lock(database)
        return close(*arguments)

    monkeypatch.setattr(cutting, "close", lose_it_first)
    with pytest.raises(PipelineError, match="held the lock on periods"):
        cutting.perform_cut(database, "run")
    assert rows(database, "SELECT FROM temporal_pipeline.problem") == []
