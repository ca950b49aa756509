"""Whether the schema is at head: asked by every asset of every run, so it must be cheap."""

import pytest
from sqlalchemy import Connection, event, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import is_at_head, require_head, schema_state
from temporal_pipeline.errors import PipelineError
from tests.migrations.tools import downgrade
from tests.migrations.worlds import LATER_REVISION


def _complaint(connection: Connection) -> str:
    assert not is_at_head(connection)
    with pytest.raises(PipelineError) as refused:
        require_head(connection)
    assert refused.value.hint == "run `temporal-pipeline migrate` or `alembic upgrade head`"
    return refused.value.message


def test_a_migrated_database_is_at_head(connection: Connection) -> None:
    require_head(connection)
    assert is_at_head(connection)


def test_so_is_one_that_the_application_migrated_on(connection: Connection) -> None:
    connection.execute(text(LATER_REVISION))
    require_head(connection)
    assert is_at_head(connection)
    assert schema_state(connection).is_at_head


@pytest.mark.parametrize(
    ("drift", "named"),
    [
        ("DROP TABLE temporal_pipeline.cut CASCADE", "temporal_pipeline.cut"),
        ("ALTER TABLE temporal_pipeline.cut DROP held", "temporal_pipeline.cut.held"),
        ("DROP INDEX temporal_pipeline.one_cut_per_run", "temporal_pipeline.one_cut_per_run"),
        (
            "ALTER TABLE event_contents DROP CONSTRAINT event_contents_pkey",
            "event_contents.event_contents_pkey",
        ),
        ("DROP TABLE event_contents", "event_contents"),
        (
            "ALTER TABLE crawl_effectiveness DROP COLUMN recommendations",
            "crawl_effectiveness.recommendations",
        ),
        ("ALTER TABLE chat_messages DROP COLUMN period_id", "chat_messages.period_id"),
        ("DROP INDEX idx_contents_unlinked", "idx_contents_unlinked"),
        (
            "ALTER TABLE analysis_periods DROP CONSTRAINT no_overlapping_periods",
            "analysis_periods.no_overlapping_periods",
        ),
        ("DROP FUNCTION recompute_metrics_delta", "recompute_metrics_delta"),
        ("COMMENT ON FUNCTION get_period_by_number IS 'older'", "get_period_by_number"),
        ("DROP VIEW v_entity_timeline_summary", "v_entity_timeline_summary"),
        ("DROP MATERIALIZED VIEW mv_period_metrics_trend", "mv_period_metrics_trend"),
        ("DROP VIEW temporal_pipeline.period_member", "temporal_pipeline.period_member"),
    ],
)
def test_what_is_missing_is_named(connection: Connection, drift: str, named: str) -> None:
    connection.execute(text(drift))
    message = _complaint(connection)
    assert message.startswith("the schema is not at 20260301_0300 but at 20260301_0300, missing: ")
    assert named in message.partition("missing: ")[2].split(", ")


@pytest.mark.parametrize(
    ("drift", "named"),
    [
        ("DROP INDEX idx_tasks_period", ["index idx_tasks_period"]),
        (
            "DROP INDEX idx_tasks_period; CREATE INDEX idx_tasks_period ON tasks (id)",
            ["no invalid or other idx_tasks_period", "index idx_tasks_period"],
        ),
        (
            "ALTER TABLE analysis_periods ALTER status SET DEFAULT 'draft'",
            ["defaults of analysis_periods"],
        ),
        (
            "ALTER TABLE topics ALTER total_periods DROP NOT NULL",
            [
                "checks for nulls in topics",
                "no nulls in topics",
                "nullability and compression of topics",
                "no checks for nulls left in topics",
            ],
        ),
        ("COMMENT ON VIEW v_period_timeline IS 'mine'", ["current text of view v_period_timeline"]),
        ("DROP TABLE temporal_pipeline.problem", ["table temporal_pipeline.problem"]),
        (
            "CREATE INDEX texts ON period_content_snapshots (id) INCLUDE (text_snapshot)",
            ["no index over period_content_snapshots.text_snapshot"],
        ),
        (
            "CREATE FUNCTION recompute_metrics_delta(period text) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'",
            ["no other function recompute_metrics_delta"],
        ),
        (
            "ALTER TABLE chat_messages ADD FOREIGN KEY (period_id) REFERENCES analysis_periods",
            ["no other fk_chat_messages_period"],
        ),
        (
            "ALTER TABLE contents DROP CONSTRAINT valid_content_relevance,"
            " ADD CONSTRAINT valid_content_relevance CHECK (relevance_score <= 1)",
            [
                "no other valid_content_relevance",
                "constraint valid_content_relevance",
                "valid_content_relevance validated",
            ],
        ),
    ],
)
def test_the_state_names_every_definition_that_differs(
    connection: Connection, drift: str, named: list[str]
) -> None:
    connection.exec_driver_sql(drift)
    state = schema_state(connection)
    assert list(state.pending) == named
    assert not state.is_at_head


def test_the_revision_counts_even_if_everything_is_there(connection: Connection) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = '20260301_0200'"))
    assert _complaint(connection) == "the schema is not at 20260301_0300 but at 20260301_0200"
    connection.execute(text("DELETE FROM alembic_version"))
    assert _complaint(connection) == "the schema is not at 20260301_0300 but at no revision"


def test_a_legacy_and_a_downgraded_database_are_not_at_head(
    legacy_database: Database, database: Database
) -> None:
    with legacy_database.transaction(read_only=True) as connection:
        assert "at no revision, missing: analysis_periods, " in _complaint(connection)
    downgrade(database, "-1")
    with database.transaction(read_only=True) as connection:
        assert "at 20260301_0200, missing: temporal_pipeline.cut, " in _complaint(connection)


def test_asking_takes_a_few_statements_however_much_there_is_to_look_at(connection: Connection) -> None:
    statements: list[str] = []

    def remember(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    event.listen(connection, "before_cursor_execute", remember)
    require_head(connection)
    event.remove(connection, "before_cursor_execute", remember)
    assert len(statements) <= 3
