"""`temporal-pipeline update` as a user of the command line meets it."""

import signal
import subprocess
import time
from typing import Any

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from tests.command_line import On
from tests.crosshot_rows import add_content, add_topic, at


def test_a_dry_run_on_a_legacy_database_shows_and_writes_nothing(on: On, legacy_database: Database) -> None:
    with legacy_database.transaction() as connection:
        add_content(connection, topic=add_topic(connection))
    before = _catalogue(legacy_database)
    done = on(legacy_database)("update", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "temporal_schema:" in done.stdout
    assert "analysis_periods" in done.stdout
    assert "period_zero:\nIts input does not exist yet" in done.stdout
    assert _catalogue(legacy_database) == before


def test_update_runs_everything_and_then_finds_nothing_new(on: On, legacy_database: Database) -> None:
    with legacy_database.transaction() as connection:
        topic = add_topic(connection, "Night trains, and more")
        add_content(connection, topic=topic)
        add_content(connection, topic=topic, crawled_at=at(1))
        add_content(connection, topic=add_topic(connection, "other"))
    command = on(legacy_database)
    first = command("update", "--entities", "Night trains, and more")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "checks hold" in first.stdout
    data = command.json("status")["data"]
    assert data["contents"]["linked"] == 2
    assert data["last_run"]["status"] == "SUCCESS"
    rest = command.json("update")["data"]
    assert _written(rest)["period_zero"] == 1
    again = command.json("update")
    assert again["ok"] is True
    assert not any(_written(again["data"]).values())
    dry = command("update", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "does not exist yet" not in dry.stdout


def test_update_without_the_applications_tables_lists_them(on: On, empty_database: Database) -> None:
    done = on(empty_database)("update")
    assert done.returncode == 1
    assert "has no chat_messages, contents, tasks, topics, users" in done.stderr


def test_an_unknown_entity_is_2_with_the_nearest_names(on: On, database: Database) -> None:
    with database.transaction() as connection:
        add_topic(connection, "Night trains")
    done = on(database)("update", "--entities", "Night train")
    assert done.returncode == 2
    assert "did you mean 'Night trains'?" in done.stderr


@pytest.mark.slow
def test_a_second_run_at_the_same_time_gives_up_with_5(on: On, database: Database) -> None:
    with database.transaction() as connection:
        add_content(connection, topic=add_topic(connection))
    with database.exclusive("periods"):
        done = on(database)("update", "--max-wait", "1")
        assert done.returncode == 5, done.stdout + done.stderr
        assert "period_zero failed: another run already works on periods" in done.stderr
        assert "remedy: wait" in done.stderr
    assert on(database)("update").returncode == 0


def test_a_failing_entity_is_1_and_the_others_are_done(on: On, database: Database) -> None:
    with database.transaction() as connection:
        bad = add_topic(connection, "bad")
        add_content(connection, topic=bad)
        add_content(connection, topic=add_topic(connection, "good"))
        connection.execute(
            text(
                "ALTER TABLE analysis_periods ADD CONSTRAINT refused "
                f"CHECK (status <> 'active' OR entity_id <> '{bad}')"
            )
        )
    done = on(database)("update")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed in periods: topic bad: " in done.stdout
    assert "remedy: " in done.stderr
    data = on(database).json("status")["data"]
    assert {row["name"]: row["periods"] for row in data["entities"]} == {"bad": 0, "good": 1}
    assert [row["name"] for row in data["problems"]] == ["bad"]
    assert data["drafts"] == 1


def test_an_unexpected_error_is_one_line_without_values(on: On, database: Database) -> None:
    with database.transaction() as connection:
        add_topic(connection, "secret name")
        connection.execute(text("ALTER TABLE temporal_pipeline.cut RENAME COLUMN instant TO gone"))
    done = on(database)("status")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "--debug" in done.stderr
    assert "Traceback" in on(database)("--debug", "status").stderr


def test_ctrl_c_during_an_update_is_130_and_the_next_one_goes_on(on: On, database: Database) -> None:
    with database.transaction() as connection:
        add_content(connection, topic=add_topic(connection))
    command = on(database)
    with database.exclusive("periods"):
        with subprocess.Popen(
            command.command("update"),
            env=command.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            _wait_for_lock_attempts(database)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        assert "interrupted" in errors
    assert command("update").returncode == 0


def test_a_killed_run_is_not_believed_under_way(on: On, database: Database) -> None:
    with database.transaction() as connection:
        add_content(connection, topic=add_topic(connection))
    command = on(database)
    with database.exclusive("periods"):
        with subprocess.Popen(
            command.command("update"),
            env=command.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            _wait_for_lock_attempts(database)
            process.kill()
        assert command.json("status")["data"]["last_run"]["status"] == "STARTED"
    assert command("update").returncode == 0
    storage = Database(command.variables["DAGSTER_DATABASE_URL"])
    with storage.transaction(read_only=True) as connection:
        under_way = connection.scalar(text("SELECT count(*) FROM runs WHERE status = 'STARTED'"))
    storage.dispose()
    assert under_way == 0


def _wait_for_lock_attempts(database: Database) -> None:
    """Until a process of ours polls for a lock that is taken: its last statement was the attempt."""
    deadline = time.monotonic() + 60
    polls = text("""
        SELECT EXISTS (
            SELECT FROM pg_stat_activity a
            WHERE a.datname = current_database() AND a.query LIKE 'SELECT pg_try_advisory_lock%'
              AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory')
        )
    """)
    while time.monotonic() < deadline:
        with database.transaction(read_only=True) as connection:
            if connection.scalar(polls):
                return
        time.sleep(0.05)
    raise AssertionError("no process waits for the lock")


def _written(data: dict[str, Any]) -> dict[str, int]:
    return {step["asset"]: step["metadata"].get("rows_written", 0) for step in data["steps"]}


def _catalogue(database: Database) -> list[tuple[Any, ...]]:
    with database.transaction(read_only=True) as connection:
        rows = connection.execute(
            text("""
                SELECT relnamespace::regnamespace::text, relname, relkind FROM pg_class
                WHERE oid >= 16384 ORDER BY 1, 2
            """)
        )
        return [tuple(row) for row in rows]
