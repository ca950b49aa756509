"""Preparing contents in a database that the application goes on using."""

import math
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Row, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents import prepare
from temporal_pipeline.defs.contents.dates import NO_DATE, TOO_EARLY, UNREADABLE
from temporal_pipeline.defs.contents.prepare import prepare_contents, queries, unprepared_contents
from temporal_pipeline.defs.contents.relevance.keywords import Keywords, Match
from temporal_pipeline.defs.contents.relevance.scoring import FITTED, METHOD, NO_OWNER, NO_TEXT
from temporal_pipeline.entities import find_entities
from temporal_pipeline.errors import PipelineError
from tests.crosshot_rows import add_content, add_topic, add_user, at
from tests.defs.periods.world import end_session_with_lock
from tests.operations.doctor.pooling_proxy import PoolingProxy

PUBLISHED = datetime(2026, 1, 4, 23, tzinfo=UTC)
# One keyword, in the words of all others, at a moment about like all others.
USUAL = pytest.approx(1 / (1 + math.exp(-FITTED.usual)), abs=0.01)


def content(database: Database, identity: uuid.UUID) -> Row[Any]:
    with database.transaction() as connection:
        return connection.execute(
            text(
                "SELECT c.published_at, c.discovered_at, c.crawled_at, c.relevance_score, p.note, p.scored, p.method "
                "FROM contents c "
                "LEFT JOIN temporal_pipeline.prepared_content p ON p.content_id = c.id WHERE c.id = :id"
            ),
            {"id": identity},
        ).one()


def test_times_and_relevance_are_written_with_their_mark(database: Database) -> None:
    with database.transaction() as connection:
        post = add_content(
            connection, topic=add_topic(connection), published_at=PUBLISHED, discovered_at=None
        )
    report = prepare_contents(database)
    row = content(database, post)
    assert (row.published_at, row.discovered_at, row.relevance_score) == (PUBLISHED, row.crawled_at, USUAL)
    assert (row.method, row.scored, row.note) == (METHOD, True, None)
    assert (report.rows_written, report.scored, report.dated, report.left) == (1, 1, 1, 0)
    assert report.tenths == {9: 1}


def test_a_second_run_writes_nothing(database: Database) -> None:
    with database.transaction() as connection:
        add_content(connection, topic=add_topic(connection), text=None)
        add_content(connection, user=add_user(connection))
    assert prepare_contents(database).rows_written == 2
    with database.transaction() as connection:
        before = connection.execute(queries["content_state"]).one()
    assert prepare_contents(database).rows_written == 0
    with database.transaction() as connection:
        assert connection.execute(queries["content_state"]).one() == before


def test_values_from_elsewhere_are_never_overwritten(database: Database) -> None:
    known = {"published_at": at(-5), "discovered_at": at(-4), "relevance_score": 0.123}
    with database.transaction() as connection:
        topic = add_topic(connection)
        posts = []
        for missing in known:
            posts.append(add_content(connection, topic=topic, published_at=PUBLISHED))
            values = known | {missing: None}
            connection.execute(
                text(
                    "UPDATE contents SET published_at = :published_at, discovered_at = :discovered_at, "
                    "relevance_score = :relevance_score WHERE id = :id"
                ),
                values | {"id": posts[-1]},
            )
    report = prepare_contents(database)
    expected = {"published_at": PUBLISHED, "discovered_at": at(0), "relevance_score": USUAL}
    for missing, post in zip(known, posts, strict=True):
        row = content(database, post)
        assert {key: getattr(row, key) for key in known} == known | {missing: expected[missing]}
        assert row.scored == (missing == "relevance_score")
    assert (report.rows_written, report.scored, report.scored_elsewhere, report.dated) == (3, 1, 2, 1)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ({}, NO_DATE),
        ({"created_at": "soon"}, UNREADABLE),
        ({"created_at": {"a": 1}}, UNREADABLE),
        ({"created_at": True}, UNREADABLE),
        ({"published_date": 0}, TOO_EARLY),
    ],
)
def test_a_missing_time_has_its_reason(database: Database, data: dict[str, Any], note: str) -> None:
    with database.transaction() as connection:
        post = add_content(connection, topic=add_topic(connection), data=data)
    prepare_contents(database)
    row = content(database, post)
    assert (row.published_at, row.note, row.relevance_score) == (None, note, USUAL)


@pytest.mark.parametrize(
    "data",
    [
        {"published_date": "2026-01-04T23:00:00Z"},
        {"created_at": None, "published_at": "2026-01-04 23:00:00"},
        {"created_at": 1767567600},
        {"created_at": "1767567600000"},
        {"created_at": "?", "pubDate": "Sun, 04 Jan 2026 23:00:00 GMT"},
    ],
)
def test_a_time_is_found_wherever_platforms_write_it(database: Database, data: dict[str, Any]) -> None:
    with database.transaction() as connection:
        post = add_content(connection, topic=add_topic(connection), data=data)
    prepare_contents(database)
    assert content(database, post).published_at == PUBLISHED


def test_contents_without_text_or_owner_have_no_score_but_a_reason(database: Database) -> None:
    with database.transaction() as connection:
        silent = add_content(connection, topic=add_topic(connection), text="", published_at=PUBLISHED)
        own = add_content(connection, user=add_user(connection), published_at=PUBLISHED)
        unowned = add_content(connection)
    report = prepare_contents(database)
    assert content(database, silent).note == NO_TEXT
    assert (content(database, own).note, content(database, own).relevance_score) == (None, USUAL)
    assert content(database, unowned).note == f"{NO_DATE}; {NO_OWNER}"
    assert report.notes == {NO_TEXT: 1, NO_OWNER: 1, NO_DATE: 1}
    assert report.scored == 1


def test_one_row_that_cannot_be_read_does_not_stop_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    match = Keywords.match

    def fail_for_one(self: Keywords, folded: str) -> Match:
        if "poison" in folded:
            raise RecursionError
        return match(self, folded)

    monkeypatch.setattr(Keywords, "match", fail_for_one)
    with database.transaction() as connection:
        topic = add_topic(connection)
        bad = add_content(connection, topic=topic, text="poison", published_at=PUBLISHED)
        good = add_content(connection, topic=topic)
    prepare_contents(database)
    row = content(database, bad)
    assert (row.published_at, row.note, row.scored) == (
        PUBLISHED,
        "could not be read (RecursionError)",
        False,
    )
    assert content(database, good).relevance_score == USUAL


def test_rows_that_python_cannot_represent_are_prepared(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection, keywords=[])
        timeless = add_content(connection, topic=topic, text="x" * 1_000_000)
        huge = add_content(connection, topic=topic)
        ordinary = add_content(connection, topic=topic, data={"created_at": "2026-01-04T23:00:00Z"})
        connection.execute(
            text(
                "UPDATE contents SET crawled_at = 'infinity', discovered_at = NULL, "
                "hashtags = '{{a,b},{c,NULL}}', data = '[1, 2]' WHERE id = :id"
            ),
            {"id": timeless},
        )
        connection.execute(
            text(
                "UPDATE contents SET data = jsonb_build_object('created_at', repeat('9', 5000)::numeric) "
                "WHERE id = :id"
            ),
            {"id": huge},
        )
    assert prepare_contents(database).rows_written == 3
    assert content(database, ordinary).published_at == PUBLISHED
    assert content(database, huge).published_at is None
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM contents WHERE discovered_at = 'infinity'")) == 1


def test_entities_are_primary_owners_and_since_is_about_the_crawl(database: Database) -> None:
    with database.transaction() as connection:
        topic, user = add_topic(connection), add_user(connection)
        both = add_content(connection, topic=topic, user=user, crawled_at=at(5))
        own = add_content(connection, user=user, crawled_at=at(5))
        early = add_content(connection, user=user, crawled_at=at(1))
        unowned = add_content(connection, crawled_at=at(5))
        ada = find_entities(connection, ["ada"])
    prepare_contents(database, entities=ada, since=at(2))
    assert [content(database, c).method for c in (both, own, early, unowned)] == [None, METHOD, None, None]


def test_what_the_application_has_locked_is_skipped_and_found_later(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        posts = [add_content(connection, topic=topic) for _ in range(5)]
    with database.transaction() as application:
        application.execute(text("UPDATE contents SET text = 'no' WHERE id = :id"), {"id": posts[2]})
        report = prepare_contents(database, batch_size=2)
        assert (report.rows_written, report.left) == (4, 1)
    assert prepare_contents(database).rows_written == 1
    assert content(database, posts[2]).relevance_score == pytest.approx(0.5, abs=0.01)


def test_a_run_that_dies_is_continued(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for _ in range(10):
            add_content(connection, topic=topic)
    write = Database.write
    calls = iter([False, False, True])

    def die_in_the_third_batch(self: Database, work: Any, **options: Any) -> Any:
        if next(calls):
            raise KeyboardInterrupt
        return write(self, work, **options)

    with monkeypatch.context() as dying:
        dying.setattr(Database, "write", die_in_the_third_batch)
        with pytest.raises(KeyboardInterrupt):
            prepare_contents(database, batch_size=3)
    assert prepare_contents(database).rows_written == 4


def test_the_preview_counts_what_a_run_would_prepare(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_content(connection, topic=topic)
        add_content(connection, topic=topic, relevance_score=0.5)
    with database.transaction(read_only=True) as connection:
        (row,) = unprepared_contents(connection)
    assert tuple(row) == (topic, 2, 1, 2)


def test_the_work_is_found_through_its_index(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(
            text(f"EXPLAIN {queries['unprepared_page']}"),
            {
                "after": uuid.UUID(int=0),
                "everybody": True,
                "entity_ids": [],
                "since": None,
                "batch_size": 100,
            },
        )
        assert "idx_contents_unprepared" in "\n".join(plan.scalars())


def test_a_run_that_loses_its_lock_stops_before_it_writes_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as connection:
        for _ in range(4):
            add_content(connection, topic=add_topic(connection))
    write = prepare._write

    def lose_it_after_the_first(connection: Connection, answers: Sequence[Any]) -> Any:
        end_session_with_lock(database)
        return write(connection, answers)

    monkeypatch.setattr(prepare, "_write", lose_it_after_the_first)
    with pytest.raises(PipelineError, match="ended the session that held the lock on contents") as lost:
        prepare_contents(database, batch_size=2, workers=1)
    assert lost.value.exit_code == 5
    monkeypatch.undo()
    assert prepare_contents(database).rows_written == 2


def test_a_pooler_that_shares_sessions_is_refused(database: Database) -> None:
    with (
        PoolingProxy(database) as proxy,
        pytest.raises(PipelineError, match="a pooler in transaction or statement mode") as refused,
    ):
        prepare_contents(proxy.database)
    assert refused.value.exit_code == 5


def test_an_answer_to_a_text_that_has_changed_meanwhile_is_not_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as connection:
        post = add_content(connection, topic=add_topic(connection), text="nothing of the kind")
    write, attempts = prepare._write, []

    def change_it_first(connection: Connection, answers: Sequence[prepare.Answer]) -> Any:
        if not attempts:
            with database.transaction() as application:
                application.execute(text("UPDATE contents SET text = 'about agents'"))
        attempts.append([answer.relevance for answer in answers])
        return write(connection, answers)

    monkeypatch.setattr(prepare, "_write", change_it_first)
    assert prepare_contents(database).rows_written == 1
    [[stale], [fresh]] = attempts
    assert stale < fresh
    assert content(database, post).relevance_score == fresh


@pytest.mark.parametrize("data", ["[1, {}]", '"created_at"', "5", "true", "null", "[]"])
def test_a_document_that_is_no_object_has_no_time(database: Database, data: str) -> None:
    with database.transaction() as connection:
        post = add_content(connection, topic=add_topic(connection))
        connection.execute(text("UPDATE contents SET data = CAST(:data AS jsonb)"), {"data": data})
    prepare_contents(database)
    assert content(database, post).note == NO_DATE
