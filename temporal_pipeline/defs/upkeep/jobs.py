"""The jobs that make nothing new: what should be true is verified, and what piles up is looked after."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field
from sqlalchemy import Row

from temporal_pipeline.automation import WRITES, max_runtime, retried
from temporal_pipeline.database import Database
from temporal_pipeline.defs.upkeep import tidying
from temporal_pipeline.defs.upkeep.history import prune
from temporal_pipeline.operations.verification import Claim
from temporal_pipeline.operations.verification import verify as examine
from temporal_pipeline.reporting import markdown_table
from temporal_pipeline.scope import Scope


class Age(dg.Config):
    """What is put away when it is old: whether now, and how old it must be."""

    is_due: bool = Field(
        default=True,
        description="Whether it is time for this; the weekly schedule leaves it to the monthly one.",
    )
    older_than_days: int = Field(default=90, ge=7, description="How many days old it must be.")

    @property
    def limit(self) -> timedelta:
        """How old it must be."""
        return timedelta(days=self.older_than_days)


@dg.op(
    pool=WRITES,
    description="Closes drafts older than a day that a killed run left, or removes them when they are empty.",
)
@retried
def finish_old_drafts(
    context: dg.OpExecutionContext, database: dg.ResourceParam[Database], scope: Scope
) -> None:
    if scope.dry_run:
        with database.transaction(read_only=True) as connection:
            left = tidying.old_drafts(connection)
        found = len(left)
    else:
        drafts = tidying.finish_drafts(database, context.run_id, scope.max_wait)
        found, left = drafts.found, drafts.left
    _show(context, {"found": found, "left": len(left)}, _table(left, "No draft is older than a day."), scope)


@dg.op(description="Names open events that no run looks at any more, with the reason; it ends none.")
@retried
def name_forgotten_events(
    context: dg.OpExecutionContext, database: dg.ResourceParam[Database], scope: Scope
) -> None:
    with database.transaction(read_only=True) as connection:
        events = tidying.forgotten_events(connection)
    _show(context, {"events": len(events)}, _table(events, "Every open event is looked at."), scope)


@dg.op(
    pool=WRITES,
    description=(
        "VACUUM (ANALYZE) of our tables, at the pace of autovacuum; names those that this role may not vacuum."
    ),
)
@retried
def vacuum_our_tables(
    context: dg.OpExecutionContext, database: dg.ResourceParam[Database], scope: Scope
) -> None:
    if scope.dry_run:
        with database.transaction(read_only=True) as connection:
            tables = tidying.our_tables(connection)
        rows = [{"table": t.name, "dead rows": t.dead_rows, "may": t.may_vacuum} for t in tables]
        _show(context, {"tables": len(tables)}, markdown_table(rows), scope)
        return
    done = tidying.vacuum(database)
    figures = {
        "tables": len(done),
        "left_out": sum(table.reason is not None for table in done),
        "dead_rows": sum(table.dead_rows for table in done),
        "bytes": sum(table.bytes for table in done),
    }
    _show(context, figures, markdown_table([vars(table) for table in done]), scope)


@dg.op(
    pool=WRITES,
    description="Gives periods that were superseded long ago the status archived; nothing of them is lost.",
)
@retried
def archive_superseded_periods(
    context: dg.OpExecutionContext, config: Age, database: dg.ResourceParam[Database], scope: Scope
) -> None:
    if not config.is_due:
        context.log.info("Not this time: the monthly schedule does it.")
        return
    if scope.dry_run:
        with database.transaction(read_only=True) as connection:
            periods = tidying.superseded_periods(connection, config.limit)
    else:
        periods = tidying.archive_periods(database, config.limit)
    _show(context, {"periods": len(periods)}, _table(periods, "None is old enough."), scope)


@dg.op(
    description=(
        "Deletes Dagster's old runs and events, except the latest of every asset and check. Nothing that the "
        "pipeline decides depends on them."
    ),
)
def prune_run_history(context: dg.OpExecutionContext, config: Age, scope: Scope) -> None:
    if not config.is_due:
        context.log.info("Not this time: the monthly schedule does it.")
        return
    pruned = prune(context.instance, config.limit, dry_run=scope.dry_run)
    _show(context, vars(pruned), markdown_table([vars(pruned)]), scope)


# They need nothing of each other: one that fails stops no other.
@dg.job(
    tags=max_runtime(timedelta(hours=2)),
    description=(
        "Finishes or removes old drafts, names forgotten events, vacuums our tables; monthly also archives periods "
        "that were superseded long ago and prunes Dagster's history. See docs/automation.md."
    ),
)
def maintain() -> None:
    finish_old_drafts()
    name_forgotten_events()
    vacuum_our_tables()
    archive_superseded_periods()
    prune_run_history()


@dg.op(description="Examines every claim at one and the same moment; reads only. A warning fails nothing.")
@retried
def examine_claims(context: dg.OpExecutionContext, database: dg.ResourceParam[Database]) -> None:
    claims = examine(database)
    broken = [claim for claim in claims if not claim.holds]
    metadata: dict[str, int | dg.MetadataValue] = {
        "claims": len(claims),
        "warnings": sum(claim.verdict == "warning" for claim in claims),
        "do_not_hold": len(broken),
        "table": markdown_table([_line(claim) for claim in claims]),
    }
    if broken:
        raise dg.Failure(
            f"does not hold: {', '.join(claim.name for claim in broken)}. Remedy: {broken[0].remedy}",
            metadata=metadata,
            allow_retries=False,
        )
    context.add_output_metadata(metadata)


@dg.job(
    tags=max_runtime(timedelta(hours=1)),
    description=(
        "What should be true of the database, claim by claim, as `temporal-pipeline verify` says it. Fails when a "
        "claim does not hold."
    ),
)
def verify() -> None:
    examine_claims()


def _line(claim: Claim) -> dict[str, object]:
    return {
        "claim": claim.name,
        "verdict": claim.verdict,
        "offenders": claim.counts["offenders"],
        "first offenders": "; ".join(str(dict(offender)) for offender in claim.offenders[:3]),
        "remedy": claim.remedy,
        "seconds": round(claim.seconds, 2),
    }


def _table(rows: Sequence[Row[Any]], nothing: str) -> dg.MetadataValue:
    return markdown_table([dict(row._mapping) for row in rows], nothing=nothing)


def _show(
    context: dg.OpExecutionContext, figures: Mapping[str, int], table: dg.MetadataValue, scope: Scope
) -> None:
    context.add_output_metadata({**figures, "dry_run": scope.dry_run, "table": table})
