"""The job that refreshes the trends alone."""

import dagster as dg

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets("mv_period_metrics_trend"),
    description="The trend view, its chart and its report, brought up to date with the periods that exist.",
)
