"""What must hold of periods after a run."""

import dagster as dg

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import STAGE, queries
from temporal_pipeline.reporting import claim, entities_succeeded


@dg.asset_check(
    asset="analysis_periods",
    blocking=True,
    description="Every content that this run's cut had to link points to a period.",
)
def every_due_content_is_linked(
    context: dg.AssetCheckExecutionContext, database: dg.ResourceParam[Database]
) -> dg.AssetCheckResult:
    return due_contents_are_linked(database, context.run.run_id)


def due_contents_are_linked(database: Database, run_id: str) -> dg.AssetCheckResult:
    """The claim for the cuts of one run; contents that the application holds right now are not overdue."""
    with database.transaction() as connection:
        return claim(connection.execute(queries["unlinked_due_of_run"], {"run_id": run_id}).all())


@dg.asset_check(
    asset="analysis_periods",
    blocking=True,
    description="No two active periods of an entity share time or bear the same number.",
)
def active_periods_do_not_overlap(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        return claim(connection.execute(queries["overlapping_periods"]).all())


@dg.asset_check(
    asset="analysis_periods",
    description="Each topic's and user's counters agree with its active periods.",
)
def entity_counters_agree_with_periods(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        return claim(connection.execute(queries["disagreeing_counters"]).all())


@dg.asset_check(
    asset="analysis_periods",
    description="No entity failed when its period was cut; those that did are named with the reason.",
)
def every_period_could_be_closed(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    return entities_succeeded(database, STAGE)
