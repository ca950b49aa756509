"""What must hold of the trend view after a run."""

import dagster as dg

from temporal_pipeline.database import Database
from temporal_pipeline.defs.trends.refreshing import disagreements
from temporal_pipeline.reporting import claim


@dg.asset_check(
    asset="mv_period_metrics_trend",
    description="The view has exactly the active periods, each with its figures and those of the two before.",
)
def trend_view_agrees_with_periods(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        return claim(disagreements(connection))
