"""What goes wrong most often: that it is told in these words, and that the remedy cures it."""

import ast
import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.definition.model import EXTENSIONS
from temporal_pipeline.defs.schema.upgrade import schema_state
from temporal_pipeline.embedded.server import CHINESE_TEXT
from temporal_pipeline.settings import PROJECT_ROOT
from tests.command_line import NOT_INHERITED, CommandLine
from tests.migrations.tools import execute, rows

TROUBLESHOOTING = PROJECT_ROOT / "docs" / "troubleshooting.md"

# Words of others that stand in our messages, each seen in a test here or in tests/test_database.py.
WORDS_OF_OTHERS = (
    "Connection refused",
    "password authentication failed for user",
    "does not exist",
    "permission denied",
    "address already in use",
    "No module named",
    "No 'script_location' key found in configuration",
)
# What our messages name, as the page does for example.
NAMES = (*EXTENSIONS, "DATABASE_URL", "temporal_pipeline", CHINESE_TEXT)


def messages() -> list[str]:
    """What the tables of the page have in their first column."""
    page = TROUBLESHOOTING.read_text(encoding="utf-8")
    return [
        message
        for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
        for message in re.findall("`(.+?)`", row)
    ]


def test_every_message_of_the_page_is_one_of_ours() -> None:
    """By its fixed words: between the places where names, numbers and the words of others stand."""
    assert len(messages()) > 15
    spoken = "\n".join(_texts(PROJECT_ROOT / "temporal_pipeline"))
    varying = "|".join(map(re.escape, (*WORDS_OF_OTHERS, *NAMES)))
    for message in messages():
        for fixed in re.split(rf"{varying}|…|[\d_]+|[\"'();]", message):
            assert fixed.strip(" :,") in spoken, (message, fixed)


def _texts(package: Path) -> Iterator[str]:
    """Every piece of text in the package's code, as Python joins it."""
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def _run(folder: Path, url: str, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    inherited = {key: value for key, value in os.environ.items() if key not in (*NOT_INHERITED, "PYTHONPATH")}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=inherited | {"DATABASE_URL": url} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


CONFIGURATION = str(PROJECT_ROOT / "pyproject.toml")


def test_wrong_folder_alembic_has_to_be_told_where_its_configuration_is(
    database: Database, tmp_path: Path
) -> None:
    lost = _run(tmp_path, database.url, "alembic", "current")
    assert lost.returncode != 0
    assert "No 'script_location' key found in configuration" in lost.stderr + lost.stdout
    found = _run(tmp_path, database.url, "alembic", "-c", CONFIGURATION, "current")
    assert found.stdout == "20260301_0300 (head)\n", found.stderr


def test_wrong_folder_exec_tells_alembic_where_its_configuration_is(
    database: Database, empty_database: Database, tmp_path: Path
) -> None:
    found = _run(
        tmp_path,
        database.url,
        *("temporal_pipeline.cli", "exec", "--", sys.executable, "-m", "alembic", "current"),
        PYTHONPATH=str(PROJECT_ROOT),
        TEMPORAL_PIPELINE_HOME=str(tmp_path / "home"),
        DAGSTER_DATABASE_URL=empty_database.url,
    )
    assert found.stdout == "20260301_0300 (head)\n", found.stderr


def test_wrong_folder_makes_no_difference_to_the_verbs(database: Database, tmp_path: Path) -> None:
    installed = {"PYTHONPATH": str(PROJECT_ROOT), "TEMPORAL_PIPELINE_HOME": str(tmp_path / "home")}
    done = _run(tmp_path, database.url, "temporal_pipeline.cli", "status", **installed)
    assert done.returncode == 0, done.stderr
    assert "20260301_0300, at head" in done.stdout


@pytest.mark.parametrize("command", [["temporal_pipeline.cli", "update"], ["alembic", "upgrade", "head"]])
def test_connection_refused_asks_for_the_name_of_the_service(command: list[str]) -> None:
    done = _run(PROJECT_ROOT, "postgresql+asyncpg://crosshot:hush@localhost:1/crosshot", *command)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
    assert "remedy: is the server running? Inside a container the host is the service's name" in done.stderr
    assert "not localhost" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def poor(legacy_database: Database) -> Iterator[Database]:
    """The database as somebody sees it who owns its tables, but may not create anything in the database."""
    role = f"poor_{uuid.uuid4().hex[:8]}"
    execute(
        legacy_database, f"CREATE ROLE {role} LOGIN PASSWORD 'hush'; GRANT CREATE ON SCHEMA public TO {role}"
    )
    for table in rows(legacy_database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        execute(legacy_database, f"ALTER TABLE {table.tablename} OWNER TO {role}")
    url = make_url(legacy_database.url).set(username=role, password="hush")
    database = Database(url.render_as_string(hide_password=False))
    yield database
    database.dispose()
    execute(legacy_database, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_extension_missing_is_cured_by_the_command_in_the_remedy(
    legacy_database: Database, poor: Database
) -> None:
    refused = _run(PROJECT_ROOT, poor.url, "alembic", "upgrade", "head")
    assert refused.returncode == 1
    assert "error: extension btree_gist: permission denied to create extension" in refused.stderr
    assert "Traceback" not in refused.stderr
    command = re.search(r"remedy: as a superuser: (psql .*)$", refused.stderr, re.MULTILINE)
    assert command is not None, refused.stderr
    execute(legacy_database, shlex.split(command[1])[-1])
    done = _run(PROJECT_ROOT, poor.url, "alembic", "upgrade", "head")
    assert done.returncode == 0, done.stderr
    with legacy_database.transaction(read_only=True) as connection:
        assert schema_state(connection).is_at_head


def test_migration_blocked_ends_and_names_who_blocks(legacy_database: Database, tmp_path: Path) -> None:
    query = "SELECT id FROM contents ORDER BY id LIMIT 1"
    verb = CommandLine(tmp_path / "home", DATABASE_URL=legacy_database.url)
    with psycopg.connect(libpq_url(legacy_database)) as reader:
        reader.execute(query)
        refused = verb("migrate", "--yes", "--no-backup", "--max-wait", "1")
        pid = reader.info.backend_pid
    assert refused.returncode == 5, refused.stderr
    assert "columns of contents: the lock was not free for 1 s; held by pid" in refused.stderr
    assert re.search(rf"pid {pid}, \d+ s, idle in transaction: {re.escape(query)}", refused.stderr)
    assert (
        "remedy: end these transactions or wait for them, then run the same command again" in refused.stderr
    )
    done = verb("migrate", "--yes", "--no-backup")
    assert done.returncode == 0, done.stderr
    with legacy_database.transaction(read_only=True) as connection:
        assert schema_state(connection).is_at_head
