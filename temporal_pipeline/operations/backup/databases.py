"""Databases beside the application's on its server: made like it, filled from a dump, dropped again."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import Connection, make_url
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.archive import Archive
from temporal_pipeline.operations.backup.programs import Programs, failure, running, without_secrets

# Databases that every server has, from which others can be made and renamed.
MAINTENANCE = ("postgres", "template1")
# What a database beside the application's is for: its name is that of the other, this, and a time.
SCRATCH = "_scratch_"
NEW = "_restoring_"
OLD = "_before_restore_"
STAMP = "%Y%m%d_%H%M%S"
# PostgreSQL cuts longer names off.
LONGEST_NAME = 63
# Reading the dump and building indexes overlap; more would take the application's share of the server.
JOBS = 2
# Since this version pg_restore sets a parameter that an older server does not know, and counts that as an error.
SETS_TRANSACTION_TIMEOUT = 17
_ERROR = ": error: "
_UNKNOWN_PARAMETER = "Command was: SET transaction_timeout = 0;"

queries = Queries(__package__)


def name_of(database: Database) -> str:
    """The database's name, as the server says: what the URL lacks, libpq takes from elsewhere."""
    with database.transaction(read_only=True) as connection:
        return str(connection.execute(queries["name"]).scalar_one())


def name_beside(name: str, purpose: str, when: datetime) -> str:
    """A name for a database beside `name`. Raises PipelineError (exit code 5) when that is too long for it."""
    found = f"{name}{purpose}{when:{STAMP}}"
    if (excess := len(found.encode()) - LONGEST_NAME) > 0:
        raise PipelineError(
            f"the name of the database {name!r} is too long to make {found!r} beside it",
            hint=f"make it {excess} bytes shorter: ALTER DATABASE … RENAME TO …",
            exit_code=5,
        )
    return found


def beside(database: Database, name: str) -> Database:
    """Another database of the same server. To be disposed of by the caller."""
    return Database(make_url(database.url).set(database=name).render_as_string(hide_password=False))


@contextmanager
def maintenance(database: Database) -> Iterator[Database]:
    """A database of the same server from which the application's own can be renamed.

    Raises PipelineError when none of those that every server has lets us in.
    """
    for name in MAINTENANCE:
        candidate = beside(database, name)
        try:
            with candidate.transaction(read_only=True):
                pass
        except PipelineError as error:
            candidate.dispose()
            refusal = error
            continue
        try:
            yield candidate
        finally:
            candidate.dispose()
        return
    raise refusal


@contextmanager
def autocommit(database: Database) -> Iterator[Connection]:
    """A connection for statements that take long or do not run in a transaction."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # What is set in the session must not reach whoever gets the connection from the pool next.
        connection.detach()
        connection.execute(queries["no_statement_timeout"])
        yield connection


def run(connection: Connection, statement: str) -> CursorResult[*tuple[Any, ...]]:
    """Execute a statement that the server or `ddl` composed; % in a name is left alone."""
    return connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def ddl(template: LiteralString, *names: str) -> str:
    """A statement with names in it, quoted."""
    return sql.SQL(template).format(*map(sql.Identifier, names)).as_string(None)


def require_rights(server: Connection, database: str, *, owner: bool) -> None:
    """Raise PipelineError (exit code 5) unless this role may make databases, and owns `database` if need be."""
    rights = server.execute(queries["rights"], {"database": database}).one()
    if not rights.may_create:
        raise PipelineError(
            f"the role {rights.role!r} may not make databases",
            hint=f"as a superuser: {ddl('ALTER ROLE {} CREATEDB', rights.role)}",
            exit_code=5,
        )
    if owner and not rights.owns:
        raise PipelineError(
            f"the role {rights.role!r} does not own the database {database!r}",
            hint="connect as its owner or as a superuser",
            exit_code=5,
        )


def create_like(server: Connection, original: str, name: str, *, same_owner: bool = True) -> None:
    """Make an empty database with encoding, locale, tablespace and owner of `original`, else our own."""
    wanted = {"original": original, "name": name, "same_owner": same_owner}
    try:
        run(server, server.execute(queries["create_like"], wanted).scalar_one())
    except DBAPIError as error:
        raise refused(error, f"cannot make a database like {original!r}") from None


def give_properties(server: Connection, original: str, name: str) -> None:
    """Give `name` the settings, connection limit, comment and grants of `original`.

    Raises PipelineError that says which of them cannot be given: values may be secret and are not shown.
    """
    for row in server.execute(queries["properties_like"], {"original": original, "name": name}).all():
        try:
            if row.setting is not None:
                server.execute(queries["in_this_session"], {"name": row.setting, "value": row.value})
            run(server, row.statement)
        except DBAPIError as error:
            raise refused(error, f"cannot give the new database the {row.about} of {original!r}") from None


def drop(server: Connection, name: str) -> None:
    """Drop a database with whoever is connected to it."""
    try:
        run(server, ddl("DROP DATABASE IF EXISTS {} WITH (FORCE)", name))
    except DBAPIError as error:
        raise refused(error, f"cannot drop the database {name!r}") from None


def load(programs: Programs, database: Database, archive: Archive, *options: str) -> None:
    """Restore a dump into an empty database; the first error ends it. Raises PipelineError with that.

    `options` are further ones of pg_restore.
    """
    server = _require_empty(database) // 10_000
    if server < SETS_TRANSACTION_TIMEOUT <= programs.major:
        # One job, since two write their complaints into each other's.
        complaints = _pg_restore(programs, database, archive, "--jobs=1", *options)
        if complaints.count(_ERROR) > complaints.count(_UNKNOWN_PARAMETER):
            raise failure(programs.pg_restore, _without_unknown_parameter(complaints))
    else:
        _pg_restore(programs, database, archive, f"--jobs={JOBS}", "--exit-on-error", *options)


def _require_empty(database: Database) -> int:
    """The server's version. Raises PipelineError (exit code 5) when the URL that pg_restore gets leads to another
    database than the one that it names, or to one that has tables.
    """
    intended = make_url(database.url).database
    url, secrets = without_secrets(database)
    with psycopg.connect(url, password=secrets.get("PGPASSWORD")) as connection:
        found = connection.execute(queries["target"].text.encode()).fetchone()
        version = connection.info.server_version
    assert found is not None
    if found != (intended, 0):
        raise PipelineError(
            f"pg_restore would write into the database {found[0]!r}, which has {found[1]} tables, "
            f"instead of the empty {intended!r}",
            hint="name the database once, before the ? of DATABASE_URL",
            exit_code=5,
        )
    return version


def _pg_restore(programs: Programs, database: Database, archive: Archive, *options: str) -> str:
    """What it complained about and went on after."""
    with running(programs.pg_restore, *options, archive.path, database=database) as process:
        _, complaints = process.communicate()
    ended_early = process.returncode not in (0, 1) or "--exit-on-error" in options
    if process.returncode and (ended_early or _UNKNOWN_PARAMETER not in complaints):
        raise failure(programs.pg_restore, complaints)
    return complaints


def _without_unknown_parameter(complaints: str) -> str:
    return re.sub(rf"^.*{_ERROR}.*\n{re.escape(_UNKNOWN_PARAMETER)}\n", "", complaints, flags=re.MULTILINE)


def tables(connection: Connection) -> frozenset[str]:
    """Every table that a dump has the rows of, as `schema.name`."""
    return frozenset(row.name for row in connection.execute(queries["counting_statements"]))


def row_counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has, as `schema.name`."""
    statements = connection.execute(queries["counting_statements"]).all()
    return {row.name: run(connection, row.statement).scalar_one() for row in statements}


def refused(error: DBAPIError, what: str) -> PipelineError:
    """What the server said, without the statement."""
    cause = error.orig
    reason = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    denied = isinstance(cause, psycopg.errors.InsufficientPrivilege)
    return PipelineError(
        f"{what}: {reason or cause}",
        hint="connect as a superuser" if denied else "when the cause is gone, run the same command again",
        exit_code=5 if denied else 1,
    )
