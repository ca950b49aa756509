"""The verbs in processes of their own: what they print where, and their exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, text

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.embedded.keeper import POLL_SECONDS
from tests.command_line import CommandLine
from tests.conftest import temporary_database
from tests.crosshot_rows import add_content, add_topic, at
from tests.embedded.users import remove_state

On = Callable[[Database], CommandLine]

TOPIC = {
    "kind": "topic",
    "key": "t",
    "name": "Night trains, and more",
    "keywords": ["train"],
    "platforms": ["x"],
    "created_at": "2026-01-01T00:00:00Z",
}
TASK = {
    "kind": "task",
    "key": "k",
    "label": "crawler:x",
    "action": "search",
    "query": "train",
    "topic": "t",
    "status": "completed",
    "created_at": "2026-01-01T01:00:00Z",
    "started_at": "2026-01-01T01:00:00Z",
    "completed_at": "2026-01-01T01:01:00Z",
    "found": 1,
}
CONTENT = {
    "kind": "content",
    "task": "k",
    "topic": "t",
    "platform": "x",
    "platform_content_id": "1",
    "source_url": "https://x.example/1",
    "crawled_at": "2026-01-01T01:00:30Z",
    "published_at": "2026-01-01T00:30:00Z",
    "text": "a train at night",
    "metrics": {},
}


@pytest.fixture(scope="session")
def dagster_storage(server_url: str) -> Iterator[str]:
    with temporary_database(server_url) as database:
        yield database.url


@pytest.fixture
def on(tmp_path: Path, dagster_storage: str) -> On:
    """The command line on a given database."""
    return lambda database: CommandLine(
        tmp_path / "home", DATABASE_URL=database.url, DAGSTER_DATABASE_URL=dagster_storage
    )


@pytest.fixture
def nowhere(tmp_path: Path) -> CommandLine:
    """The command line with a server that is not there."""
    return CommandLine(
        tmp_path / "home", DATABASE_URL="postgresql://me:hush@localhost:1/none?connect_timeout=5"
    )


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """A crawl export of the given lines."""

    def write(*lines: dict[str, Any] | bytes) -> Path:
        path = tmp_path / "export.jsonl"
        raw = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        path.write_bytes(b"\n".join(raw) + b"\n")
        return path

    return write


def test_help_names_every_verb_and_every_exit_code(nowhere: CommandLine) -> None:
    done = nowhere("--help")
    assert done.returncode == 0
    for word in ("replay", "update", "exec", "status", "demo", "130 interrupted"):
        assert word in " ".join(done.stdout.split())


def test_wrong_usage_is_told_and_is_2(nowhere: CommandLine) -> None:
    done = nowhere("update", "--nonsense")
    assert done.returncode == 2
    assert "--nonsense" in done.stderr
    assert nowhere("update", "--since", "2026-01-01T00:00:00").returncode == 2
    document = nowhere.json("update", "--since", "yesterday")
    assert document["ok"] is False
    assert "not an ISO 8601 time" in document["error"]["message"]


def test_a_url_that_is_not_postgresql_is_2_and_is_not_repeated(nowhere: CommandLine) -> None:
    done = nowhere("status", DATABASE_URL="mysql://me:hush@localhost/none")
    assert done.returncode == 2
    assert "not PostgreSQL" in done.stderr
    assert "remedy: give postgresql://" in done.stderr
    assert "hush" not in done.stderr + done.stdout


@pytest.mark.parametrize("verb", [["status"], ["update"], ["exec", "--", "psql"], ["replay", "x"], ["demo"]])
def test_a_server_that_is_down_is_1_with_a_remedy_and_without_the_password(
    nowhere: CommandLine, verb: list[str], export: Callable[..., Path]
) -> None:
    done = nowhere(*(str(export(TOPIC)) if word == "x" else word for word in verb))
    assert done.returncode == 1, done.stderr
    assert "cannot connect" in done.stderr
    assert "remedy: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stderr + done.stdout


def test_a_flag_beats_the_environment(nowhere: CommandLine, legacy_database: Database) -> None:
    done = nowhere("--database-url", legacy_database.url, "status")
    assert done.returncode == 0, done.stderr


def test_replay_loads_the_good_lines_and_names_the_bad_ones(
    on: On, empty_database: Database, export: Callable[..., Path]
) -> None:
    path = export(
        TOPIC,
        b"{",
        TASK,
        TASK | {"key": "k2", "kind": "nonsense"},
        CONTENT,
        CONTENT | {"platform_content_id": "2", "task": "unknown"},
        CONTENT | {"platform_content_id": "3", "crawled_at": "2026-01-01T01:00:30"},
        b'{"kind": "topic", "key": "\xff"}',
    )
    done = on(empty_database)("replay", "--create", path)
    assert done.returncode == 1
    for number, reason in ((2, "JSON"), (4, "nonsense"), (6, "unknown"), (7, "zone"), (8, "UTF-8")):
        line = next(line for line in done.stderr.splitlines() if line.startswith(f"line {number}: "))
        assert reason in line
    assert "5 of 8 lines were not loaded" in done.stderr
    assert "contents  1 new" in done.stdout
    assert "\x1b" not in done.stderr
    document = on(empty_database).json("replay", path)
    assert document["ok"] is False
    assert document["error"]["code"] == 1
    assert document["data"]["content"]["unchanged"] == 1
    assert [rejection["line"] for rejection in document["data"]["rejections"]] == [2, 4, 6, 7, 8]


def test_replay_stops_at_the_asked_time(
    on: On, empty_database: Database, export: Callable[..., Path]
) -> None:
    path = export(TOPIC, TASK, CONTENT)
    until = on(empty_database)("replay", "--create", "--until", "2026-01-01T00:59:00Z", path)
    assert until.returncode == 0, until.stderr
    assert "contents  1 later than asked for" in until.stdout
    assert on(empty_database).json("replay", path)["data"]["content"]["inserted"] == 1


def test_replay_into_a_database_without_the_tables_lists_them(
    on: On, empty_database: Database, export: Callable[..., Path]
) -> None:
    done = on(empty_database)("replay", export(TOPIC))
    assert done.returncode == 1
    for table in ("tasks", "topics", "users", "contents"):
        assert table in done.stderr
    assert "--create" in done.stderr


def test_replay_of_a_file_that_is_not_there_is_2(on: On, empty_database: Database, tmp_path: Path) -> None:
    done = on(empty_database)("replay", tmp_path / "none.jsonl")
    assert done.returncode == 2
    assert "none.jsonl" in done.stderr


def test_exec_passes_on_environment_arguments_and_exit_code(on: On, legacy_database: Database) -> None:
    program = (
        "import os, sys; print(os.environ['DATABASE_URL'], os.environ['DAGSTER_DATABASE_URL'], sys.argv[1:])"
    )
    done = on(legacy_database)("exec", "--", sys.executable, "-c", f"{program}; sys.exit(7)", "--json", "-h")
    assert done.returncode == 7, done.stderr
    url, dagster_url, arguments = done.stdout.split(maxsplit=2)
    assert url == libpq_url(legacy_database)
    assert dagster_url.startswith("postgresql+psycopg2://")
    assert arguments.strip() == "['--json', '-h']"
    with psycopg.connect(url) as connection:
        assert connection.info.dbname == make_url(legacy_database.url).database


def test_exec_of_an_unknown_program_is_2(on: On, legacy_database: Database) -> None:
    done = on(legacy_database)("exec", "--", "no-such-program")
    assert done.returncode == 2
    assert "no-such-program" in done.stderr


def test_exec_leaves_ctrl_c_to_the_program(on: On, legacy_database: Database) -> None:
    """A terminal sends SIGINT to both; we wait for the program and pass on what it makes of it."""
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(42))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = on(legacy_database)
    with subprocess.Popen(
        command.command("exec", "--", sys.executable, "-c", program),
        env=command.variables,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 42


def test_exec_passes_on_sigterm(on: On, legacy_database: Database) -> None:
    command = on(legacy_database)
    program = "import time; print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen(
        command.command("exec", "--", sys.executable, "-c", program),
        env=command.variables,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM


def test_exec_keeps_the_embedded_server_up_for_the_program_even_if_killed(tmp_path: Path) -> None:
    """The program holds a share in the server itself, so that kill -9 of us takes nothing away from it."""
    home = tmp_path / "home"
    program = (
        "import os, sys, psycopg\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "print(psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT 42').fetchone()[0], flush=True)\n"
    )
    command = CommandLine(home)
    try:
        with subprocess.Popen(
            command.command("exec", "--", sys.executable, "-c", program),
            env=command.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.kill()
            process.wait(30)
            # Were the program no user of it, the server would be stopped by now.
            time.sleep(3 * POLL_SECONDS)
            process.stdin.close()
            assert process.stdout.readline() == "42\n"
    finally:
        remove_state(home)


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
