"""The asset that shows how entities develop from period to period."""

import time

import dagster as dg
from sqlalchemy import Connection

from temporal_pipeline import __version__
from temporal_pipeline.automation import DAILY, WRITES, retried
from temporal_pipeline.charts import figure_to_markdown
from temporal_pipeline.database import Database
from temporal_pipeline.defs.trends.chart import draw
from temporal_pipeline.defs.trends.refreshing import disagreements, refresh_view
from temporal_pipeline.defs.trends.story import panels, report
from temporal_pipeline.reporting import docs, dry_run_result, markdown_table, relation_metadata
from temporal_pipeline.scope import Scope


@dg.asset(
    group_name="trends",
    deps=["analysis_periods", "temporal_events", "crawl_effectiveness"],
    kinds={"postgres", "view"},
    owners=["team:data"],
    metadata=docs("numbers.md"),
    pool=WRITES,
    freshness_policy=DAILY,
    code_version=__version__,
    description=(
        "The metrics of every period beside those of the two before it. Refreshed only when periods changed, "
        "without blocking its readers; with a chart of the busiest topics and users, and what is new of each."
    ),
)
@retried
def mv_period_metrics_trend(database: dg.ResourceParam[Database], scope: Scope) -> dg.MaterializeResult[None]:
    started = time.monotonic()
    if scope.dry_run:
        return dry_run_result(
            database, lambda c: [dict(row._mapping) for row in disagreements(c)], follows_the_cut=True
        )
    refresh = refresh_view(database)
    with database.transaction(read_only=True) as connection:
        return dg.MaterializeResult(
            metadata={
                **relation_metadata(connection, "mv_period_metrics_trend", refresh.rows),
                "refreshed": refresh.refreshed,
                "rows_written": refresh.rows if refresh.refreshed else 0,
                "note": (
                    "The view was refreshed."
                    if refresh.refreshed
                    else "Nothing new: the view says what the periods say."
                ),
                "chart": _chart(connection),
                "report": markdown_table(report(connection), nothing="There are no periods yet."),
                "duration_seconds": time.monotonic() - started,
            },
            data_version=dg.DataVersion(refresh.digest),
        )


def _chart(connection: Connection) -> dg.MetadataValue:
    shown = panels(connection)
    if not shown:
        return dg.MetadataValue.md("No period is long enough to have a rate yet.")
    return figure_to_markdown(
        draw(shown),
        "posts per hour, period by period; triangles mark events, filled ones go on: "
        + ", ".join(panel.title for panel in shown),
    )
