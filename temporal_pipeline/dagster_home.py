"""Where Dagster keeps its things: tables in a PostgreSQL database beside the application's, never inside it;
files, of which there are few, under TEMPORAL_PIPELINE_HOME.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import URL, Connection, String, TextClause, bindparam, make_url, text
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import PROJECT_ROOT, Settings
from temporal_pipeline.urls import as_libpq_reads_it, normalise_url

if TYPE_CHECKING:
    from dagster import DagsterInstance

DATABASE = "dagster"
CONFIGURATION = PROJECT_ROOT / "dagster.yaml"
ALEMBIC_CONFIGURATION = PROJECT_ROOT / "pyproject.toml"

STATEMENT_TIMEOUT_MS = 60_000

# Says whose runs the database `dagster` keeps.
MARK = "Runs of temporal_pipeline on the database "
_MARK_OF = text(
    "SELECT shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname = CAST(:name AS text)"
)
_HAS_RUNS = text("SELECT to_regclass('runs') IS NOT NULL")
_LAST_RUN = text("""
    SELECT run_id, pipeline_name AS job, status, to_timestamp(start_time) AS started_at,
           to_timestamp(end_time) AS ended_at
    FROM runs ORDER BY id DESC LIMIT 1
""")
# The name was taken between our look and our attempt: by another process of ours.
_MADE_MEANWHILE = (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation)


def libpq_url(database: Database) -> str:
    """The application's database as psql, pg_dump and every other PostgreSQL program understands it."""
    return as_libpq_reads_it(make_url(database.url))


def dagster_url(database: Database) -> str:
    """The URL of Dagster's tables: `DAGSTER_DATABASE_URL`, else database `dagster` on the same server.

    With its driver spelled out: dagster-postgres sends NOTIFY in a way that psycopg 3 does not take.
    Raises PipelineError (exit code 2) when that is the application's own database: both have a table
    `alembic_version`.
    """
    given = Settings().dagster_database_url
    ours = make_url(database.url)
    if given is None:
        url = ours.set(database=DATABASE)
    else:
        url = make_url(normalise_url(given.get_secret_value(), "DAGSTER_DATABASE_URL"))
    if _place(url) == _place(ours):
        raise PipelineError(
            f"Dagster's tables would lie in the application's own database {ours.database!r}",
            hint="set DAGSTER_DATABASE_URL to another database",
            exit_code=2,
        )
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def ensure_dagster_database(database: Database) -> str:
    """The URL of Dagster's tables, in a database that is made on first use, also by two processes at once.

    Raises PipelineError (exit code 5) with the statement to run when we may not make it, and when the default one
    keeps the runs of another application database of the same server: each would take the other's runs for its own.
    """
    url = dagster_url(database)
    if Settings().dagster_database_url is not None:
        _reach(url)
        return url
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if (mark := _mark(connection)) is None:
            try:
                # template0, since a connection to template1 would make us wait or fail.
                connection.execute(text(f'CREATE DATABASE "{DATABASE}" TEMPLATE template0'))
            except DBAPIError as error:
                if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
                    raise _may_not_create(database) from None
                if not isinstance(error.orig, _MADE_MEANWHILE):
                    raise
        if not mark:
            # Not where an administrator made it, who is its owner, or another process does the same just now.
            with suppress(DBAPIError):
                connection.execute(_comment(MARK + _name(database)))
            mark = _mark(connection)
    if _is_of_another(mark, database):
        raise PipelineError(
            f"the database {DATABASE!r} keeps the runs of another application database of this server: {mark}",
            hint=f"set DAGSTER_DATABASE_URL to a database for the runs on {_name(database)!r}; or, if that other "
            f'one is this one under its former name: COMMENT ON DATABASE "{DATABASE}" IS NULL',
            exit_code=5,
        )
    return url


def _mark(connection: Connection) -> str | None:
    """The comment of the database `dagster`, "" where it has none; None where there is no such database."""
    row = connection.execute(_MARK_OF, {"name": DATABASE}).first()
    return None if row is None else row.mark or ""


def _is_of_another(mark: str | None, database: Database) -> bool:
    return mark is not None and mark.startswith(MARK) and mark != MARK + _name(database)


def _comment(words: str) -> TextClause:
    words_as_literal = bindparam("words", words, String, literal_execute=True)
    return text(f'COMMENT ON DATABASE "{DATABASE}" IS :words').bindparams(words_as_literal)


def _name(database: Database) -> str:
    return str(make_url(database.url).database)


def environment(database: Database, dagster_database_url: str | None) -> dict[str, str]:
    """The variables by which every program finds the two databases, Dagster and Alembic their configuration.

    Raises PipelineError when the folder for Dagster's files cannot be made.
    """
    found = {
        "DATABASE_URL": libpq_url(database),
        "DAGSTER_HOME": str(_home()),
        "TEMPORAL_PIPELINE_HOME": str(Settings().home.resolve()),
        "ALEMBIC_CONFIG": str(ALEMBIC_CONFIGURATION),
    }
    if dagster_database_url is not None:
        found["DAGSTER_DATABASE_URL"] = dagster_database_url
    return found


@contextmanager
def dagster_instance(database: Database) -> "Iterator[DagsterInstance]":
    """Dagster's persistent instance, configured by dagster.yaml, for runs in this process."""
    import dagster as dg  # noqa: PLC0415 - takes a second, and most verbs do without

    os.environ.update(environment(database, ensure_dagster_database(database)))
    # Each process that meets an empty database makes the tables; one at a time, or they trip over each other.
    with database.exclusive("dagster tables"):
        instance = dg.DagsterInstance.get()
        # Else every event opens connections of its own, some 500 in a run, which take longer than the work.
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, pool_recycle=3600, max_overflow=20)
    with instance:
        yield instance


def last_run(database: Database) -> dict[str, Any] | None:
    """Dagster's latest run: run_id, job, status, started_at, ended_at.

    None as well where Dagster's database was never made, keeps the runs of another one, or cannot be reached: this
    must not keep anybody from reading the application's.
    """
    if Settings().dagster_database_url is None:
        with database.transaction(read_only=True) as connection:
            if _is_of_another(_mark(connection), database):
                return None
    storage = Database(normalise_url(dagster_url(database), "DAGSTER_DATABASE_URL"))
    try:
        with storage.transaction(read_only=True) as connection:
            row = connection.execute(_LAST_RUN).first() if connection.scalar(_HAS_RUNS) else None
    except PipelineError:
        return None
    finally:
        storage.dispose()
    return None if row is None else dict(row._mapping)


def _home() -> Path:
    """The folder that Dagster calls home, with a link to our configuration: it puts files beside that."""
    home = Settings().home.resolve() / "dagster"
    configuration = home / CONFIGURATION.name
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not configuration.is_symlink() or configuration.readlink() != CONFIGURATION:
            link = home / f".{CONFIGURATION.name}.{os.getpid()}"
            link.symlink_to(CONFIGURATION)
            link.replace(configuration)
    except OSError as error:
        raise PipelineError(
            f"cannot make the folder for Dagster's files: {error}",
            hint="set TEMPORAL_PIPELINE_HOME to a folder that you may write",
        ) from None
    return home


def _reach(url: str) -> None:
    storage = Database(normalise_url(url, "DAGSTER_DATABASE_URL"))
    try:
        with storage.transaction():
            pass
    except PipelineError as error:
        hint = error.hint.replace("DATABASE_URL", "DAGSTER_DATABASE_URL")
        raise PipelineError(f"Dagster's tables: {error.message}", hint=hint) from None
    finally:
        storage.dispose()


def _place(url: URL) -> tuple[object, ...]:
    return url.host, url.port or 5432, url.database, url.query.get("host"), url.query.get("port")


def _may_not_create(database: Database) -> PipelineError:
    user = make_url(database.url).username or "CURRENT_USER"
    return PipelineError(
        f"no database {DATABASE!r} for Dagster's tables, and no right to make it: {database.safe_url}",
        hint=f'let an administrator run: CREATE DATABASE {DATABASE} OWNER "{user}"; '
        "or set DAGSTER_DATABASE_URL to a database of another server",
        exit_code=5,
    )
