"""What assets and checks show: tables, dry runs, claims."""

import dagster as dg
from sqlalchemy import Connection, text

from temporal_pipeline.database import Database
from temporal_pipeline.reporting import claim, dry_run_result, markdown_table, relation_metadata
from tests.crosshot_rows import add_content, add_topic, at


def _preview(result: dg.MaterializeResult[None]) -> str:
    assert result.metadata is not None
    shown = result.metadata["preview"]
    assert isinstance(shown, dg.MarkdownMetadataValue)
    return shown.md_str or ""


def test_a_table_escapes_what_would_break_it_and_counts_what_it_leaves_out() -> None:
    shown = markdown_table([{"name": "a|b\nc", "n": None}] * 51).md_str or ""
    assert shown.splitlines()[:3] == ["| name | n |", "| --- | --- |", "| a\\|b c |  |"]
    assert shown.endswith("… and 1 more")
    assert markdown_table([], nothing="none").md_str == "none"


def test_a_dry_run_before_the_migration_says_that_its_input_is_missing(legacy_database: Database) -> None:
    result = dry_run_result(legacy_database, lambda connection: [{"never": "asked"}])
    assert _preview(result) == "Its input does not exist yet: the schema is not migrated."


def test_a_dry_run_behind_the_cut_says_what_is_to_be_cut_first(database: Database) -> None:
    result = dry_run_result(database, lambda connection: [], follows_the_cut=True)
    assert _preview(result) == "Nothing to do."
    with database.transaction() as connection:
        add_content(connection, topic=add_topic(connection), crawled_at=at(1))
    result = dry_run_result(database, lambda connection: [], follows_the_cut=True)
    assert _preview(result) == ("Its input does not exist yet: periods of 1 entities are to be cut first.")


def test_a_claim_shows_up_to_ten_offenders_and_counts_all(connection: Connection) -> None:
    rows = connection.execute(text("SELECT n AS number FROM generate_series(1, 12) n")).all()
    result = claim(rows, severity=dg.AssetCheckSeverity.WARN, looked_at=20)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (result.metadata["offenders"].value, result.metadata["looked_at"].value) == (12, 20)
    assert str(result.metadata["first_offenders"].value).count("\n") == 11
    assert claim([]).passed


def test_a_table_is_told_with_its_place_and_columns(connection: Connection) -> None:
    metadata = relation_metadata(connection, "event_contents", 7)
    assert metadata["dagster/row_count"].value == 7
    assert str(metadata["dagster/table_name"].value).endswith(".public.event_contents")
    schema = metadata["dagster/column_schema"].value
    assert isinstance(schema, dg.TableSchema)
    assert [column.name for column in schema.columns][:2] == ["event_id", "content_id"]
