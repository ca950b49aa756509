"""The two assets that cut periods: the first one of an entity, and all later ones."""

import dataclasses
import time
from collections.abc import Callable

import dagster as dg

from temporal_pipeline import __version__
from temporal_pipeline.automation import FOLLOWS_CRAWLS, WRITES, retried
from temporal_pipeline.bulk import told_in_lines
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import CutReport, perform_cut, queries, waiting_entities
from temporal_pipeline.reporting import docs, dry_run_result, markdown_table, relation_metadata
from temporal_pipeline.scope import Scope


@dg.asset(
    group_name="periods",
    deps=["content_relevance", "topics", "users"],
    kinds={"postgres", "table"},
    owners=["team:data"],
    metadata=docs("numbers.md"),
    pool=WRITES,
    freshness_policy=FOLLOWS_CRAWLS,
    code_version=__version__,
    description=(
        "Period 0 of every topic and user that has none yet: everything that was crawled before the pipeline "
        "came, with the application's own summary, insights and knowledge."
    ),
)
@retried
def period_zero(
    context: dg.AssetExecutionContext, database: dg.ResourceParam[Database], scope: Scope
) -> dg.MaterializeResult[None]:
    return _cut(context, database, scope, is_zero=True, is_mine=lambda number: number == 0)


@dg.asset(
    group_name="periods",
    deps=["period_zero"],
    kinds={"postgres", "table"},
    owners=["team:data"],
    metadata=docs("numbers.md"),
    pool=WRITES,
    freshness_policy=FOLLOWS_CRAWLS,
    code_version=__version__,
    description=(
        "Periods 1, 2, 3 … of every topic and user: what each round of crawls brought, with figures, what "
        "changed against the period before, and a summary."
    ),
)
@retried
def analysis_periods(
    context: dg.AssetExecutionContext, database: dg.ResourceParam[Database], scope: Scope
) -> dg.MaterializeResult[None]:
    return _cut(context, database, scope, is_zero=False, is_mine=lambda number: number > 0)


def _cut(
    context: dg.AssetExecutionContext,
    database: Database,
    scope: Scope,
    *,
    is_zero: bool,
    is_mine: Callable[[int], bool],
) -> dg.MaterializeResult[None]:
    started = time.monotonic()
    entities = scope.resolve(database)
    if scope.dry_run:
        return dry_run_result(
            database,
            lambda connection: [
                {
                    "entity": row.name,
                    "contents": row.contents,
                    "from": f"{row.oldest:%Y-%m-%d %H:%M}",
                    "to": f"{row.newest:%Y-%m-%d %H:%M}",
                    "waits because": row.reason or "",
                }
                for row in waiting_entities(connection, entities, scope.since_instant, scope.automatic)
                if row.has_period != is_zero
            ],
        )
    report = perform_cut(
        database,
        context.run.run_id,
        entities=entities,
        since=scope.since_instant,
        batch_size=scope.batch_size,
        automatic=scope.automatic,
        max_wait=scope.max_wait,
        progress=told_in_lines(context.log.info),
    )
    with database.transaction(read_only=True) as connection:
        state = connection.execute(queries["period_digest"], {"is_zero": is_zero}).one()
        columns = relation_metadata(connection, "analysis_periods", state.periods)
    mine = [row for row in report.periods if is_mine(row.period_number)]
    return dg.MaterializeResult(
        metadata={
            **columns,
            "rows_written": len(mine),
            "contents_linked": sum(row.content_count for row in mine),
            "contents_waiting": sum(row.contents for row in report.waiting),
            "contents_unowned": report.unowned,
            "contents_in_the_future": report.future,
            "entities_failed": len(report.failed),
            **dataclasses.asdict(report.effort),
            "entities": _entity_table(report, is_mine),
            "duration_seconds": time.monotonic() - started,
        },
        data_version=dg.DataVersion(state.digest),
    )


def _entity_table(report: CutReport, is_mine: Callable[[int], bool]) -> dg.MetadataValue:
    closed = [
        {
            "entity": row.name,
            "period": row.period_number,
            "contents": row.content_count,
            "from": f"{row.period_start:%Y-%m-%d %H:%M}",
            "to": f"{row.period_end:%Y-%m-%d %H:%M}",
            "note": row.summary_short,
        }
        for row in report.periods
        if is_mine(row.period_number)
    ]
    blank = {"period": None, "contents": None, "from": None, "to": None}
    failed = [{"entity": e.name, **blank, "note": f"FAILED: {reason}"} for e, reason in report.failed]
    waiting = [
        {"entity": row.name, **blank, "contents": row.contents, "note": f"waits: {row.reason or 'next run'}"}
        for row in report.waiting
    ]
    return markdown_table(failed + closed + waiting, nothing="Nothing new: every due content is linked.")
