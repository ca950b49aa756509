"""The asset that brings the database's schema to head."""

import time
from functools import partial

import dagster as dg
from pydantic import Field

from temporal_pipeline.automation import WRITES, retried
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.schema.definition.model import HEAD
from temporal_pipeline.defs.schema.definition.revisions import definition_fingerprint
from temporal_pipeline.defs.schema.planning import plan
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.operations.backup.dump import take_backup
from temporal_pipeline.reporting import docs, markdown_table
from temporal_pipeline.scope import Scope
from temporal_pipeline.settings import Settings

queries = Queries(__package__)


class Migration(dg.Config):
    """How the schema is migrated."""

    backup: bool = Field(
        default=True,
        description="Back the database up first, where there is anything to migrate. It needs pg_dump here.",
    )
    verify_backup: bool = Field(
        default=False, description="Restore the backup into a scratch database and compare row counts."
    )


@dg.asset(
    group_name="schema",
    kinds={"postgres", "alembic"},
    owners=["team:data"],
    metadata=docs("migrate.md"),
    pool=WRITES,
    code_version=HEAD,
    description=(
        "The temporal schema beside the application's own: five tables, columns on five others, views and "
        "functions. Migrated while the application goes on, in short transactions that wait for nobody."
    ),
)
@retried
def temporal_schema(
    config: Migration, database: dg.ResourceParam[Database], scope: Scope
) -> dg.MaterializeResult[None]:
    started = time.monotonic()
    if scope.dry_run:
        with database.transaction(read_only=True) as connection:
            statements = plan(connection)
        preview = markdown_table(
            [
                {"step": s.step, "statement": s.sql.splitlines()[0], "takes": s.time_class, "rows": s.rows}
                for s in statements
            ],
            nothing="The schema is at head.",
        )
        return dg.MaterializeResult(
            metadata={"dry_run": True, "would_write": len(statements), "preview": preview}
        )
    back_up = partial(
        take_backup, folder=Settings().backups, verify=config.verify_backup, max_wait=scope.max_wait
    )
    report = upgrade(database, max_wait=scope.max_wait, back_up=back_up if config.backup else None)
    with database.transaction(read_only=True) as connection:
        tables = connection.execute(queries["temporal_tables"]).all()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(table.rows for table in tables),
            "dagster/table_name": "analysis_periods, period_content_snapshots, temporal_events, "
            "event_contents, crawl_effectiveness",
            "dagster/column_schema": _column_schema(database),
            "rows_written": 0,
            "statements_executed": len(report.statements),
            "retries": report.retries,
            "seconds_waited": report.waited,
            "backup": str(report.backup.path) if report.backup else "none",
            "revision_before": report.revision_before or "none: legacy schema",
            "revision_after": report.revision_after or "none",
            "steps": markdown_table(
                [
                    {"step": s.step, "seconds": s.seconds, "retries": s.retries, "waited": s.waited}
                    for s in report.statements
                ],
                nothing="Nothing new: the schema is at head.",
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
