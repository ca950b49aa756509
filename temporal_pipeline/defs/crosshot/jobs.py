"""The job that brings everything up to date."""

import dagster as dg

update = dg.define_asset_job(
    "update",
    selection=dg.AssetSelection.all(),
    description=(
        "Everything: schema, relevance, periods, snapshots, events, effectiveness and trends, with all "
        "checks. A step that finds nothing new writes nothing."
    ),
)
