"""Connections, transactions and locks, and what a user is told when they cannot be had."""

import gc
import threading

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from temporal_pipeline.blockers import HeldUp
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.errors import PipelineError
from tests.crosshot_rows import add_topic


def test_an_unreachable_server_is_told_without_the_password() -> None:
    database = Database("postgresql://user:hunter2@127.0.0.1:1/nothing")
    with pytest.raises(PipelineError, match="cannot connect to .* refused") as error, database.transaction():
        pass
    assert "hunter2" not in str(error.value)
    assert "not localhost" in error.value.hint


def test_a_missing_database_is_told_by_name(server_url: str) -> None:
    url = make_url(server_url).set(database="there_is_none").render_as_string(hide_password=False)
    with pytest.raises(PipelineError, match='"there_is_none" does not exist'), Database(url).transaction():
        pass


def test_an_error_rolls_everything_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        add_topic(connection)
        raise ZeroDivisionError
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM topics")) == 0


def test_a_read_only_transaction_refuses_to_write_and_leaves_no_trace_on_its_connection(
    database: Database,
) -> None:
    with pytest.raises(DBAPIError) as error, database.transaction(read_only=True) as connection:
        add_topic(connection)
    assert isinstance(error.value.orig, psycopg.errors.ReadOnlySqlTransaction)
    with database.transaction() as connection:
        add_topic(connection)


def test_a_session_that_ends_while_rows_are_streamed_leaves_no_cursor_open(database: Database) -> None:
    rows_and_pid = text("SELECT pg_backend_pid() AS pid, generate_series(1, 1000)")
    with pytest.raises(OperationalError), database.transaction(read_only=True) as reading:
        rows = reading.execute(rows_and_pid, execution_options={"yield_per": 10})
        with database.transaction() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": next(rows).pid})
        list(rows)
    del reading, rows
    # A cursor that is still open says so when it is deleted, and warnings fail tests.
    gc.collect()


def test_write_gives_way_and_tries_again(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
    rename = text("UPDATE topics SET name = :name WHERE id = :topic")
    attempts = 0

    def work(connection):  # type: ignore[no-untyped-def]
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            application.rollback()
        connection.execute(rename, {"name": "ours", "topic": topic})

    with database.engine.connect() as application:
        application.execute(rename, {"name": "theirs", "topic": topic})
        database.write(work)
    assert attempts == 2
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT name FROM topics")) == "ours"


def test_who_held_rows_for_too_long_is_named(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
    rename = text("UPDATE topics SET name = 'theirs' WHERE id = :topic")
    with database.engine.connect() as application:
        pid = application.execute(text("SELECT pg_backend_pid()")).scalar_one()
        application.execute(rename, {"topic": topic})
        with pytest.raises(
            HeldUp, match=f"held the rows for too long: pid {pid}, .*UPDATE topics"
        ) as held_up:
            database.write(lambda connection: connection.execute(rename, {"topic": topic}), max_wait=0)
    assert (held_up.value.by_rows, held_up.value.exit_code) == (True, 5)


def test_who_held_a_table_for_too_long_is_named_and_no_password_of_theirs(database: Database) -> None:
    with database.engine.connect() as application:
        application.execute(text("LOCK TABLE topics /* password 'secret' */ IN EXCLUSIVE MODE"))
        with pytest.raises(HeldUp, match="held the table topics for too long: pid .*LOCK TABLE") as held_up:
            database.write(add_topic, max_wait=0)
    assert not held_up.value.by_rows
    assert "secret" not in str(held_up.value)


def test_write_passes_on_what_is_not_about_locks(database: Database) -> None:
    with pytest.raises(DBAPIError, match="division by zero"):
        database.write(lambda connection: connection.execute(text("SELECT 1 / 0")))


def test_an_exclusive_concern_is_free_again_after_an_error_and_does_not_hinder_others(
    database: Database,
) -> None:
    with pytest.raises(ZeroDivisionError), database.exclusive("one thing"):
        raise ZeroDivisionError
    with database.exclusive("one thing"), database.exclusive("another thing"):
        pass


def test_who_comes_second_waits(database: Database) -> None:
    inside = threading.Event()
    order: list[str] = []

    def first() -> None:
        with database.exclusive("thing"):
            inside.set()
            with database.transaction() as connection:
                connection.execute(text("SELECT pg_sleep(0.3)"))
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(10)
    with database.exclusive("thing"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_an_unknown_query_is_named() -> None:
    with pytest.raises(KeyError, match="no query 'nonsense' in temporal_pipeline.defs.periods"):
        Queries("temporal_pipeline.defs.periods")["nonsense"]
