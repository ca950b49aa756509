"""The job that migrates the schema and does nothing else."""

from datetime import timedelta

import dagster as dg

from temporal_pipeline.automation import max_runtime

migrate = dg.define_asset_job(
    "migrate",
    selection=dg.AssetSelection.assets("temporal_schema"),
    # The backup of a large database takes the most of it. What is migrated by then stays migrated.
    tags=max_runtime(timedelta(hours=4)),
    description="Bring the schema to head, beside the running application.",
)
