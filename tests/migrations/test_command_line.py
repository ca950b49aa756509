"""Alembic's command line, as operators of the application type it."""

import io
import subprocess

from alembic import command
from sqlalchemy import make_url

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import Run, alembic_config
from tests.migrations.tools import (
    EXTENSIONS_STAY,
    VERSION_TABLE_STAYS,
    alembic,
    execute,
    psql,
    rows,
    schema_of,
    version,
)


def _run(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    process = alembic(url, *arguments)
    output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def test_upgrade_head_and_downgrade(legacy_database: Database, head: str) -> None:
    """With the application's own URL, whose driver we do not use."""
    asyncpg = make_url(legacy_database.url).set(drivername="postgresql+asyncpg")
    url = asyncpg.render_as_string(hide_password=False)
    execute(legacy_database, f"{EXTENSIONS_STAY}; {VERSION_TABLE_STAYS}")
    before = schema_of(legacy_database)
    done = _run(url, "upgrade", "head")
    assert done.returncode == 0, done.stderr
    assert "Running upgrade  -> 20260301_0100" in done.stderr
    assert [tuple(row) for row in rows(legacy_database, "SELECT version_num FROM alembic_version")] == [
        ("20260301_0300",)
    ]
    assert schema_of(legacy_database) == head
    done = _run(url, "downgrade", "-3")
    assert done.returncode == 0, done.stderr
    assert version(legacy_database) == []
    assert schema_of(legacy_database) == before


def test_the_script_is_written_without_any_server(legacy_database: Database, head: str) -> None:
    done = _run("postgresql+asyncpg://nobody:secret@host.invalid:1/nothing", "upgrade", "head", "--sql")
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stdout + done.stderr
    assert psql(legacy_database, done.stdout).stderr == ""
    assert schema_of(legacy_database) == head


def test_a_refusal_is_short_and_names_the_remedy(empty_database: Database) -> None:
    done = _run(empty_database.url, "upgrade", "head")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "error: this is not a Crosshot database: it has no chat_messages, contents, tasks, topics, users",
        "  remedy: check the database's name in DATABASE_URL; "
        "`temporal-pipeline replay FILE --create` makes the application's tables",
    ]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_only_an_upgrade_reconciles(database: Database) -> None:
    execute(database, "DROP INDEX idx_contents_unlinked")
    before = schema_of(database)
    config = alembic_config(Run(database))
    config.stdout = io.StringIO()
    command.current(config)
    assert config.stdout.getvalue() == "20260301_0300 (head)\n"
    command.history(config)
    command.stamp(config, "20260301_0200")
    assert version(database) == ["20260301_0200"]
    command.stamp(config, "head")
    assert version(database) == ["20260301_0300"]
    assert schema_of(database) == before


def test_current_looks_at_any_database_and_leaves_nothing(empty_database: Database) -> None:
    before = schema_of(empty_database)
    config = alembic_config(Run(empty_database))
    config.stdout = io.StringIO()
    command.current(config)
    assert config.stdout.getvalue() == ""
    assert schema_of(empty_database) == before


def test_a_script_of_stamp_is_alembics_own() -> None:
    config = alembic_config(Run())
    config.output_buffer = io.StringIO()
    command.stamp(config, "head", sql=True)
    assert "INSERT INTO alembic_version" in config.output_buffer.getvalue()
    assert "analysis_periods" not in config.output_buffer.getvalue()
