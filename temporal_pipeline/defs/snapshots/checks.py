"""What must hold of snapshots after a run."""

import dagster as dg

from temporal_pipeline.database import Database
from temporal_pipeline.defs.snapshots.freezing import STAGE, queries
from temporal_pipeline.reporting import claim, entities_succeeded


@dg.asset_check(
    asset="period_content_snapshots",
    blocking=True,
    description=(
        "Each period counts exactly the members that were frozen, and no member was left out. What the "
        "application deleted later is reported, not failed."
    ),
)
def content_count_equals_members(
    context: dg.AssetCheckExecutionContext, database: dg.ResourceParam[Database]
) -> dg.AssetCheckResult:
    return counts_are_right(database, context.run.run_id)


def counts_are_right(database: Database, run_id: str) -> dg.AssetCheckResult:
    """The claim; a warning where no period that this run has frozen is concerned."""
    with database.transaction(read_only=True) as connection:
        deleted = connection.scalar(queries["deleted_members"])
        miscounted = connection.execute(queries["miscounted_periods"], {"run_id": run_id}).all()
    of_this_run = any(period.of_this_run for period in miscounted)
    severity = dg.AssetCheckSeverity.ERROR if of_this_run else dg.AssetCheckSeverity.WARN
    return claim(miscounted, severity=severity, deleted_since=int(deleted or 0))


@dg.asset_check(
    asset="period_content_snapshots",
    description="Periods that the application made itself count the members that were frozen.",
)
def application_periods_count_their_members(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        return claim(
            connection.execute(queries["application_periods_that_differ"]).all(),
            severity=dg.AssetCheckSeverity.WARN,
        )


@dg.asset_check(
    asset="period_content_snapshots",
    description="No period failed when its members were frozen; those that did are named with the reason.",
)
def every_period_could_be_frozen(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    return entities_succeeded(database, STAGE)
