"""One real server per session; a migrated template database, cloned for each test that wants its own."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from sqlalchemy import Connection, make_url

from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.embedded import attach
from temporal_pipeline.settings import PROJECT_ROOT
from temporal_pipeline.urls import normalise_url
from tests.command_line import CommandLine, On

# How fast a machine draws examples is no property of the program.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session", autouse=True)
def backups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Backups that tests cause are not the developer's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPORAL_PIPELINE_BACKUPS", str(tmp_path_factory.mktemp("backups")))
        yield


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """URL of a database from which others can be created: that of DATABASE_URL, else of an embedded server."""
    if url := os.environ.get("DATABASE_URL"):
        yield normalise_url(url)
        return
    with attach(PROJECT_ROOT / ".temporal_pipeline" / "tests") as attachment:
        yield attachment.url("postgres")


@pytest.fixture(scope="session")
def tablespace(server_url: str) -> Iterator[str]:
    """Where clones of the templates live: in memory, if there is room.

    A database is some 400 files, and ext4 passes over recently deleted ones for each new one: beside a thousand
    dropped databases that takes ten times longer than writing them.
    """
    is_ours = "DATABASE_URL" not in os.environ
    if not (is_ours and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2 * 1024**3):
        yield "pg_default"
        return
    name = f"test_{os.getpid()}"
    with (
        tempfile.TemporaryDirectory(dir=MEMORY, prefix="temporal_pipeline_") as folder,
        _admin(server_url) as admin,
    ):
        row = admin.execute("SHOW data_directory").fetchone()
        assert row is not None
        os.chown(folder, Path(row[0]).stat().st_uid, -1)
        admin.execute(f"CREATE TABLESPACE \"{name}\" LOCATION '{folder}'")
        admin.execute(f'GRANT CREATE ON TABLESPACE "{name}" TO PUBLIC')
        yield name
        # A restore leaves the database that it replaced.
        for (left,) in admin.execute(_DATABASES_IN, [name]).fetchall():
            admin.execute(f'DROP DATABASE "{left}" WITH (FORCE)')
        admin.execute(f'DROP TABLESPACE "{name}"')


_DATABASES_IN = """
    SELECT d.datname FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE t.spcname = %s
"""


def _admin(server_url: str) -> "psycopg.Connection[tuple[Any, ...]]":
    url = make_url(server_url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)


@contextmanager
def temporary_database(
    server_url: str, template: str | None = None, tablespace: str | None = None
) -> Iterator[Database]:
    """A database of its own, dropped at the end; a clone of `template` if given, by default in its tablespace."""
    name = f"test_{os.getpid()}_{uuid.uuid4().hex[:12]}"
    place = f'TABLESPACE "{tablespace}"' if tablespace else ""
    with _admin(server_url) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}" {place}')
        database = Database(make_url(server_url).set(database=name).render_as_string(hide_password=False))
        try:
            yield database
        finally:
            database.dispose()
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _template(database: Database) -> str:
    database.dispose()
    name = make_url(database.url).database
    assert name is not None
    return name


@pytest.fixture(scope="session")
def legacy_template(server_url: str, tablespace: str) -> Iterator[str]:
    with temporary_database(server_url, tablespace=tablespace) as database:
        create_legacy_tables(database)
        yield _template(database)


@pytest.fixture(scope="session")
def migrated_template(server_url: str, legacy_template: str) -> Iterator[str]:
    with temporary_database(server_url, legacy_template) as database:
        upgrade(database)
        yield _template(database)


@pytest.fixture
def empty_database(server_url: str, tablespace: str) -> Iterator[Database]:
    with temporary_database(server_url, tablespace=tablespace) as database:
        yield database


@pytest.fixture
def legacy_database(server_url: str, legacy_template: str) -> Iterator[Database]:
    with temporary_database(server_url, legacy_template) as database:
        yield database


@pytest.fixture
def database(server_url: str, migrated_template: str) -> Iterator[Database]:
    """A migrated, empty database."""
    with temporary_database(server_url, migrated_template) as database:
        yield database


@pytest.fixture(scope="session")
def shared_database(server_url: str, migrated_template: str) -> Iterator[Database]:
    with temporary_database(server_url, migrated_template) as database:
        yield database


@pytest.fixture
def connection(shared_database: Database) -> Iterator[Connection]:
    """A connection to a migrated database; what the test writes is rolled back."""
    with shared_database.engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


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
