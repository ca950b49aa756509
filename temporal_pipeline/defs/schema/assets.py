"""The asset that brings the database's schema to head."""

import time

import dagster as dg

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.schema.definition.model import HEAD
from temporal_pipeline.defs.schema.definition.revisions import definition_fingerprint
from temporal_pipeline.defs.schema.upgrade import planned_statements, upgrade
from temporal_pipeline.reporting import markdown_table
from temporal_pipeline.scope import Scope

queries = Queries(__package__)


@dg.asset(
    group_name="schema",
    kinds={"postgres", "alembic"},
    owners=["team:data"],
    code_version=HEAD,
    description=(
        "The temporal schema beside the application's own: five tables, columns on five others, views and "
        "functions. Migrated while the application goes on, in short transactions that wait for nobody."
    ),
)
def temporal_schema(database: dg.ResourceParam[Database], scope: Scope) -> dg.MaterializeResult[None]:
    started = time.monotonic()
    if scope.dry_run:
        with database.transaction(read_only=True) as connection:
            statements = planned_statements(connection)
        beginnings = [{"statement": statement.splitlines()[0]} for statement in statements]
        preview = markdown_table(beginnings, nothing="The schema is at head.")
        return dg.MaterializeResult(
            metadata={"dry_run": True, "would_write": len(statements), "preview": preview}
        )
    report = upgrade(database)
    with database.transaction(read_only=True) as connection:
        tables = connection.execute(queries["temporal_tables"]).all()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(table.rows for table in tables),
            "dagster/table_name": "analysis_periods, period_content_snapshots, temporal_events, "
            "event_contents, crawl_effectiveness",
            "dagster/column_schema": _column_schema(database),
            "rows_written": 0,
            "statements_executed": len(report.executed),
            "revision_before": report.revision_before or "none: legacy schema",
            "revision_after": report.revision_after or "none",
            "steps": markdown_table(
                [{"step": name} for name in report.executed], nothing="Nothing new: the schema is at head."
            ),
            "tables": markdown_table([{"table": table.name, "rows": table.rows} for table in tables]),
            "duration_seconds": time.monotonic() - started,
        },
        data_version=dg.DataVersion(f"{report.revision_after}-{definition_fingerprint()}"),
    )


def _column_schema(database: Database) -> dg.MetadataValue:
    """The columns of all temporal tables, as `table.column`."""
    with database.transaction(read_only=True) as connection:
        columns = connection.execute(queries["temporal_columns"]).all()
    return dg.MetadataValue.table_schema(
        dg.TableSchema([dg.TableColumn(f"{c.table_name}.{c.name}", c.type) for c in columns])
    )
