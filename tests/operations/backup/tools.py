"""What the tests of backups share."""

import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.operations.backup.databases import NEW, OLD
from tests.crosshot_rows import add_chat_message, add_content, add_topic, at
from tests.migrations.tools import rows

PATIENCE_SECONDS = 60


def populate(database: Database, contents: int = 5) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        for hour in range(contents):
            add_content(c, topic=topic, crawled_at=at(hour), text=f"post {hour}")
        add_chat_message(c, topic=topic, created_at=at(1), content="what happened?")


def name(database: Database) -> str:
    found = make_url(database.url).database
    assert found is not None
    return found


def server_of(database: Database) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection to another database of its server."""
    url = make_url(libpq_url(database)).set(database="postgres")
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


def databases_like(database: Database, pattern: str) -> list[str]:
    with server_of(database) as server:
        found = server.execute("SELECT datname FROM pg_database WHERE datname LIKE %s ORDER BY 1", [pattern])
        return [str(row[0]) for row in found]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "this never came true"
        time.sleep(0.02)


def running_arguments(program: str, mark: str) -> list[str]:
    """The command lines of the running processes of a program that have `mark` in it, as anybody can read them."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if line.partition(" ")[0].endswith(program) and mark in line:
            lines.append(line)
    return lines


def count_of_contents(database: Database) -> int:
    return int(rows(database, "SELECT count(*) FROM contents")[0][0])


def url_with(of: Database, **parts: str) -> str:
    """The URL of a database with some of its parts changed."""
    return make_url(of.url).set(**parts).render_as_string(hide_password=False)


def drop_beside(database: Database) -> None:
    """Drop what a restore has made or kept beside a database."""
    beside = databases_like(database, f"{name(database)}{NEW}%") + databases_like(
        database, f"{name(database)}{OLD}%"
    )
    with server_of(database) as server:
        for one in beside:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(one)))
