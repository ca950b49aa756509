"""What must hold of the schema before anything is written into it."""

import dagster as dg

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.schema.upgrade import schema_state
from temporal_pipeline.reporting import markdown_table
from temporal_pipeline.scope import Scope

queries = Queries(__package__)

CHINESE = "人工智能"


@dg.asset_check(
    asset="temporal_schema",
    blocking=True,
    description="Every table, column, constraint, index, view and function is as at head.",
)
def schema_is_at_head(database: dg.ResourceParam[Database], scope: Scope) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        state = schema_state(connection)
    return dg.AssetCheckResult(
        # A dry run has not migrated, and says what it would do to the rest of the graph.
        passed=state.is_at_head or scope.dry_run,
        metadata={
            "revision": state.revision or "none",
            "head": state.head,
            "offenders": len(state.pending),
            "first_offenders": markdown_table(
                [{"missing": name} for name in state.pending[:10]], nothing="none"
            ),
        },
    )


@dg.asset_check(
    asset="temporal_schema",
    description=(
        "The server sees trigrams in Chinese text. With a character type of C it sees none, and no similar "
        "query in Chinese is ever found; create the database with LC_CTYPE C.UTF-8 or another UTF-8 locale."
    ),
)
def trigrams_work_for_chinese(database: dg.ResourceParam[Database], scope: Scope) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        if not connection.scalar(queries["has_trigrams"]):
            return dg.AssetCheckResult(passed=scope.dry_run, metadata={"trigrams": 0, "extension": "missing"})
        trigrams = connection.scalar(queries["trigrams_of"], {"sample": CHINESE})
    return dg.AssetCheckResult(
        passed=bool(trigrams),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"trigrams": len(trigrams or []), "sample": CHINESE},
    )
