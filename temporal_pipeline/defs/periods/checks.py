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
    """The claim for the cuts of one run; a warning if there are no more than the application held."""
    with database.transaction(read_only=True) as connection:
        unlinked = connection.execute(queries["unlinked_due_of_run"], {"run_id": run_id}).all()
    # What the application held is linked by the next cut, and no reason to stop anybody.
    held = sum({row.cut: row.held for row in unlinked}.values())
    severity = dg.AssetCheckSeverity.WARN if len(unlinked) <= held else dg.AssetCheckSeverity.ERROR
    return claim(unlinked, severity=severity, held=held)


@dg.asset_check(
    asset="analysis_periods",
    blocking=True,
    description="No two active periods of an entity share time or bear the same number.",
)
def active_periods_do_not_overlap(
    context: dg.AssetCheckExecutionContext, database: dg.ResourceParam[Database]
) -> dg.AssetCheckResult:
    return no_overlap(database, context.run.run_id)


def no_overlap(database: Database, run_id: str) -> dg.AssetCheckResult:
    """The claim; a warning where no period of this run takes part."""
    with database.transaction(read_only=True) as connection:
        pairs = connection.execute(queries["overlapping_periods"], {"run_id": run_id}).all()
    of_this_run = any(pair.of_this_run for pair in pairs)
    return claim(pairs, severity=dg.AssetCheckSeverity.ERROR if of_this_run else dg.AssetCheckSeverity.WARN)


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
