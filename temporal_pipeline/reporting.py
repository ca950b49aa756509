"""Metadata that every asset shows in the same way."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
from sqlalchemy import Connection, Row, text

from temporal_pipeline import problems
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import waiting_entities
from temporal_pipeline.defs.schema.upgrade import is_at_head

ROWS_SHOWN = 50
OFFENDERS_SHOWN = 10

_COLUMNS = text("""
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
           col_description(a.attrelid, a.attnum) AS description
    FROM pg_attribute a
    WHERE a.attrelid = to_regclass(CAST(:relation AS text)) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
""")
_PLACE = text("""
    SELECT current_database() || '.' || n.nspname || '.' || c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass(CAST(:relation AS text))
""")


def docs(page: str) -> dict[str, dg.MetadataValue]:
    """Where to read how the numbers of an asset come about: a page of the project's folder docs/."""
    return {"docs": dg.MetadataValue.path(f"docs/{page}")}


def relation_metadata(connection: Connection, relation: str, row_count: int) -> dict[str, dg.MetadataValue]:
    """Row count, full name and columns of a table or view, under the keys that Dagster's UI knows."""
    columns = [
        dg.TableColumn(
            row.name,
            row.type,
            description=row.description,
            constraints=dg.TableColumnConstraints(nullable=not row.required),
        )
        for row in connection.execute(_COLUMNS, {"relation": relation})
    ]
    return {
        "dagster/row_count": dg.MetadataValue.int(row_count),
        "dagster/table_name": dg.MetadataValue.text(
            connection.scalar(_PLACE, {"relation": relation}) or relation
        ),
        "dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns)),
    }


def markdown_table(rows: Sequence[Mapping[str, object]], *, nothing: str = "nothing") -> dg.MetadataValue:
    """Rows of equal keys as a Markdown table; beyond 50 rows the rest is counted."""
    if not rows:
        return dg.MetadataValue.md(nothing)
    head = list(rows[0])
    lines = [_line(head), _line("---" for _ in head)]
    lines += [_line(row.values()) for row in rows[:ROWS_SHOWN]]
    if len(rows) > ROWS_SHOWN:
        lines.append(f"\n… and {len(rows) - ROWS_SHOWN} more")
    return dg.MetadataValue.md("\n".join(lines))


def dry_run_result(
    database: Database,
    preview: Callable[[Connection], Sequence[Mapping[str, object]]],
    *,
    follows_the_cut: bool = False,
) -> dg.MaterializeResult[None]:
    """What a stage would work on, as a table, read in a READ ONLY transaction.

    A stage that `follows_the_cut` works on periods; those that are still to be cut do not exist yet, and it
    says so instead of claiming that there is nothing to do.
    """
    with database.transaction(read_only=True) as connection:
        if is_at_head(connection):
            rows = preview(connection)
            to_cut = sum(row.reason is None for row in waiting_entities(connection)) if follows_the_cut else 0
            nothing = f"Its input does not exist yet: periods of {to_cut} entities are to be cut first."
            shown = markdown_table(rows, nothing=nothing if to_cut else "Nothing to do.")
        else:
            rows = []
            shown = markdown_table([], nothing="Its input does not exist yet: the schema is not migrated.")
    return dg.MaterializeResult(metadata={"dry_run": True, "would_write": len(rows), "preview": shown})


def claim(
    offenders: Sequence[Row[Any]],
    *,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    **counts: int,
) -> dg.AssetCheckResult:
    """The result of a check whose claim holds when there are no offenders; shows how many and up to ten."""
    shown = markdown_table([dict(row._mapping) for row in offenders[:OFFENDERS_SHOWN]], nothing="none")
    return dg.AssetCheckResult(
        passed=not offenders,
        severity=severity,
        metadata={"offenders": len(offenders), **counts, "first_offenders": shown},
    )


def entities_succeeded(database: Database, stage: str) -> dg.AssetCheckResult:
    """A warning that names the entities which a stage could not process, with the reason."""
    with database.transaction(read_only=True) as connection:
        return claim(problems.of_stage(connection, stage), severity=dg.AssetCheckSeverity.WARN)


def _line(cells: Iterable[object]) -> str:
    shown = (str("" if cell is None else cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(shown) + " |"
