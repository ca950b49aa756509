"""Connections, transactions and locks, and what a user is told when they cannot be had."""

import gc
import threading

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from temporal_pipeline.blockers import HeldUp
from temporal_pipeline.database import Database, Queries, as_libpq_reads_it, normalise_url
from temporal_pipeline.errors import PipelineError
from tests.crosshot_rows import add_topic


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg2"])
def test_every_usual_spelling_of_a_url_is_understood(scheme: str) -> None:
    assert normalise_url(f"{scheme}://u:p%40ss@h:1/d?a=b") == "postgresql+psycopg://u:p%40ss@h:1/d?a=b"


def test_the_encryption_that_asyncpg_asks_for_is_asked_of_libpq() -> None:
    asked = normalise_url("postgresql+asyncpg://u@h/d?ssl=require")
    assert asked == "postgresql+psycopg://u@h/d?sslmode=require"


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("u:p@h:1/d?dbname=x&user=v&password=q%40&port=2&a=b", "v:q%40@h:2/x?a=b"),
        ("u@h/d?dbname=first&dbname=last", "u@h/last"),
        ("h/d?password=q", "h/d?password=q"),
        ("u@/d?host=%2Ftmp&port=2", "u@/d?host=%2Ftmp&port=2"),
        ("u@h/d?port=1%2C2", "u@h/d?port=1%2C2"),
    ],
)
def test_what_libpq_would_take_from_the_parameters_stands_in_its_place(given: str, understood: str) -> None:
    assert normalise_url(f"postgresql://{given}") == f"postgresql+psycopg://{understood}"


def test_programs_of_postgresql_get_a_url_without_spaces() -> None:
    url = make_url("postgresql+psycopg://a%20b:c%20d%2Be@h/f%20g?options=-c%20timezone%3DUTC")
    assert as_libpq_reads_it(url) == "postgresql://a%20b:c%20d+e@h/f%20g?options=-c%20timezone%3DUTC"


def test_a_second_at_sign_is_refused_and_its_neighbours_are_not_repeated() -> None:
    with pytest.raises(PipelineError, match="more than one @") as error:
        normalise_url("postgresql://u:secret@secret@h/d")
    assert error.value.exit_code == 2
    assert "%40" in error.value.hint
    assert "secret" not in str(error.value)
    assert normalise_url("postgresql://u@server:p%40ss@h/d") == "postgresql+psycopg://u%40server:p%40ss@h/d"


def test_passwords_among_the_parameters_are_not_shown() -> None:
    database = Database("postgresql://u@h/d?password=secret&sslpassword=secret&sslmode=require")
    assert database.safe_url == "postgresql+psycopg://u:***@h/d?sslmode=require"


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "not a url with secret", "sqlite:///secret"])
def test_what_is_no_postgresql_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(PipelineError) as error:
        normalise_url(url)
    assert error.value.exit_code == 2
    assert "secret" not in str(error.value)


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
