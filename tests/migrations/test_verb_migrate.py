"""The verb `migrate`: backup, statements, verification; and Alembic by hand, which is as safe."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from tests.command_line import CommandLine
from tests.migrations.tools import alembic, schema_of, version


@pytest.fixture
def on_legacy(tmp_path: Path, legacy_database: Database) -> CommandLine:
    return CommandLine(tmp_path, DATABASE_URL=legacy_database.url)


def _backups(home: Path) -> list[Path]:
    return sorted((home / "backups").glob("*.dump"))


def _data(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    return document["data"]


def test_it_backs_up_migrates_and_verifies(
    tmp_path: Path, on_legacy: CommandLine, legacy_database: Database, head: str
) -> None:
    planned = on_legacy.json("plan")["data"]["statements"]
    done = on_legacy("migrate", "--yes", "--verify-backup")
    assert done.returncode == 0, done.stderr
    (backup,) = _backups(tmp_path)
    assert backup.name.startswith("pre_temporal_")
    assert f"backup     {backup} (" in done.stdout
    assert "restored and counted)" in done.stdout
    assert f"schema     20260301_0300: {len(planned)} statements in " in done.stdout
    assert "0 do not hold" in done.stdout
    assert f"[{len(planned)}/{len(planned)}] " in done.stderr
    assert schema_of(legacy_database) == head


def test_what_it_executes_is_what_the_plan_says(tmp_path: Path, on_legacy: CommandLine) -> None:
    planned = on_legacy.json("plan")["data"]["statements"]
    data = _data(on_legacy("migrate", "--yes", "--no-backup", "--json"))
    assert [" ".join(s["statement"].split()) for s in data["statements"]] == [
        " ".join(s["sql"].split()) for s in planned
    ]
    assert data["backup"] is None
    assert _backups(tmp_path) == []


def test_a_second_time_there_is_nothing_to_do_and_nothing_to_back_up(
    tmp_path: Path, on_legacy: CommandLine
) -> None:
    on_legacy("migrate", "--yes", "--no-backup")
    done = on_legacy("migrate")
    assert done.returncode == 0, done.stderr
    assert "20260301_0300: nothing to migrate" in done.stdout
    assert _backups(tmp_path) == []


def test_two_at_once_take_one_backup(
    tmp_path: Path, on_legacy: CommandLine, legacy_database: Database, head: str
) -> None:
    processes = [
        subprocess.Popen(
            on_legacy.command("migrate", "--yes"),
            env=on_legacy.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len(_backups(tmp_path)) == 1
    assert schema_of(legacy_database) == head


def test_without_a_yes_it_shows_the_plan_and_refuses(
    tmp_path: Path, on_legacy: CommandLine, legacy_database: Database
) -> None:
    before = schema_of(legacy_database)
    done = on_legacy("migrate")
    assert done.returncode == 5
    assert "CREATE TABLE analysis_periods (" in done.stdout
    assert "nothing was changed" in done.stderr
    assert _backups(tmp_path) == []
    assert schema_of(legacy_database) == before


def test_a_dry_run_shows_the_plan_and_changes_nothing(
    on_legacy: CommandLine, legacy_database: Database
) -> None:
    before = schema_of(legacy_database)
    done = on_legacy("migrate", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "CREATE TABLE analysis_periods (" in done.stdout
    assert schema_of(legacy_database) == before


def test_a_lock_that_is_not_free_ends_it_with_5_and_the_next_one_goes_on(
    on_legacy: CommandLine, legacy_database: Database, head: str
) -> None:
    with psycopg.connect(libpq_url(legacy_database)) as reader:
        reader.execute("SELECT count(*) FROM topics")
        done = on_legacy("migrate", "--yes", "--no-backup", "--max-wait", "0.5")
        assert done.returncode == 5
        assert f"pid {reader.info.backend_pid}," in done.stderr
        assert "SELECT count(*) FROM topics" in done.stderr
    assert on_legacy("migrate", "--yes", "--no-backup").returncode == 0
    assert schema_of(legacy_database) == head


def test_a_backup_that_cannot_be_had_stops_it_before_the_first_statement(
    tmp_path: Path, on_legacy: CommandLine, legacy_database: Database
) -> None:
    before = schema_of(legacy_database)
    blocked = tmp_path / "a file, no folder"
    blocked.touch()
    done = on_legacy("migrate", "--yes", TEMPORAL_PIPELINE_BACKUPS=str(blocked))
    assert done.returncode != 0
    assert "cannot make the folder for backups" in done.stderr
    assert "--no-backup" in done.stderr
    assert schema_of(legacy_database) == before


def test_no_backup_cannot_be_verified(on_legacy: CommandLine) -> None:
    assert on_legacy("migrate", "--yes", "--no-backup", "--verify-backup").returncode == 2


@pytest.mark.parametrize(("options", "backups"), [((), 1), (("-x", "backup=no"), 0)])
def test_alembic_by_hand_backs_up_too(
    options: tuple[str, ...],
    backups: int,
    tmp_path: Path,
    legacy_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(os.environ, "TEMPORAL_PIPELINE_BACKUPS", str(tmp_path / "backups"))
    for _ in range(2):
        process = alembic(legacy_database.url, *options, "upgrade", "head")
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert len(_backups(tmp_path)) == backups
    assert version(legacy_database) == ["20260301_0300"]
