"""What must hold of contents after a run."""

import dagster as dg

from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents.prepare import queries
from temporal_pipeline.reporting import claim


@dg.asset_check(
    asset="content_relevance",
    blocking=True,
    description="Every relevance score, ours or the application's, is a number from 0 to 1.",
)
def relevance_scores_are_in_range(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        return claim(connection.execute(queries["scores_out_of_range"]).all())


@dg.asset_check(
    asset="content_relevance",
    description="Every prepared content has both times and a relevance, or a note that says why not.",
)
def every_prepared_content_has_an_answer_or_a_reason(
    database: dg.ResourceParam[Database],
) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        return claim(connection.execute(queries["prepared_without_answer"]).all())
