"""The verbs in processes of their own: what they print where, and their exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from temporal_pipeline.database import Database
from tests.command_line import CommandLine, On

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
