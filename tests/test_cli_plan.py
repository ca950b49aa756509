"""The verb `plan`: what it prints, its exit codes, and that its script leads to head."""

import json
import subprocess
from pathlib import Path

import pytest

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import upgrade
from tests.command_line import CommandLine
from tests.conftest import temporary_database
from tests.crosshot_rows import add_content, add_topic, at
from tests.migrations.tools import execute, psql, schema_of
from tests.migrations.worlds import CREATE_ALL


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _run(home: Path, database: Database, *options: str) -> "subprocess.CompletedProcess[str]":
    return CommandLine(home, DATABASE_URL=database.url)("plan", *options)


@pytest.fixture
def populated(legacy_database: Database) -> Database:
    with legacy_database.transaction() as connection:
        topic = add_topic(connection, "Night trains")
        add_topic(connection, "Nothing yet")
        for hour in range(3):
            add_content(connection, topic=topic, crawled_at=at(hour))
        add_content(connection, crawled_at=at(0))
    return legacy_database


def test_it_prints_the_statements_and_what_backfill_would_create(home: Path, populated: Database) -> None:
    before = schema_of(populated)
    done = _run(home, populated)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    wanted = ["-- 20260301_0100", "-- 20260301_0200", "-- 20260301_0300", "-- reconcile"]
    assert [line for line in lines if line in wanted] == wanted
    assert "CREATE TABLE analysis_periods (" in lines
    assert any(line.endswith("columns of contents: instant; ACCESS EXCLUSIVE on contents") for line in lines)
    assert any(
        "index idx_contents_period: instant, reads about" in line
        and line.endswith("no lock that a writer meets")
        for line in lines
    )
    assert "Backfill: Period 0 for 1 of 2 topics and users, with 3 contents" in done.stdout
    assert "topic  Night trains         3  2026-01-05 00:00  2026-01-05 02:00" in done.stdout
    assert "Skipped 1: it has no contents." in lines
    assert "1 contents without owner are never linked; 0 crawled in the future wait." in lines
    assert schema_of(populated) == before


def test_check_says_what_is_pending_by_its_exit_code(home: Path, populated: Database) -> None:
    done = _run(home, populated, "--check")
    assert done.returncode == 4
    assert done.stdout.startswith("pending statements: ")
    assert done.stdout.endswith(", topics and users without Period 0: 1\n")
    assert done.stdout.count("\n") == 1
    upgrade(populated)
    done = _run(home, populated, "--check")
    assert (done.returncode, done.stdout) == (4, "pending topics and users without Period 0: 1\n")
    execute(populated, "DELETE FROM contents")
    done = _run(home, populated, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing is pending\n", "")


def test_check_in_json(home: Path, populated: Database) -> None:
    done = _run(home, populated, "--check", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"], document["error"]["code"]) == (4, False, 4)
    assert document["error"]["hint"] == "run `temporal-pipeline migrate`, then `temporal-pipeline backfill`"
    assert document["data"]["backfill"]["created"] == 1


def test_json_has_everything(home: Path, populated: Database) -> None:
    data = json.loads(_run(home, populated, "--json").stdout)["data"]
    [added] = [one for one in data["statements"] if one["step"] == "columns of contents"]
    assert added["revision"] == "20260301_0200"
    assert added["sql"].startswith(
        "ALTER TABLE contents\n    ADD COLUMN IF NOT EXISTS analysis_period_id uuid"
    )
    assert added["locks"] == [{"table": "contents", "mode": "ACCESS EXCLUSIVE"}]
    assert (added["rows"], added["time_class"]) == (0, "instant")
    assert data["totals"]["statements"] == len(data["statements"])
    backfill = data["backfill"]
    assert (backfill["created"], backfill["contents"], backfill["unowned"], backfill["future"]) == (
        1,
        3,
        1,
        0,
    )
    assert backfill["skipped"] == {"it has no contents": 1}
    [created] = [entity for entity in backfill["entities"] if entity["skipped"] is None]
    assert created["contents"]["number"] == 3
    assert created["contents"]["first_crawled_at"].startswith("2026-01-05 00:00:00")


def test_the_script_leads_to_head(
    home: Path, populated: Database, server_url: str, migrated_template: str
) -> None:
    # It is written without any server.
    script = CommandLine(home, DATABASE_URL="postgresql://nobody:secret@host.invalid:1/nothing")(
        "plan", "--sql"
    )
    assert (script.returncode, script.stderr) == (0, "")
    done = psql(populated, script.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    with temporary_database(server_url, migrated_template) as head:
        assert schema_of(populated) == schema_of(head)
    assert upgrade(populated).statements == ()


def test_what_an_upgrade_refuses_has_no_plan(home: Path, empty_database: Database) -> None:
    done = _run(home, empty_database, "--check")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: this is not a Crosshot database: it has no chat_messages")


def test_check_and_sql_exclude_each_other(home: Path, empty_database: Database) -> None:
    done = _run(home, empty_database, "--check", "--sql")
    assert done.returncode == 2
    assert "give one of them" in done.stderr


def test_a_server_that_cannot_be_reached_is_named_without_its_password(home: Path) -> None:
    done = CommandLine(home, DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x")("plan")
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_it_names_what_blocks_writers_for_longer(home: Path, legacy_database: Database) -> None:
    execute(
        legacy_database,
        f"{CREATE_ALL}; INSERT INTO analysis_periods SELECT gen_random_uuid(), 'topic', gen_random_uuid(),"
        " '2026-01-01', '2026-01-02', now(), 0, 24, 'active', NULL, NULL, 0, '', '', '{}', '{}', '{}', '{}', '{}',"
        " '', 1, '', NULL, NULL, NULL, '{}', now(), now() FROM generate_series(1, 30000); ANALYZE analysis_periods",
    )
    done = _run(home, legacy_database)
    assert done.returncode == 0
    last = done.stdout.partition("except that these hold it for as long as they take:\n")[2].splitlines()[0]
    assert last.endswith(
        "constraint no_overlapping_periods: ACCESS EXCLUSIVE on analysis_periods, for about 3 seconds"
    )
