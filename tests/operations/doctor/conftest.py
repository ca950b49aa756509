"""A role that owns the application's tables and is nobody special otherwise; servers of a test's own."""

import uuid
from collections.abc import Callable, Iterable, Iterator

import pytest
from sqlalchemy import Connection, make_url

from temporal_pipeline.database import Database
from temporal_pipeline.operations.doctor.finding import Finding, Status, Verdict
from tests.migrations.tools import execute, rows


def examined(database: Database, examination: Callable[[Connection], Verdict]) -> Verdict:
    """What one examination comes to, in a transaction as that of the doctor."""
    with database.transaction(read_only=True) as connection:
        return examination(connection)


def not_ok(findings: Iterable[Finding]) -> list[Finding]:
    """What is wrong with a server; which programs are installed is a matter of the machine."""
    return [
        finding
        for finding in findings
        if finding.verdict.status is not Status.OK and finding.name != "backup_programs"
    ]


def name_of(database: Database) -> str:
    name = make_url(database.url).database
    assert name is not None
    return name


def role_of(database: Database) -> str:
    role = make_url(database.url).username
    assert role is not None
    return role


@pytest.fixture
def owner(legacy_database: Database) -> Iterator[Database]:
    """The legacy database as its tables' owner sees it, with every right that the documents ask for."""
    role = f"owner_{uuid.uuid4().hex[:8]}"
    name = name_of(legacy_database)
    execute(legacy_database, f"CREATE ROLE {role} LOGIN PASSWORD 'pa55word' IN ROLE pg_read_all_stats")
    execute(legacy_database, f"GRANT CREATE ON SCHEMA public TO {role}")
    execute(legacy_database, f'GRANT CREATE ON DATABASE "{name}" TO {role}')
    for table in rows(legacy_database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        execute(legacy_database, f"ALTER TABLE {table.tablename} OWNER TO {role}")
    url = make_url(legacy_database.url).set(username=role, password="pa55word")
    database = Database(url.render_as_string(hide_password=False))
    yield database
    database.dispose()
    execute(legacy_database, f"REASSIGN OWNED BY {role} TO CURRENT_USER")
    execute(legacy_database, f"DROP OWNED BY {role}")
    execute(legacy_database, f"DROP ROLE {role}")
