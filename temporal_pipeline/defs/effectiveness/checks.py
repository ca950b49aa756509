"""What must hold of effectiveness after a run."""

import dagster as dg

from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness.measuring import STAGE, queries
from temporal_pipeline.reporting import claim, entities_succeeded


@dg.asset_check(
    asset="crawl_effectiveness",
    blocking=True,
    description="Every score, mean relevance and coverage is a number from 0 to 1, or null where unknown.",
)
def effectiveness_scores_are_in_range(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        return claim(connection.execute(queries["scores_out_of_range"]).all())


@dg.asset_check(
    asset="crawl_effectiveness",
    description="Every measured period that has contents of its own has a row for each query that found them.",
)
def every_closed_period_with_contents_has_its_queries(
    database: dg.ResourceParam[Database],
) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        return claim(connection.execute(queries["periods_without_queries"]).all())


@dg.asset_check(
    asset="crawl_effectiveness",
    description=(
        "Every crawl task that found contents of a measured period knows its period and its row. Tasks that "
        "the application held while they were to be linked are late, not wrong: the next run links them."
    ),
)
def every_crawl_task_with_contents_in_a_closed_period_is_linked(
    database: dg.ResourceParam[Database],
) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        unlinked = connection.execute(queries["unlinked_tasks_with_contents"]).all()
    return claim(unlinked, severity=dg.AssetCheckSeverity.WARN)


@dg.asset_check(
    asset="crawl_effectiveness",
    description="No period failed when its queries were measured; those that did are named with the reason.",
)
def every_period_could_be_measured(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    return entities_succeeded(database, STAGE)
