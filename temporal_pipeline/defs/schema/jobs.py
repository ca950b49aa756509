"""The job that migrates the schema and does nothing else."""

import dagster as dg

migrate = dg.define_asset_job(
    "migrate",
    selection=dg.AssetSelection.assets("temporal_schema"),
    description="Bring the schema to head, beside the running application.",
)
