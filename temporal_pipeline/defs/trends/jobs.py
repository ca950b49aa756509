"""The job that refreshes the trends alone."""

from datetime import timedelta

import dagster as dg

from temporal_pipeline.automation import max_runtime

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets("mv_period_metrics_trend"),
    # A million periods take 13 s.
    tags=max_runtime(timedelta(minutes=15)),
    description="The trend view, its chart and its report, brought up to date with the periods that exist.",
)
