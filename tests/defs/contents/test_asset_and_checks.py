"""The asset as Dagster runs it, and each check failing when its claim is broken."""

from typing import Any

import dagster as dg
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents.assets import content_relevance
from temporal_pipeline.defs.contents.checks import (
    every_prepared_content_has_an_answer_or_a_reason,
    relevance_scores_are_in_range,
)
from temporal_pipeline.scope import Scope
from tests.crosshot_rows import add_content, add_topic, add_user, at


def materialize(database: Database, **scope: Any) -> dict[str, Any]:
    result = dg.materialize(
        [content_relevance, relevance_scores_are_in_range, every_prepared_content_has_an_answer_or_a_reason],
        resources={"database": database, "scope": Scope(**scope)},
    )
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    (materialization,) = result.asset_materializations_for_node("content_relevance")
    return {
        **{key: value.value for key, value in materialization.metadata.items()},
        "data_version": (materialization.tags or {})["dagster/data_version"],
    }


def test_the_asset_reports_what_it_did(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_content(connection, topic=topic, published_at=at(-1))
        add_content(connection, topic=topic, text=None)
        add_content(connection, user=add_user(connection), relevance_score=0.5)
    preview = materialize(database, dry_run=True)
    assert preview["would_write"] == 2
    assert "topic 'AI agents' | 2 | 2 | 2" in preview["preview"]
    first = materialize(database)
    assert {key: first[key] for key in ("rows_written", "scored", "scored_elsewhere", "without_text")} == {
        "rows_written": 3,
        "scored": 1,
        "scored_elsewhere": 1,
        "without_text": 1,
    }
    assert (first["dates_found"], first["dagster/row_count"], first["left_for_the_next_run"]) == (1, 3, 0)
    assert "| topic 'AI agents' | 2 | 1 | 1 | 0.91 |" in first["entities"]
    assert "| 0.9 to 1.0 | 1 | █" in first["scores"]
    assert "| no publication time in its data | 2 |" in first["reasons"]
    second = materialize(database)
    assert second["rows_written"] == 0
    assert second["data_version"] == first["data_version"]


def test_the_asset_works_on_the_entities_of_its_scope(database: Database) -> None:
    with database.transaction() as connection:
        add_content(connection, topic=add_topic(connection, "one"))
        add_content(connection, topic=add_topic(connection, "two"))
    assert materialize(database, entities=["two"])["rows_written"] == 1


def test_relevance_scores_are_in_range_fails_for_a_score_beyond_one(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("ALTER TABLE contents DROP CONSTRAINT valid_content_relevance"))
        add_content(connection, relevance_score=1.5)
    result = relevance_scores_are_in_range(database)
    assert isinstance(result, dg.AssetCheckResult)
    assert not result.passed
    assert result.metadata["offenders"].value == 1


def test_every_prepared_content_has_an_answer_or_a_reason_fails_without_a_note(database: Database) -> None:
    with database.transaction() as connection:
        add_content(connection)
    materialize(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE temporal_pipeline.prepared_content SET note = NULL"))
    result = every_prepared_content_has_an_answer_or_a_reason(database)
    assert isinstance(result, dg.AssetCheckResult)
    assert not result.passed
    assert result.metadata["offenders"].value == 1
