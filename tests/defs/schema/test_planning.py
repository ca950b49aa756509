"""The plan: which revision a statement belongs to, whom it meets, how long it may take, and who is refused."""

import pytest
from sqlalchemy import Connection, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.estimates import SECONDS_PER_STATEMENT, estimate, time_class
from temporal_pipeline.defs.schema.locks import TableLock
from temporal_pipeline.defs.schema.planning import PlannedStatement, plan, upgrade_script
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.errors import PipelineError
from tests.migrations.tools import execute
from tests.migrations.worlds import LATER_REVISION

MANY = 20_000


def _plan(database: Database) -> list[PlannedStatement]:
    with database.transaction(read_only=True) as connection:
        return plan(connection)


def _of(planned: list[PlannedStatement], step: str) -> PlannedStatement:
    [statement] = [statement for statement in planned if statement.step == step]
    return statement


@pytest.fixture
def large_database(legacy_database: Database) -> Database:
    execute(
        legacy_database,
        "INSERT INTO tasks (id, label) VALUES ('00000000-0000-0000-0000-000000000000', 'crawler:x');"
        " INSERT INTO contents (id, task_id, platform, source_url, crawled_at, text)"
        " SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'x', '', now(), repeat('a', 600)"
        f" FROM generate_series(1, {MANY})",
    )
    return legacy_database


def test_a_legacy_database_goes_through_every_revision_in_order(legacy_database: Database) -> None:
    planned = _plan(legacy_database)
    revisions = list(dict.fromkeys(statement.revision for statement in planned))
    assert revisions == ["20260301_0100", "20260301_0200", "20260301_0300", "reconcile"]
    beginnings = [" ".join(statement.sql.split()[:3]) for statement in planned]
    order = [
        beginnings.index(wanted)
        for wanted in (
            "CREATE TABLE alembic_version",
            "CREATE EXTENSION IF",
            "CREATE TABLE analysis_periods",
            "INSERT INTO alembic_version",
            "ALTER TABLE contents",
            "UPDATE alembic_version SET",
            "CREATE SCHEMA temporal_pipeline",
            "CREATE TABLE temporal_pipeline.cut",
        )
    ]
    assert order == sorted(order)
    assert order[0] == 0


def test_a_database_at_head_needs_nothing(connection: Connection) -> None:
    assert plan(connection) == []
    connection.execute(text(LATER_REVISION))
    assert plan(connection) == []


def test_what_a_database_at_head_lacks_is_reconciled(connection: Connection) -> None:
    connection.execute(text("DROP INDEX idx_tasks_period"))
    [statement] = plan(connection)
    assert (statement.revision, statement.step) == ("reconcile", "index idx_tasks_period")
    assert statement.sql == "CREATE INDEX CONCURRENTLY idx_tasks_period ON tasks (period_id)"


def test_the_revision_alone_may_be_pending(connection: Connection) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = '20260301_0200'"))
    [statement] = plan(connection)
    assert statement.revision == "20260301_0300"
    assert statement.sql.startswith("UPDATE alembic_version SET version_num='20260301_0300'")


def test_a_database_that_an_upgrade_refuses_has_no_plan(
    empty_database: Database, legacy_database: Database
) -> None:
    with pytest.raises(PipelineError, match="this is not a Crosshot database"):
        _plan(empty_database)
    execute(legacy_database, "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    execute(legacy_database, "INSERT INTO alembic_version VALUES ('something_else')")
    with pytest.raises(PipelineError, match="holds something_else, which is none of ours") as refused:
        _plan(legacy_database)
    assert refused.value.exit_code == 5


def test_a_schema_whose_name_needs_quotes(legacy_database: Database) -> None:
    execute(
        legacy_database,
        'ALTER SCHEMA public RENAME TO "My App";'
        """ DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = "My App"', current_database()); END $$""",
    )
    legacy_database.dispose()
    upgrade(legacy_database)
    assert _plan(legacy_database) == []
    execute(
        legacy_database,
        "CREATE FUNCTION recompute_metrics_delta(period text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )
    [statement] = _plan(legacy_database)
    assert statement.sql == "DROP FUNCTION recompute_metrics_delta(text)"


def test_only_what_is_there_before_can_be_met(legacy_database: Database) -> None:
    planned = _plan(legacy_database)
    assert _of(planned, "columns of contents").locks == (TableLock("contents", "ACCESS EXCLUSIVE"),)
    assert _of(planned, "columns of contents").is_met_by_writers
    assert not _of(planned, "index idx_contents_period").is_met_by_writers
    assert _of(planned, "constraint fk_topics_last_period").locks == (
        TableLock("topics", "SHARE ROW EXCLUSIVE"),
    )
    assert _of(planned, "table temporal_events").locks == ()
    assert _of(planned, "view v_period_timeline").locks == ()


@pytest.mark.parametrize("analysed", [True, False])
def test_rows_are_those_that_a_statement_reads(large_database: Database, analysed: bool) -> None:
    if analysed:
        execute(large_database, "ANALYZE contents")
    planned = _plan(large_database)
    for step in (
        "index idx_contents_period",
        "valid_content_relevance validated",
        "index idx_contents_unlinked",
    ):
        assert _of(planned, step).rows == pytest.approx(MANY, rel=0.2)
    for step in (
        "columns of contents",
        "constraint fk_contents_analysis_period",
        "index idx_topics_last_period",
    ):
        assert _of(planned, step).rows == 0


def test_an_estimate_grows_with_the_rows() -> None:
    index = "CREATE INDEX CONCURRENTLY idx_seen ON contents (seen_at)"
    trigrams = "CREATE INDEX CONCURRENTLY idx_seen ON contents USING gin (query gin_trgm_ops)"
    small, large = (estimate(index, {"contents": rows}) for rows in (1_000, 10_000_000))
    assert (time_class(small.seconds), time_class(large.seconds)) == ("instant", "seconds")
    assert time_class(estimate(trigrams, {"contents": 10_000_000}).seconds) == "minutes"
    assert estimate("ALTER TABLE contents\n    ADD COLUMN seen_at timestamptz", {"contents": 10**9}).rows == 0
    assert estimate(index, {}).seconds == SECONDS_PER_STATEMENT


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("ALTER TABLE contents VALIDATE CONSTRAINT fk_contents_analysis_period", "contents"),
        # A check that was validated before says that there is no null.
        ("ALTER TABLE topics ALTER COLUMN total_periods SET NOT NULL", None),
        ("ALTER TABLE analysis_periods ADD CONSTRAINT x EXCLUDE USING gist (a WITH =)", "analysis_periods"),
        (
            "DROP MATERIALIZED VIEW IF EXISTS mv;\nCREATE MATERIALIZED VIEW mv AS SELECT 1",
            "analysis_periods",
        ),
        ("CREATE UNIQUE INDEX CONCURRENTLY x ON tasks (id)", "tasks"),
        ("ALTER TABLE topics ALTER COLUMN total_periods SET DEFAULT 0", None),
        ("ALTER TABLE topics ADD CONSTRAINT x CHECK (a > 0) NOT VALID", None),
        ("CREATE TABLE x (a int NOT NULL);\nCREATE INDEX y ON x (a)", None),
    ],
)
def test_what_each_kind_of_statement_reads(sql: str, reads: str | None) -> None:
    tables = ("contents", "topics", "analysis_periods", "tasks", "x")
    rows_of = {table: 10**position for position, table in enumerate(tables, start=1)}
    assert estimate(sql, rows_of).rows == (rows_of[reads] if reads else 0)


def test_the_script_is_the_one_of_alembic() -> None:
    script = upgrade_script()
    assert script.startswith("\\set ON_ERROR_STOP on")
    assert "CREATE TABLE analysis_periods" in script
    assert "idx_contents_unlinked" in script
