"""The asset that freezes what periods contained."""

import time

import dagster as dg

from temporal_pipeline.automation import FOLLOWS_CRAWLS, WRITES, retried
from temporal_pipeline.database import Database
from temporal_pipeline.defs.snapshots.freezing import METHOD, freeze_periods, queries, unfrozen_periods
from temporal_pipeline.reporting import docs, dry_run_result, markdown_table, relation_metadata
from temporal_pipeline.scope import Scope


@dg.asset(
    group_name="snapshots",
    deps=["analysis_periods"],
    kinds={"postgres", "table"},
    owners=["team:data"],
    metadata=docs("numbers.md"),
    pool=WRITES,
    freshness_policy=FOLLOWS_CRAWLS,
    code_version=METHOD,
    description=(
        "What each period contained, frozen: its members with their text, key points and relevance at that "
        "time. The crawler may edit or delete a post later; the snapshot keeps what was known then."
    ),
)
@retried
def period_content_snapshots(
    context: dg.AssetExecutionContext, database: dg.ResourceParam[Database], scope: Scope
) -> dg.MaterializeResult[None]:
    started = time.monotonic()
    if scope.dry_run:
        return dry_run_result(
            database,
            lambda connection: [
                {"entity": row.name, "period": row.period_number, "snapshots": row.content_count}
                for row in unfrozen_periods(connection)
            ],
            follows_the_cut=True,
        )
    report = freeze_periods(database, context.run.run_id, batch_size=scope.batch_size)
    with database.transaction(read_only=True) as connection:
        state = connection.execute(queries["snapshot_count"]).one()
        columns = relation_metadata(connection, "period_content_snapshots", state.snapshots)
    return dg.MaterializeResult(
        metadata={
            **columns,
            "rows_written": report.rows_written,
            "periods_frozen": len(report.periods),
            "late_arrivals": report.late_arrivals,
            "entities_failed": len(report.failed),
            "entities": markdown_table(
                [
                    {"entity": row.name, "period": row.period_number, "contents": row.content_count}
                    for row in report.periods
                ],
                nothing="Nothing new: every period is frozen.",
            ),
            "duration_seconds": time.monotonic() - started,
        },
        data_version=dg.DataVersion(f"{METHOD}-{state.digest}"),
    )
