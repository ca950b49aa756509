"""The asset as Dagster runs it, and each check failing when its claim is broken."""

import uuid
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from temporal_pipeline import problems
from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness import checks
from temporal_pipeline.defs.effectiveness.assets import crawl_effectiveness
from temporal_pipeline.defs.effectiveness.measuring import STAGE
from temporal_pipeline.entities import Entity
from temporal_pipeline.scope import Scope
from tests.crosshot_rows import add_content, add_task, add_topic, at
from tests.defs.effectiveness.rows import add_period, freeze

CHECKS = [
    checks.effectiveness_scores_are_in_range,
    checks.every_closed_period_with_contents_has_its_queries,
    checks.every_crawl_task_with_contents_in_a_closed_period_is_linked,
    checks.every_period_could_be_measured,
]


@pytest.fixture
def task(database: Database) -> uuid.UUID:
    """The one task of a frozen period with one relevant content."""
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        task = add_task(connection, topic=topic, started_at=at(1))
        freeze(connection, period, add_content(connection, task=task, topic=topic), 0.9)
    return task


def materialize(database: Database, **scope: Any) -> dict[str, Any]:
    result = dg.materialize(
        [crawl_effectiveness, *CHECKS], resources={"database": database, "scope": Scope(**scope)}
    )
    assert result.success
    assert [check.check_name for check in result.get_asset_check_evaluations() if not check.passed] == []
    (materialization,) = result.asset_materializations_for_node("crawl_effectiveness")
    return {
        **{key: value.value for key, value in materialization.metadata.items()},
        "data_version": (materialization.tags or {})["dagster/data_version"],
    }


def offenders(check: Any, database: Database) -> int:
    result = check(database)
    assert isinstance(result, dg.AssetCheckResult)
    assert result.passed == (result.metadata["offenders"].value == 0)
    return int(result.metadata["offenders"].value)


@pytest.mark.usefixtures("task")
def test_the_asset_reports_what_it_did(database: Database) -> None:
    preview = materialize(database, dry_run=True)
    assert preview["would_write"] == 1
    assert "| AI agents | 0 | 1 |" in preview["preview"]
    first = materialize(database)
    numbers = ("rows_written", "periods_measured", "tasks_linked", "durations_filled", "entities_failed")
    assert [first[key] for key in numbers] == [1, 1, 1, 1, 0]
    assert first["dagster/row_count"] == 1
    assert "| topic 'AI agents' | 1 | 1 | agents (x): 0.44 |" in first["entities"]
    assert "| topic 'AI agents' | agents | x | 1 | 1 | 1 | 0.44 |" in first["queries"]
    assert "data:image/png;base64," in first["chart"]
    second = materialize(database)
    assert second["rows_written"] == 0
    assert second["data_version"] == first["data_version"]


@pytest.mark.usefixtures("task")
def test_effectiveness_scores_are_in_range_fails_for_a_score_beyond_one(database: Database) -> None:
    materialize(database)
    with database.transaction() as connection:
        constraints = connection.scalars(
            text(
                "SELECT conname FROM pg_constraint "
                "WHERE conrelid = CAST('crawl_effectiveness' AS regclass) AND contype = 'c'"
            )
        ).all()
        for constraint in constraints:
            connection.exec_driver_sql(f'ALTER TABLE crawl_effectiveness DROP CONSTRAINT "{constraint}"')
        connection.execute(text("UPDATE crawl_effectiveness SET effectiveness_score = 1.5"))
    assert offenders(checks.effectiveness_scores_are_in_range, database) == 1


@pytest.mark.usefixtures("task")
def test_every_closed_period_with_contents_has_its_queries_fails_without_a_row(database: Database) -> None:
    materialize(database)
    with database.transaction() as connection:
        connection.execute(text("DELETE FROM crawl_effectiveness"))
    assert offenders(checks.every_closed_period_with_contents_has_its_queries, database) == 1


@pytest.mark.parametrize("column", ["period_id", "effectiveness_id"])
def test_every_crawl_task_with_contents_in_a_closed_period_is_linked_fails_for_a_lost_link(
    database: Database, task: uuid.UUID, column: str
) -> None:
    materialize(database)
    with database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE tasks SET {column} = NULL WHERE id = '{task}'")
    assert offenders(checks.every_crawl_task_with_contents_in_a_closed_period_is_linked, database) == 1


def test_a_task_that_the_application_holds_is_a_warning_and_no_failure(
    database: Database, task: uuid.UUID
) -> None:
    with database.transaction() as application:
        application.execute(text("UPDATE tasks SET priority = 1 WHERE id = :id"), {"id": task})
        result = dg.materialize(
            [crawl_effectiveness, *CHECKS], resources={"database": database, "scope": Scope()}
        )
    assert result.success
    failed = {e.check_name: e.severity for e in result.get_asset_check_evaluations() if not e.passed}
    assert failed == {
        "every_crawl_task_with_contents_in_a_closed_period_is_linked": dg.AssetCheckSeverity.WARN
    }
    (materialization,) = result.asset_materializations_for_node("crawl_effectiveness")
    assert materialization.metadata["tasks_left_for_the_next_run"].value == 1
    materialize(database)


def test_every_period_could_be_measured_names_the_entity_that_failed(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
    problems.record(database, STAGE, Entity("topic", topic, "AI agents"), ValueError("why"), "run")
    result = checks.every_period_could_be_measured(database)
    assert isinstance(result, dg.AssetCheckResult)
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert "ValueError: why" in str(result.metadata["first_offenders"].value)
