"""The asset that migrates, its dry run, and the two claims that guard what comes after it."""

from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import make_url, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.assets import temporal_schema
from temporal_pipeline.defs.schema.checks import schema_is_at_head, trigrams_work_for_chinese
from temporal_pipeline.defs.schema.jobs import migrate
from temporal_pipeline.scope import Scope
from tests.migrations.tools import execute, schema_of


def _materialize(
    database: Database, *, dry_run: bool = False
) -> tuple[dg.ExecuteInProcessResult, dg.AssetMaterialization]:
    result = dg.materialize(
        [temporal_schema, schema_is_at_head, trigrams_work_for_chinese],
        resources={"database": database, "scope": Scope(dry_run=dry_run)},
        raise_on_error=False,
    )
    events = result.asset_materializations_for_node("temporal_schema")
    return result, events[0]


def _check(
    check: dg.AssetChecksDefinition, database: Database, *, dry_run: bool = False
) -> dg.AssetCheckResult:
    result = check(database, Scope(dry_run=dry_run))
    assert isinstance(result, dg.AssetCheckResult)
    return result


def _claims(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def test_the_asset_migrates_and_says_what_it_did(legacy_database: Database, head: str) -> None:
    result, event = _materialize(legacy_database)
    assert result.success
    assert schema_of(legacy_database) == head
    assert _claims(result) == {"schema_is_at_head": True, "trigrams_work_for_chinese": True}
    told = {key: entry.value for key, entry in event.metadata.items()}
    assert told["revision_before"] == "none: legacy schema"
    assert told["revision_after"] == "20260301_0300"
    assert told["dagster/row_count"] == 0
    assert told["rows_written"] == 0
    assert isinstance(told["statements_executed"], int)
    assert told["statements_executed"] > 50
    assert "| table analysis_periods |" in str(told["steps"])
    schema = event.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchemaMetadataValue)
    columns = {column.name for column in schema.schema.columns}
    assert {"analysis_periods.metrics_delta", "crawl_effectiveness.query"} <= columns
    assert 0 < float(str(told["duration_seconds"])) < 60


def test_the_asset_has_nothing_to_do_a_second_time(database: Database) -> None:
    first, again = (_materialize(database)[1] for _ in range(2))
    assert again.metadata["statements_executed"].value == 0
    assert "Nothing new" in str(again.metadata["steps"].value)
    assert first.tags == again.tags
    assert any("data_version" in tag for tag in again.tags or {})


def test_a_dry_run_lists_the_statements_and_writes_nothing(legacy_database: Database, legacy: str) -> None:
    result, event = _materialize(legacy_database, dry_run=True)
    assert result.success
    assert schema_of(legacy_database) == legacy
    preview = str(event.metadata["preview"].value)
    assert "CREATE TABLE analysis_periods" in preview
    assert event.metadata["dry_run"].value is True
    assert int(str(event.metadata["would_write"].value)) > 50


def test_a_dry_run_at_head_has_nothing_to_list(database: Database) -> None:
    _, event = _materialize(database, dry_run=True)
    assert (event.metadata["would_write"].value, event.metadata["preview"].value) == (
        0,
        "The schema is at head.",
    )


def test_a_dry_run_tells_of_the_revisions_alone(database: Database) -> None:
    execute(database, "DELETE FROM alembic_version")
    _, event = _materialize(database, dry_run=True)
    assert event.metadata["would_write"].value == 3
    assert "INSERT INTO alembic_version" in str(event.metadata["preview"].value)


def test_a_dry_run_refuses_a_foreign_database(empty_database: Database) -> None:
    result = dg.materialize(
        [temporal_schema],
        resources={"database": empty_database, "scope": Scope(dry_run=True)},
        raise_on_error=False,
    )
    assert not result.success
    [failure] = result.filter_events(lambda event: event.is_step_failure)
    assert "this is not a Crosshot database" in str(failure.step_failure_data.error)


def test_the_schema_is_not_at_head_when_a_definition_differs(database: Database) -> None:
    assert _check(schema_is_at_head, database).passed
    execute(database, "DROP INDEX idx_tasks_period; COMMENT ON VIEW v_period_timeline IS 'mine'")
    result = _check(schema_is_at_head, database)
    assert not result.passed
    assert result.metadata["offenders"].value == 2
    shown = str(result.metadata["first_offenders"].value)
    assert "| index idx_tasks_period |" in shown
    assert "| current text of view v_period_timeline |" in shown


def test_the_schema_is_not_at_head_before_the_upgrade_and_a_dry_run_lives_with_it(
    legacy_database: Database,
) -> None:
    assert not _check(schema_is_at_head, legacy_database).passed
    assert _check(schema_is_at_head, legacy_database, dry_run=True).passed


@pytest.fixture
def database_without_chinese(legacy_database: Database) -> Iterator[Database]:
    """A database whose character type is C, as initdb makes it under LANG=C."""
    url = make_url(legacy_database.url)
    name = f"{url.database}_c"
    with legacy_database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
        )
        database = Database(url.set(database=name).render_as_string(hide_password=False))
        execute(database, "CREATE EXTENSION pg_trgm")
        yield database
        database.dispose()
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_a_server_that_sees_no_chinese_is_warned_of(database_without_chinese: Database) -> None:
    result = _check(trigrams_work_for_chinese, database_without_chinese)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert result.metadata["trigrams"].value == 0


def test_without_the_extension_there_are_no_trigrams(legacy_database: Database) -> None:
    assert not _check(trigrams_work_for_chinese, legacy_database).passed
    assert _check(trigrams_work_for_chinese, legacy_database, dry_run=True).passed


def test_the_job_migrates_and_does_nothing_else() -> None:
    assert migrate.name == "migrate"
    assert migrate.selection == dg.AssetSelection.assets("temporal_schema")
