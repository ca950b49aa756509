"""What the benchmarks measure with: the synthetic application, its writer, and who may be in the way."""

import time

import psycopg
import pytest
from sqlalchemy import text

from benchmarks.live import Writer, autovacuum, control, copy_of, long_reader
from benchmarks.writing import Write, Writes
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from tests.benchmarks.conftest import ENTITIES, ROWS
from tests.migrations.tools import execute, rows


def test_contents_have_one_owner_two_or_none(application: Database) -> None:
    [counts] = rows(
        application,
        """
        SELECT count(*) AS contents, count(*) FILTER (WHERE topic_id IS NULL AND user_id IS NULL) AS nobodys,
               count(*) FILTER (WHERE topic_id IS NOT NULL AND user_id IS NOT NULL) AS shared,
               (SELECT count(*) FROM topics) AS topics, (SELECT count(*) FROM users) AS users
        FROM contents
        """,
    )
    assert (counts.contents, counts.topics, counts.users) == (ROWS, ENTITIES * 3 // 4, ENTITIES // 4)
    assert 0.005 < counts.nobodys / ROWS < 0.015
    assert 0.1 < counts.shared / ROWS < 0.2
    # Foreign keys do not see a content that points to another owner's task.
    assert not rows(
        application,
        "SELECT FROM contents c JOIN tasks t ON t.id = c.task_id WHERE (topic_id IS NOT NULL OR user_id IS NOT NULL)"
        " AND coalesce(t.payload ->> 'topic_id', t.payload ->> 'user_id') NOT IN (topic_id::text, user_id::text)",
    )


def test_a_copy_has_the_same_rows_and_indexes(application: Database) -> None:
    listing = (
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " UNION ALL SELECT count(*)::text FROM contents ORDER BY 1"
    )
    with copy_of(application) as copy:
        assert rows(copy, listing) == rows(application, listing)


def test_what_the_writer_says_is_what_is_in_the_database(application: Database) -> None:
    with copy_of(application) as copy:
        writes = control(copy.url, 2)
        found = {
            row.id
            for row in rows(copy, "SELECT id FROM contents WHERE author_username = 'author7' AND data = '{}'")
        }
        [updates] = rows(copy, "SELECT sum(total_contents) AS topics FROM topics")
    assert 300 <= writes.count <= 410
    assert writes.errors == {}
    assert set(writes.inserted) == found
    assert len(writes.inserted) == pytest.approx(writes.count / 2, abs=1)
    assert updates.topics == sum(write.kind == "update topic" for write in writes.all)
    assert 0 < writes.p99_ms <= writes.longest_ms


def test_a_stall_counts_for_all_that_had_to_wait(application: Database) -> None:
    with (
        copy_of(application) as copy,
        psycopg.connect(libpq_url(copy)) as blocking,
        Writer(copy.url) as writer,
    ):
        blocking.execute("LOCK TABLE contents IN ACCESS EXCLUSIVE MODE")
        time.sleep(1)
        blocking.rollback()
        time.sleep(0.2)
    # Of the 200 that were due in that second, four waited in the server, the others for a connection.
    assert 900 < writer.writes.longest_ms < 2000
    assert len(writer.writes.stalls(100)) > 100
    assert len([write for write in writer.writes.all if write.took_ms > 500]) <= 4
    assert writer.writes.failed == ()


def test_errors_are_counted_and_nothing_is_tried_again(application: Database) -> None:
    with copy_of(application) as copy:
        with Writer(copy.url) as writer:
            execute(copy, "ALTER TABLE contents ADD CONSTRAINT none CHECK (author_uid <> '7') NOT VALID")
            time.sleep(0.5)
        count = rows(copy, "SELECT count(*) AS contents FROM contents")[0].contents
    assert set(writer.writes.errors) == {"23514"}
    assert count == ROWS + len(writer.writes.inserted)


def test_a_writer_that_cannot_start_says_why(application: Database) -> None:
    with copy_of(application) as copy:
        execute(copy, "DROP TABLE content_media, contents")
        with pytest.raises(RuntimeError, match='relation "contents" does not exist'), Writer(copy.url):
            pass


def test_a_reader_holds_its_transaction_open(application: Database) -> None:
    with copy_of(application) as copy, long_reader(copy, seconds=5), copy.engine.connect() as connection:
        connection.execute(text("SET lock_timeout = '100ms'"))
        with pytest.raises(Exception, match="lock timeout"):
            connection.execute(text("ALTER TABLE contents ADD COLUMN one_more int"))


def test_autovacuum_is_at_work_and_comes_back(application: Database) -> None:
    with (
        copy_of(application) as copy,
        autovacuum(copy),
        psycopg.connect(libpq_url(copy), autocommit=True) as connection,
    ):
        first = _vacuum(connection, other_than=0)
        connection.execute("ALTER TABLE contents ADD COLUMN one_more int")
        assert _vacuum(connection, other_than=first) != first


def _vacuum(connection: "psycopg.Connection[tuple[int]]", other_than: int) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for (pid,) in connection.execute(
            "SELECT pid FROM pg_stat_progress_vacuum WHERE relid = 'contents'::regclass AND pid <> %s",
            [other_than],
        ):
            return pid
        time.sleep(0.05)
    raise AssertionError("no vacuum")


def test_latency_is_that_of_the_latest_and_of_one_in_a_hundred() -> None:
    writes = Writes(tuple(Write("update topic", due=n, late_ms=n, took_ms=1) for n in range(1, 201)))
    assert (writes.longest_ms, writes.p99_ms, writes.longest_statement_ms) == (200, 198, 1)
    assert [write.due for write in writes.between(150.16, 151).all] == [151]
    assert Writes(()).p99_ms == 0
