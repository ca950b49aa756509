"""What may be wrong with the application's tables, and with ours."""

from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import Connection, text

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.doctor import tables
from temporal_pipeline.operations.doctor.finding import Status, Verdict
from tests.migrations.tools import execute, rows
from tests.operations.doctor.conftest import examined, role_of

Examination = Callable[[Connection], Verdict]


def test_another_database_is_not_the_applications(empty_database: Database) -> None:
    with pytest.raises(PipelineError, match="this is not a Crosshot database"):
        examined(empty_database, tables.crosshot_database)


@pytest.mark.parametrize(
    ("change", "oddity"),
    [
        ("CREATE TABLE old_contents () INHERITS (contents)", "contents inherits or is inherited from"),
        ("ALTER TABLE topic_users SET UNLOGGED; ALTER TABLE content_media SET UNLOGGED;"
         "ALTER TABLE contents SET UNLOGGED", "contents is unlogged"),
        ("CREATE RULE quiet AS ON UPDATE TO chat_messages DO INSTEAD NOTHING",
         "rule quiet of chat_messages changes what is written"),
        ("DROP TABLE chat_messages; CREATE VIEW chat_messages AS SELECT 1 AS id", "chat_messages is a view"),
        ("DROP TABLE chat_messages; CREATE TABLE chat_messages (id int) PARTITION BY HASH (id)",
         "chat_messages is partitioned"),
    ],
)  # fmt: skip
def test_tables_that_are_not_ordinary_fail(legacy_database: Database, change: str, oddity: str) -> None:
    execute(legacy_database, change)
    verdict = examined(legacy_database, tables.plain_tables)
    assert verdict.status is Status.FAIL
    assert verdict.details == (oddity,)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ("ALTER TABLE contents DROP COLUMN crawled_at",
         "contents.crawled_at timestamp with time zone is missing"),
        ("ALTER TABLE topics RENAME config TO settings", "topics.config jsonb is missing"),
        ("ALTER TABLE tasks ALTER payload DROP DEFAULT, ALTER payload TYPE json",
         "tasks.payload is json, not jsonb"),
        ("ALTER TABLE contents ALTER crawled_at TYPE timestamp",
         "contents.crawled_at is timestamp without time zone, not timestamp with time zone"),
        ("ALTER TABLE contents DROP CONSTRAINT contents_pkey CASCADE",
         "contents.id has neither primary key nor unique index"),
    ],
)  # fmt: skip
def test_columns_that_we_cannot_read_fail(legacy_database: Database, change: str, wrong: str) -> None:
    execute(legacy_database, change)
    verdict = examined(legacy_database, tables.application_columns)
    assert verdict.status is Status.FAIL
    assert verdict.details == (wrong,)


def test_columns_of_a_similar_type_will_do(legacy_database: Database) -> None:
    execute(
        legacy_database,
        "ALTER TABLE contents ALTER platform TYPE text, ALTER hashtags TYPE varchar(40)[];"
        "ALTER TABLE topics ALTER total_contents TYPE bigint;"
        "CREATE DOMAIN state AS text; ALTER TABLE tasks ALTER status TYPE state",
    )
    assert examined(legacy_database, tables.application_columns).status is Status.OK


def test_no_other_column_is_read(legacy_database: Database) -> None:
    """With all other columns renamed, the schema can be made and every query of the graph is understood."""
    with legacy_database.transaction() as connection:
        legacy = connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND table_name = ANY (:tables)"
            ),
            {"tables": list(tables.COLUMNS_READ)},
        ).all()
        others = [row for row in legacy if row.column_name not in tables.COLUMNS_READ[row.table_name]]
        for row in others:
            connection.exec_driver_sql(
                f"ALTER TABLE {row.table_name} RENAME {row.column_name} TO {row.column_name}_2"
            )
    assert others
    upgrade(legacy_database)
    domains = ("contents", "effectiveness", "events", "periods", "schema", "snapshots", "trends")
    with legacy_database.transaction(read_only=True) as connection:
        for package in ("crawls", "cli", *(f"defs.{domain}" for domain in domains)):
            queries = Queries(f"temporal_pipeline.{package}")
            for name in queries:
                explain = text(f"EXPLAIN {queries[name].text}")
                if not _is_utility(queries[name].text):
                    connection.execute(explain, dict.fromkeys(explain._bindparams))


def _is_utility(query: str) -> bool:
    statement = "\n".join(line for line in query.splitlines() if not line.startswith("--"))
    return statement.lstrip().upper().startswith(("REFRESH", "SET", "LOCK", "ANALYZE"))


def test_policies_that_hide_rows_fail_and_end_with_the_remedy(
    legacy_database: Database, owner: Database
) -> None:
    execute(
        owner, "ALTER TABLE contents ENABLE ROW LEVEL SECURITY; ALTER TABLE contents FORCE ROW LEVEL SECURITY"
    )
    verdict = examined(owner, tables.row_level_security)
    assert verdict.status is Status.FAIL
    assert verdict.found == f"policies hide rows of contents from {role_of(owner)}"
    execute(legacy_database, verdict.remedy.removeprefix("as a superuser: "))
    assert examined(owner, tables.row_level_security).status is Status.OK


def test_triggers_that_a_backfill_fires_are_a_warning(legacy_database: Database) -> None:
    execute(
        legacy_database,
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER each_update BEFORE UPDATE ON contents FOR EACH ROW EXECUTE FUNCTION nothing();"
        "CREATE TRIGGER text_only AFTER UPDATE OF text ON contents FOR EACH ROW EXECUTE FUNCTION nothing();"
        "CREATE TRIGGER each_insert AFTER INSERT ON contents FOR EACH ROW EXECUTE FUNCTION nothing();"
        "CREATE TRIGGER switched_off AFTER UPDATE ON topics FOR EACH ROW EXECUTE FUNCTION nothing();"
        "ALTER TABLE topics DISABLE TRIGGER switched_off",
    )
    verdict = examined(legacy_database, tables.triggers)
    assert verdict.status is Status.WARN
    assert verdict.details == ("contents: trigger each_update fires for each updated row",)


def test_foreign_keys_that_are_switched_off_are_a_warning_and_end_with_the_remedy(
    legacy_database: Database,
) -> None:
    execute(legacy_database, "ALTER TABLE contents DISABLE TRIGGER ALL")
    verdict = examined(legacy_database, tables.triggers)
    assert verdict.status is Status.WARN
    assert "contents: foreign key contents_task_id_fkey is not enforced" in verdict.details
    assert verdict.remedy == "ALTER TABLE contents ENABLE TRIGGER ALL"
    execute(legacy_database, verdict.remedy)
    assert examined(legacy_database, tables.triggers).status is Status.OK


@pytest.mark.parametrize(
    ("table", "examination", "cause"),
    [
        ("contents", tables.invalid_indexes, "CREATE UNIQUE INDEX CONCURRENTLY broken ON contents (platform)"),
        ("temporal_events", tables.invalid_indexes, "REINDEX INDEX CONCURRENTLY idx_events_type"),
    ],
)  # fmt: skip
def test_an_index_that_a_crash_left_is_a_warning(
    database: Database, table: str, examination: Examination, cause: str
) -> None:
    with (
        psycopg.connect(libpq_url(database)) as holder,
        psycopg.connect(libpq_url(database), autocommit=True) as crashing,
    ):
        holder.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
        crashing.execute("SET statement_timeout = '200ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            crashing.execute(cause.encode())
    verdict = examined(database, examination)
    assert verdict.status is Status.WARN
    assert len(verdict.details) == 1
    assert verdict.details[0].endswith(f"on {table}")
    command = verdict.remedy.split("; ")[0]
    assert command.startswith("REINDEX INDEX CONCURRENTLY ")


def test_an_index_that_is_being_built_is_no_invalid_one(database: Database) -> None:
    with (
        psycopg.connect(libpq_url(database)) as holder,
        psycopg.connect(libpq_url(database), autocommit=True) as building,
    ):
        holder.execute("LOCK TABLE contents IN ROW EXCLUSIVE MODE")
        pid = building.info.backend_pid
        generator = building.pgconn
        generator.send_query(b"CREATE INDEX CONCURRENTLY slow ON contents (lang)")
        while not rows(database, "SELECT FROM pg_index WHERE NOT indisvalid"):
            pass
        assert examined(database, tables.invalid_indexes).status is Status.OK
        execute(database, f"SELECT pg_cancel_backend({pid})")
        while generator.get_result():
            pass


def test_constraints_that_were_not_validated_are_a_warning_and_end_with_the_remedy(
    database: Database,
) -> None:
    execute(
        database,
        "ALTER TABLE contents ADD CONSTRAINT has_url CHECK (source_url <> '') NOT VALID;"
        "ALTER TABLE temporal_events ADD CONSTRAINT has_title CHECK (title <> '') NOT VALID",
    )
    verdict = examined(database, tables.unvalidated_constraints)
    assert verdict.status is Status.WARN
    assert verdict.details == ("has_url of contents", "has_title of temporal_events")
    for command in verdict.remedy.split("; ")[:2]:
        execute(database, command)
    assert examined(database, tables.unvalidated_constraints).status is Status.OK
