"""The job that brings everything up to date."""

from datetime import timedelta

import dagster as dg

from temporal_pipeline.automation import max_runtime

update = dg.define_asset_job(
    "update",
    selection=dg.AssetSelection.all(),
    # The first one of a large database, migration and backup included, takes minutes per million contents.
    tags=max_runtime(timedelta(hours=4)),
    description=(
        "Everything: schema, relevance, periods, snapshots, events, effectiveness and trends, with all "
        "checks. A step that finds nothing new writes nothing."
    ),
)
