"""What tests of migrations need: the schema as text, psql, and Alembic in a process of its own or in ours."""

import io
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Row, text

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema import upgrade
from temporal_pipeline.defs.schema.apply import apply
from temporal_pipeline.defs.schema.definition.steps import Step
from temporal_pipeline.defs.schema.listening import Listener
from temporal_pipeline.defs.schema.upgrade import Run, alembic_config, writing_connection
from temporal_pipeline.embedded.place import find_place
from temporal_pipeline.settings import PROJECT_ROOT

EXTENSIONS_STAY = "CREATE EXTENSION btree_gist; CREATE EXTENSION pg_trgm"
VERSION_TABLE_STAYS = (
    "CREATE TABLE alembic_version ("
    "version_num varchar(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


@cache
def programs() -> Path:
    """The folder with psql and pg_dump of the newest PostgreSQL that we support."""
    return find_place(PROJECT_ROOT / ".temporal_pipeline" / "tests").bin


def schema_of(database: Database) -> str:
    """The schema of the whole database as pg_dump writes it."""
    dumped = subprocess.run(
        [
            programs() / "pg_dump",
            "--schema-only",
            "--no-owner",
            "--no-acl",
            "--restrict-key=x",
            libpq_url(database),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert dumped.returncode == 0, dumped.stderr
    return dumped.stdout


def psql(database: Database, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script as a person would who was given the file."""
    return subprocess.run(
        [programs() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", libpq_url(database)],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )


def alembic(url: str, *arguments: str) -> "subprocess.Popen[str]":
    """Alembic's command line in the project's folder."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=PROJECT_ROOT,
        env=environment | {"DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def downgrade(database: Database, revision: str) -> list[str]:
    """Downgrade in this process; the names of the executed steps."""
    return list(upgrade.downgrade(database, revision).steps)


def upgrade_to(database: Database, revision: str) -> list[str]:
    """Upgrade in this process, also to a revision on the way; the names of the executed steps."""
    return list(upgrade.upgrade(database, revision=revision).steps)


def written_script(direction: Any, revisions: str) -> str:
    """What `alembic upgrade|downgrade REVISIONS --sql` prints."""
    config = alembic_config(Run())
    config.output_buffer = io.StringIO()
    direction(config, revisions, sql=True)
    return config.output_buffer.getvalue()


def die_after(database: Database, steps: tuple[Step, ...]) -> None:
    """What a process leaves that was killed after these steps."""
    with writing_connection(database) as connection:
        apply(connection, steps, upgrade.MAX_WAIT_SECONDS, Listener())


def execute(database: Database, sql: str) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql(sql.replace("%", "%%"))


def rows(database: Database, sql: str) -> list[Row[Any]]:
    with database.transaction(read_only=True) as connection:
        return list(connection.execute(text(sql)).all())


def version(database: Database) -> list[str]:
    return [row.version_num for row in rows(database, "SELECT version_num FROM alembic_version")]
