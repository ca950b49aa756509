"""All examinations, in the order in which an obstacle would be met."""

from collections.abc import Callable, Sequence

from psycopg import errors as pg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.schema.upgrade import is_at_head
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.doctor import activity, backups, rights, server, tables, work
from temporal_pipeline.operations.doctor.finding import Finding, Verdict, fail, ok, warn
from temporal_pipeline.operations.doctor.pooler import REMEDY, Entrance, Pooling, look_at_entrance

queries = Queries(__package__)

# The name of the function is the name of its finding.
Examination = Callable[[Connection], Verdict]

OF_THE_SERVER: tuple[Examination, ...] = (
    server.writable,
    server.extensions,
    server.chinese_trigrams,
    server.free_connections,
    server.lock_table,
    server.time_limits,
    rights.sees_other_sessions,
    activity.long_transactions,
    activity.idle_in_transaction,
    activity.prepared_transactions,
    activity.replication_slots,
    backups.backup_disk,
    backups.backup_programs,
)
# Only the application's tables make sense of these.
OF_THE_TABLES: tuple[Examination, ...] = (
    rights.search_path,
    rights.right_to_create,
    rights.ownership,
    rights.table_rights,
    tables.plain_tables,
    tables.application_columns,
    tables.row_level_security,
    tables.triggers,
    tables.invalid_indexes,
    tables.unvalidated_constraints,
    activity.lock_holders,
    activity.autovacuum,
    work.schema_revision,
    work.schema_definition,
)
# Only the complete temporal schema has them.
OF_THE_WORK: tuple[Examination, ...] = (
    work.contents_to_prepare,
    work.contents_to_link,
    work.unfinished_cuts,
    work.open_drafts,
    work.failed_entities,
    work.undelivered_alerts,
)


def examine(database: Database) -> list[Finding]:
    """Look at everything that a migration or a run could meet; reads only, and waits for nobody.

    What cannot be examined, for lack of a right or because somebody has locked it, is a warning with the
    reason. Costs about a second at 1e6 contents, and never raises for what it finds.
    """
    try:
        entrance = look_at_entrance(database)
    except PipelineError as error:
        return [Finding("connection", fail(error.message, error.hint))]
    at_the_door = [
        Finding("pooler", _pooler(entrance)),
        Finding("server_version", server.version_verdict(entrance.version)),
        Finding("encoding", server.encoding_verdict(entrance.encoding)),
    ]
    # Without a version and an encoding that we know, nothing further could be read.
    if any(finding.fails for finding in at_the_door[1:]):
        return [Finding("connection", ok(f"to {database.safe_url}")), *at_the_door]
    findings: list[Finding] = []
    try:
        with database.transaction(read_only=True) as connection:
            connection.execute(queries["limit_ourselves"])
            findings += _examine(connection)
    except PipelineError as error:
        # A pooler may refuse what the server itself would take.
        pooled = entrance.pooling is not Pooling.NONE
        connected = fail(error.message, "connect to the server directly" if pooled else error.hint)
    except DBAPIError as error:
        connected = fail(f"the connection was lost: {_reason(error)}", "see the server's log")
    else:
        connected = ok(f"to {database.safe_url}")
    return [Finding("connection", connected), *at_the_door, *findings]


def _examine(connection: Connection) -> list[Finding]:
    findings = _all(connection, OF_THE_SERVER)
    foreign = _examined(connection, tables.crosshot_database)
    findings.append(foreign)
    if not foreign.fails:
        findings += _all(connection, OF_THE_TABLES)
        if _is_at_head(connection):
            findings += _all(connection, OF_THE_WORK)
    return findings


def _is_at_head(connection: Connection) -> bool:
    """Not as far as it can be seen, if it cannot be seen; the findings say why."""
    try:
        with connection.begin_nested():
            return is_at_head(connection)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return False


def _all(connection: Connection, examinations: Sequence[Examination]) -> list[Finding]:
    return [_examined(connection, examination) for examination in examinations]


def _examined(connection: Connection, examination: Examination) -> Finding:
    try:
        with connection.begin_nested():
            verdict = examination(connection)
    except PipelineError as error:
        verdict = fail(error.message, error.hint)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        verdict = warn(f"could not be examined: {_reason(error)}", _remedy(error))
    return Finding(examination.__name__, verdict)


def _pooler(entrance: Entrance) -> Verdict:
    if entrance.pooling is Pooling.TRANSACTION:
        return fail(f"{entrance.pooling.value} is between us and the server", REMEDY)
    return ok(entrance.pooling.value)


def _remedy(error: DBAPIError) -> str:
    if isinstance(error.orig, pg.InsufficientPrivilege):
        return "run doctor as the owner of the application's tables"
    return "run doctor again when the database is less busy"


def _reason(error: DBAPIError) -> str:
    """The server's own words in one line, without the statement."""
    return (str(error.orig).splitlines() or [type(error.orig).__name__])[0]
