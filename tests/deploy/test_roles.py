"""Who may do what in a deployment, held against the definition of the schema."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.schema.definition.model import ALTERED_TABLES, MATERIALIZED_VIEW, TABLES
from temporal_pipeline.defs.schema.definition.private import PRIVATE_TABLES
from temporal_pipeline.defs.schema.upgrade import downgrade, upgrade
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.dump import take_backup
from temporal_pipeline.operations.backup.restore import restore
from temporal_pipeline.operations.doctor.rights import ownership
from temporal_pipeline.operations.verification import verify
from temporal_pipeline.settings import PROJECT_ROOT
from tests.crosshot_rows import add_chat_message, add_content, add_task, add_topic, add_user, at
from tests.deploy.stack import DEPLOY, Stack
from tests.test_queries import NAMED, UTILITY

pytestmark = pytest.mark.slow

OURS = {
    *(table.name for table in TABLES),
    *(table.name for table in PRIVATE_TABLES.values()),
    MATERIALIZED_VIEW,
}


# All but what makes and plays the application's own data.
WORK = [(package, name) for package, name in NAMED if not package.startswith("temporal_pipeline.crosshot")]


@pytest.fixture(scope="module")
def pipelines_database(migrated: Stack) -> Iterator[Database]:
    database = Database(migrated.url("pipeline"))
    yield database
    database.dispose()


@pytest.fixture
def superuser(migrated: Stack) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(migrated.url("postgres"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def pipeline(migrated: Stack) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(migrated.url("pipeline"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def analyst(migrated: Stack) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(migrated.url("analyst"), autocommit=True) as connection:
        yield connection


def test_nobody_gets_in_without_the_right_password(migrated: Stack) -> None:
    for role in ("postgres", "crosshot", "pipeline", "analyst"):
        psycopg.connect(migrated.url(role)).close()
        for wrong in ("", role, "another"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(migrated.url(role), password=wrong)


def test_the_pipeline_owns_what_is_ours(superuser: psycopg.Connection[tuple[object, ...]]) -> None:
    owned = superuser.execute(
        "SELECT CAST(CAST(oid AS regclass) AS text) FROM pg_class "
        "WHERE relowner = to_regrole('pipeline') AND relkind IN ('r', 'm', 'v')"
    )
    assert {name for (name,) in owned} == OURS


def test_of_the_applications_tables_it_writes_the_documented_columns(
    superuser: psycopg.Connection[tuple[object, ...]],
) -> None:
    writable = superuser.execute(
        "SELECT CAST(CAST(c.oid AS regclass) AS text), a.attname FROM pg_class c "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "WHERE c.relkind IN ('r', 'v', 'm') AND c.relowner <> to_regrole('pipeline') "
        "AND c.relnamespace <> to_regnamespace('pg_catalog') "
        "AND (has_column_privilege('pipeline', c.oid, a.attnum, 'UPDATE') "
        "     OR has_column_privilege('pipeline', c.oid, a.attnum, 'INSERT'))"
    )
    documented = {(table.name, column.name) for table in ALTERED_TABLES for column in table.columns}
    assert set(writable.fetchall()) == documented
    deletable = superuser.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relowner <> to_regrole('pipeline') "
        "AND relnamespace <> to_regnamespace('pg_catalog') "
        "AND has_table_privilege('pipeline', oid, 'DELETE, TRUNCATE, REFERENCES, TRIGGER')"
    )
    assert deletable.fetchall() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE topics SET name = name",
        "DELETE FROM contents",
        "CREATE TABLE public.another (id int)",
        "CREATE TABLE temporal_pipeline.another (id int)",
        "CREATE OR REPLACE VIEW v_period_timeline AS SELECT 1 AS id",
        "ALTER TABLE contents DROP COLUMN text",
    ],
)
def test_the_pipeline_may_not(pipeline: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        pipeline.execute(statement.encode())


def test_the_pipeline_may_refresh_and_vacuum(pipeline: psycopg.Connection[tuple[object, ...]]) -> None:
    notices: list[str | None] = []
    pipeline.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    pipeline.execute("REFRESH MATERIALIZED VIEW mv_period_metrics_trend")
    pipeline.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY mv_period_metrics_trend")
    for table in sorted(OURS):
        pipeline.execute(f"VACUUM (ANALYZE) {table}".encode())
    assert notices == []


@pytest.mark.parametrize(("package", "name"), WORK)
def test_the_pipeline_may_do_all_its_work(pipelines_database: Database, package: str, name: str) -> None:
    """PostgreSQL looks at the rights of a statement also when it only tells how it would execute it."""
    query = Queries(package)[name]
    statement = "\n".join(line for line in query.text.splitlines() if not line.startswith("--"))
    if statement.lstrip().upper().startswith(UTILITY):
        pytest.skip("a utility statement has no plan")
    explain = text(f"EXPLAIN {query.text}")
    with pipelines_database.transaction() as connection:
        connection.execute(explain, dict.fromkeys(explain._bindparams))


@pytest.mark.parametrize("table", sorted(OURS | {table.name for table in ALTERED_TABLES}))
def test_an_analyst_may_look_and_not_touch(
    analyst: psycopg.Connection[tuple[object, ...]], table: str
) -> None:
    if table != MATERIALIZED_VIEW:
        analyst.execute(f"SELECT FROM {table} LIMIT 1".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute(f"DELETE FROM {table}".encode())
    else:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute(f"REFRESH MATERIALIZED VIEW {table}".encode())


def test_what_the_page_on_configuration_grants_is_what_is_granted_here() -> None:
    page = (PROJECT_ROOT / "docs" / "configuration.md").read_text()
    blocks = [block for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if "TO analyst" in block]
    statements = [
        line for block in blocks for line in block.splitlines() if not line.startswith("CREATE ROLE")
    ]
    assert len(statements) == 3
    rights = (DEPLOY / "rights.sql").read_text().splitlines()
    assert [statement for statement in statements if statement not in rights] == []


def test_a_second_migration_finds_nothing_to_do(migrated: Stack) -> None:
    done = migrated.run("migrate", *migrated.model["services"]["migrate"]["command"])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert not list((migrated.folder / "backups").glob("*"))[1:]


def test_every_role_finds_the_schema_as_it_should_be(migrated: Stack) -> None:
    for role in ("crosshot", "pipeline", "analyst"):
        database = Database(migrated.url(role))
        assert [claim for claim in verify(database) if not claim.holds] == [], role
        database.dispose()
    owner = Database(migrated.url("crosshot"))
    with owner.transaction(read_only=True) as connection:
        assert ownership(connection).status == "ok"
    owner.dispose()


@pytest.fixture
def another(migrated: Stack, superuser: psycopg.Connection[tuple[object, ...]]) -> Iterator[str]:
    """The name of a further database of the application, still without our schema."""
    name = f"another_{secrets.token_hex(4)}"
    superuser.execute(f'CREATE DATABASE "{name}" OWNER crosshot'.encode())
    legacy = PROJECT_ROOT / "temporal_pipeline" / "crosshot" / "legacy.sql"
    assert migrated.psql("crosshot", "--file", legacy, database=name).returncode == 0
    yield name
    superuser.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_the_owner_migrates_back_and_forth(migrated: Stack, another: str) -> None:
    """Although most of what is dropped and made belongs to another role by then."""
    owner = Database(migrated.url("crosshot", another))
    for _ in range(2):
        upgrade(owner)
        done = migrated.psql("crosshot", "--file", DEPLOY / "rights.sql", database=another)
        assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr
        downgrade(owner)
    owner.dispose()


def test_a_superuser_restores_what_the_owner_backed_up(
    migrated: Stack, another: str, superuser: psycopg.Connection[tuple[object, ...]], tmp_path: Path
) -> None:
    owner, mighty = (Database(migrated.url(role, another)) for role in ("crosshot", "postgres"))
    upgrade(owner)
    assert migrated.psql("crosshot", "--file", DEPLOY / "rights.sql", database=another).returncode == 0
    superuser.execute(b"ALTER ROLE crosshot CREATEDB")
    backup = take_backup(owner, tmp_path, verify=True)
    with pytest.raises(PipelineError, match="permission denied for schema public"):
        restore(owner, backup.path)
    kept = restore(mighty, backup.path).kept
    query = "SELECT tableowner FROM pg_tables WHERE tablename = 'analysis_periods'"
    assert migrated.psql("analyst", "-Atc", query, database=another).stdout == "pipeline\n"
    superuser.execute(f'DROP DATABASE "{kept}"'.encode())
    superuser.execute(b"ALTER ROLE crosshot NOCREATEDB")
    for database in (owner, mighty):
        database.dispose()


def test_the_pipeline_brings_everything_up_to_date(migrated: Stack) -> None:
    """Every step with something to write; that the schema is at head it can see, and needs no more."""
    application = Database(migrated.url("crosshot"))
    with application.transaction() as connection:
        topic, user = add_topic(connection, "Sleeper cars"), add_user(connection)
        for owner in ({"topic": topic}, {"user": user}, {"topic": topic, "user": user}):
            task = add_task(connection, started_at=at(0), **owner)
            add_content(connection, task=task, crawled_at=at(0.1), published_at=at(-1), **owner)
        add_chat_message(connection, topic=topic, created_at=at(0), content="what is new?")
    application.dispose()
    done = migrated.run("code", "temporal-pipeline", "update", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    with psycopg.connect(migrated.url("analyst")) as analyst:
        query = "SELECT count(*) FROM contents WHERE analysis_period_id IS NULL OR published_at IS NULL"
        assert analyst.execute(query + " AND data <> '{}'").fetchone() == (0,)
        assert analyst.execute("SELECT count(period_id) FROM chat_messages").fetchone() == (1,)


def test_passwords_are_set_anew_by_running_it_again(stack: Stack) -> None:
    before = stack.password("analyst")
    file = stack.secrets / "analyst_password"
    file.chmod(0o644)
    file.write_text("a_new_one:with'and\\")
    try:
        assert stack.psql("postgres", "--file", DEPLOY / "roles.sql").returncode == 0
        psycopg.connect(stack.url("analyst")).close()
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(stack.url("analyst"), password=before)
    finally:
        file.write_text(before)
        assert stack.psql("postgres", "--file", DEPLOY / "roles.sql").returncode == 0


def test_without_a_password_no_role_is_made(stack: Stack) -> None:
    file = stack.secrets / "pipeline_password"
    away = file.rename(file.with_name("away"))
    try:
        done = stack.psql("postgres", "--file", DEPLOY / "roles.sql")
        assert done.returncode == 3
        assert "a file with a password is missing or empty" in done.stderr
    finally:
        away.rename(file)
    psycopg.connect(stack.url("pipeline")).close()
