"""What an upgrade executes is what was planned, statement for statement, from every state of arrival."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, event, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.planning import PlannedStatement, plan
from temporal_pipeline.defs.schema.upgrade import upgrade
from tests.migrations.tools import downgrade, execute, psql, schema_of, upgrade_to, version
from tests.migrations.worlds import (
    CREATE_ALL,
    LATER_REVISION,
    NAMES_THAT_STAY,
    TO_THE_HEAD_OF_THE_APPLICATION,
)

NO_DDL = re.compile(r"(BEGIN|SET|COMMIT|ROLLBACK|SELECT|WITH|LOCK)\b")
DETECT = "CREATE FUNCTION detect_metric_anomalies() RETURNS void LANGUAGE sql AS ''"

# From a legacy database.
BEFORE_HEAD: dict[str, Callable[[Database], object]] = {
    "legacy": lambda database: None,
    "at the first revision": lambda database: upgrade_to(database, "20260301_0100"),
    "at the second revision": lambda database: upgrade_to(database, "20260301_0200"),
    "at the third revision, not reconciled": lambda database: psql(
        database, "".join(f"{s.sql};\n" for s in _plan(database) if s.revision != "reconcile")
    ),
    "tables of create_all": lambda database: execute(database, CREATE_ALL),
    "tables of create_all, one of them missing": lambda database: execute(
        database, f"{CREATE_ALL}; DROP TABLE event_contents"
    ),
    "with the extensions": lambda database: execute(database, "CREATE EXTENSION pg_trgm"),
}
# From a migrated one: what was changed.
DRIFTS = {
    "head": "",
    "head of the application": TO_THE_HEAD_OF_THE_APPLICATION,
    "a later revision": f"{LATER_REVISION}; {TO_THE_HEAD_OF_THE_APPLICATION}; {DETECT}",
    "no revision": "DELETE FROM alembic_version",
    "no version table": "DROP TABLE alembic_version",
    "texts of an earlier version": "COMMENT ON VIEW v_period_timeline IS 'mine';"
    " COMMENT ON FUNCTION recompute_metrics_delta IS NULL; COMMENT ON SCHEMA temporal_pipeline IS NULL;"
    " COMMENT ON MATERIALIZED VIEW mv_period_metrics_trend IS 'mine';"
    " COMMENT ON FUNCTION temporal_pipeline.metric_number IS 'mine'",
    "texts that cannot be replaced": "DROP VIEW v_period_timeline; CREATE VIEW v_period_timeline AS SELECT 1 AS one;"
    " DROP FUNCTION recompute_metrics_delta; CREATE FUNCTION recompute_metrics_delta(other uuid) RETURNS text"
    " LANGUAGE sql AS 'SELECT NULL::text'",
    "a view below another one": "DROP VIEW temporal_pipeline.period_member, temporal_pipeline.linked_content;"
    " CREATE VIEW temporal_pipeline.linked_content AS SELECT 1 AS period_id, 2 AS content_id, 3 AS more;"
    " CREATE VIEW temporal_pipeline.period_member AS SELECT * FROM temporal_pipeline.linked_content",
    "a view without the one above it": "DROP VIEW temporal_pipeline.period_member",
    "an older text and no view above it": "DROP VIEW temporal_pipeline.period_member;"
    " COMMENT ON VIEW temporal_pipeline.linked_content IS 'mine'",
    "a function of other arguments beside ours": "CREATE FUNCTION recompute_metrics_delta(period text) RETURNS jsonb"
    " LANGUAGE sql AS 'SELECT NULL::jsonb'",
    "an invalid index": "UPDATE pg_index SET indisvalid = false"
    " WHERE indexrelid IN ('idx_contents_period'::regclass, 'idx_snapshot_content'::regclass)",
    "other defaults": "ALTER TABLE analysis_periods ALTER status SET DEFAULT 'draft', ALTER metrics DROP DEFAULT;"
    " ALTER TABLE contents ALTER discovered_at DROP DEFAULT; ALTER TABLE topics ALTER total_periods SET DEFAULT 1",
    "columns that are gone": "ALTER TABLE contents DROP discovered_at; ALTER TABLE topics DROP total_periods;"
    " ALTER TABLE tasks DROP effectiveness_id; ALTER TABLE crawl_effectiveness DROP coverage_ratio",
    "other nullability": "ALTER TABLE topics ALTER total_periods DROP NOT NULL;"
    " ALTER TABLE analysis_periods ALTER insights DROP NOT NULL, ALTER knowledge_doc SET COMPRESSION default,"
    " ALTER summary_short SET NOT NULL",
    "indexes of other names": "ALTER INDEX idx_tasks_period RENAME TO ix_tasks_period;"
    " ALTER INDEX unique_active_period_number RENAME TO numbers",
    "a name that another index has": "ALTER INDEX idx_tasks_period RENAME TO ix_tasks_period;"
    " CREATE INDEX idx_tasks_period ON tasks (id)",
    "an equal index beside ours": "CREATE INDEX a_copy ON tasks (period_id)",
    "constraints of other names": "ALTER TABLE contents RENAME CONSTRAINT valid_content_relevance TO relevant;"
    " ALTER TABLE analysis_periods RENAME CONSTRAINT no_overlapping_periods TO no_overlap;"
    " ALTER TABLE period_content_snapshots RENAME CONSTRAINT unique_period_content TO once",
    "a name that another constraint has": "ALTER TABLE contents"
    " RENAME CONSTRAINT valid_content_relevance TO relevant;"
    " ALTER TABLE contents ADD CONSTRAINT valid_content_relevance CHECK (relevance_score <= 1)",
    "constraints that are not validated": "ALTER TABLE contents DROP CONSTRAINT valid_content_relevance,"
    " ADD CONSTRAINT relevant CHECK (relevance_score >= 0 AND relevance_score <= 1) NOT VALID;"
    " ALTER TABLE temporal_events DROP CONSTRAINT valid_severity,"
    " ADD CONSTRAINT severe CHECK (severity IN ('info', 'warning', 'critical')) NOT VALID",
    "a unique index without its constraint": "ALTER TABLE period_content_snapshots"
    " DROP CONSTRAINT unique_period_content; CREATE UNIQUE INDEX once"
    " ON period_content_snapshots (period_id, content_id)",
    "a second reference": "ALTER TABLE chat_messages ADD FOREIGN KEY (period_id) REFERENCES analysis_periods",
    "an index over texts": "DROP INDEX idx_snapshot_period_covering; CREATE INDEX idx_snapshot_period_covering"
    " ON period_content_snapshots (period_id) INCLUDE (text_snapshot);"
    " CREATE INDEX texts ON period_content_snapshots (id) INCLUDE (text_snapshot)",
    "tables that are gone": "DROP TABLE event_contents, temporal_pipeline.problem",
    "a table that much is built on is gone": "DROP TABLE analysis_periods CASCADE",
}
# What was changed so that nothing of it may be left afterwards.
REPAIRED = {
    "another text below our comment, of a view": """DO $$ BEGIN EXECUTE format(
        'CREATE OR REPLACE VIEW v_entity_timeline_summary AS SELECT * FROM (%s) mine WHERE false',
        rtrim(pg_get_viewdef('v_entity_timeline_summary'::regclass), ';')); END $$""",
    "another text below our comment, of a materialized view": """DO $$
        DECLARE ours text := obj_description('mv_period_metrics_trend'::regclass, 'pg_class'); BEGIN
        DROP MATERIALIZED VIEW mv_period_metrics_trend;
        CREATE MATERIALIZED VIEW mv_period_metrics_trend AS SELECT * FROM analysis_periods;
        EXECUTE format('COMMENT ON MATERIALIZED VIEW mv_period_metrics_trend IS %L', ours); END $$""",
    "another text below our comment, of a function": """DO $$ BEGIN
        EXECUTE replace(pg_get_functiondef('get_content_timeline'::regproc), 'SELECT', 'SELECT /* mine */'); END $$""",
    "another behaviour of a function": "ALTER FUNCTION get_period_by_number VOLATILE",
    "another text of our own view": """DO $$ BEGIN EXECUTE format(
        'CREATE OR REPLACE VIEW temporal_pipeline.linked_content AS SELECT * FROM (%s) mine WHERE false',
        rtrim(pg_get_viewdef('temporal_pipeline.linked_content'::regclass), ';')); END $$""",
    "our own tables as they once were": "ALTER TABLE temporal_pipeline.cut DROP held,"
    " ADD CONSTRAINT cut_run_id_key UNIQUE (run_id); DROP INDEX temporal_pipeline.one_cut_per_run;"
    " ALTER TABLE temporal_pipeline.period_cut DROP closed_by",
    "our own tables without what keeps them right": "ALTER TABLE temporal_pipeline.cut"
    " DROP CONSTRAINT cut_kind_check, ALTER kind DROP DEFAULT, ALTER instant DROP NOT NULL,"
    " DROP CONSTRAINT cut_pkey CASCADE; ALTER TABLE temporal_pipeline.period_cut"
    " DROP CONSTRAINT period_cut_period_id_key, DROP CONSTRAINT period_cut_period_id_fkey",
    "no primary keys": "ALTER TABLE event_contents DROP CONSTRAINT event_contents_pkey;"
    " ALTER TABLE temporal_pipeline.problem DROP CONSTRAINT problem_pkey;"
    " ALTER TABLE analysis_periods DROP CONSTRAINT analysis_periods_pkey CASCADE",
    "a primary key of another name": "ALTER TABLE event_contents RENAME CONSTRAINT event_contents_pkey TO pk",
    "a primary key over something else": "ALTER TABLE event_contents DROP CONSTRAINT event_contents_pkey;"
    " ALTER TABLE event_contents ADD CONSTRAINT event_contents_pkey PRIMARY KEY (content_id, event_id)",
    "a unique index for a primary key": "ALTER TABLE event_contents DROP CONSTRAINT event_contents_pkey;"
    " CREATE UNIQUE INDEX event_contents_pkey ON event_contents (event_id, content_id)",
    "a constraint of our name over other columns": "ALTER TABLE period_content_snapshots"
    " DROP CONSTRAINT unique_period_content, ADD CONSTRAINT unique_period_content UNIQUE (content_id, period_id)",
    "a check half-way to NOT NULL": "ALTER TABLE topics ALTER total_periods DROP NOT NULL,"
    " ADD CONSTRAINT total_periods_is_set CHECK (total_periods IS NOT NULL) NOT VALID",
    "a check after NOT NULL": "ALTER TABLE topics"
    " ADD CONSTRAINT total_periods_is_set CHECK (total_periods IS NOT NULL)",
}
# What differs in the end, and is meant to: names outside the contract, and copies that do no harm.
WANTED_DIFFERENCES = {
    "tables of create_all": NAMES_THAT_STAY,
    "tables of create_all, one of them missing": "; ".join(
        line for line in NAMES_THAT_STAY.split(";") if "event_contents" not in line
    ),
    "an equal index beside ours": "DROP INDEX a_copy",
    "constraints that are not validated": "ALTER TABLE temporal_events RENAME CONSTRAINT severe TO valid_severity",
}


def _plan(database: Database) -> list[PlannedStatement]:
    with database.transaction(read_only=True) as connection:
        return plan(connection)


def _one_line(sql: str) -> str:
    return " ".join(sql.split())


def _executed_by_upgrade(database: Database) -> list[str]:
    """Everything that changes anything, as it goes to the server."""
    statements: list[str] = []

    def remember(_: object, __: object, statement: str, *___: object) -> None:
        bare = re.sub(r"\A(--.*\n)*", "", statement).strip()
        if not NO_DDL.match(bare):
            statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", remember)
    try:
        upgrade(database)
    finally:
        event.remove(database.engine, "before_cursor_execute", remember)
    return statements


def _is_executed_as_planned(database: Database) -> None:
    planned = [_one_line(statement.sql) for statement in _plan(database)]
    assert [_one_line(statement) for statement in _executed_by_upgrade(database)] == planned
    assert _plan(database) == []


@pytest.mark.parametrize("state", BEFORE_HEAD)
def test_before_head(legacy_database: Database, head: str, state: str) -> None:
    BEFORE_HEAD[state](legacy_database)
    _is_executed_as_planned(legacy_database)
    execute(legacy_database, WANTED_DIFFERENCES.get(state, "SELECT"))
    assert schema_of(legacy_database) == head


@pytest.mark.parametrize("state", DRIFTS)
def test_after_a_change(database: Database, state: str) -> None:
    execute(database, DRIFTS[state] or "SELECT")
    _is_executed_as_planned(database)


@pytest.mark.parametrize("state", REPAIRED)
def test_what_another_hand_changed_is_seen_and_repaired(database: Database, head: str, state: str) -> None:
    execute(database, REPAIRED[state])
    assert _plan(database)
    _is_executed_as_planned(database)
    assert schema_of(database) == head


def test_a_dump_and_restore_changes_no_text(connection: Connection) -> None:
    """What pg_dump writes is what the server prints; made of that, everything is printed as before."""
    connection.execute(
        text("""DO $$ DECLARE made record; BEGIN
        FOR made IN SELECT oid, oid::regclass AS name FROM pg_class WHERE relkind = 'v'
                    AND obj_description(oid, 'pg_class') LIKE '%[text %' LOOP
            EXECUTE format('CREATE OR REPLACE VIEW %s AS %s', made.name, pg_get_viewdef(made.oid));
        END LOOP;
        FOR made IN SELECT oid FROM pg_proc WHERE obj_description(oid, 'pg_proc') LIKE '%[text %' LOOP
            EXECUTE pg_get_functiondef(made.oid);
        END LOOP; END $$""")
    )
    assert plan(connection) == []


def test_not_null_is_known_before_the_table_is_locked(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE topics ALTER total_periods DROP NOT NULL"))
    assert [statement.sql for statement in plan(connection)] == [
        "ALTER TABLE topics ADD CONSTRAINT total_periods_is_set CHECK (total_periods IS NOT NULL) NOT VALID",
        "ALTER TABLE topics VALIDATE CONSTRAINT total_periods_is_set",
        "ALTER TABLE topics ALTER COLUMN total_periods SET NOT NULL",
        "ALTER TABLE topics DROP CONSTRAINT total_periods_is_set",
    ]


def test_an_index_that_only_bears_the_name_of_ours_stays(connection: Connection) -> None:
    connection.execute(
        text(
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'temporal_pipeline.one_cut_per_run'::regclass;"
            " CREATE INDEX one_cut_per_run ON tasks (id)"
        )
    )
    dropped, made = plan(connection)
    assert dropped.sql == "DROP INDEX CONCURRENTLY temporal_pipeline.one_cut_per_run"
    assert made.sql.startswith(
        "CREATE UNIQUE INDEX CONCURRENTLY one_cut_per_run ON temporal_pipeline.cut (run_id)"
    )


def test_a_downgraded_database(database: Database, head: str) -> None:
    downgrade(database, "-3")
    _is_executed_as_planned(database)
    assert schema_of(database) == head


@pytest.mark.parametrize(
    "state",
    ["legacy", "tables of create_all", "head of the application"],
)
def test_the_plan_shrinks_by_each_statement_that_is_executed(
    legacy_database: Database, database: Database, head: str, state: str
) -> None:
    """Whoever is killed after any step finds the rest of the same plan, and the plan alone leads to head."""
    arrived = database if state in DRIFTS else legacy_database
    execute(arrived, DRIFTS[state]) if state in DRIFTS else BEFORE_HEAD[state](arrived)
    planned = [(statement.revision, statement.step, statement.sql) for statement in _plan(arrived)]
    with arrived.engine.connect().execution_options(
        isolation_level="AUTOCOMMIT", no_parameters=True
    ) as connection:
        for position, (_, _, sql) in enumerate(planned):
            connection.exec_driver_sql(sql)
            left = [(statement.revision, statement.step, statement.sql) for statement in plan(connection)]
            assert left == planned[position + 1 :]
    assert version(arrived) == ["20260301_0300"]
    execute(arrived, WANTED_DIFFERENCES.get(state, "SELECT"))
    assert schema_of(arrived) == head


@pytest.mark.parametrize("executed", range(0, 66, 6))
def test_an_upgrade_after_a_kill_executes_the_rest(
    legacy_database: Database, head: str, executed: int
) -> None:
    for statement in _plan(legacy_database)[:executed]:
        with legacy_database.engine.connect().execution_options(
            isolation_level="AUTOCOMMIT", no_parameters=True
        ) as connection:
            connection.exec_driver_sql(statement.sql)
    _is_executed_as_planned(legacy_database)
    assert schema_of(legacy_database) == head


def test_the_steps_are_named_as_in_the_report(legacy_database: Database) -> None:
    planned = [(statement.step, _one_line(statement.sql)) for statement in _plan(legacy_database)]
    executed = [
        (statement.step, _one_line(statement.statement)) for statement in upgrade(legacy_database).statements
    ]
    # Alembic's own statements are heard only when they are over.
    assert sorted(executed) == sorted(planned)
