"""The asset that measures queries."""

import time

import dagster as dg
from sqlalchemy import Connection

from temporal_pipeline.automation import FOLLOWS_CRAWLS, WRITES, retried
from temporal_pipeline.charts import figure_to_markdown
from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness.bookkeeping import Measurement
from temporal_pipeline.defs.effectiveness.chart import draw
from temporal_pipeline.defs.effectiveness.judgement.scoring import METHOD
from temporal_pipeline.defs.effectiveness.measuring import (
    MeasureReport,
    measure_periods,
    queries,
    unmeasured_periods,
)
from temporal_pipeline.defs.effectiveness.ranking import RankedQuery, ranked_queries
from temporal_pipeline.entities import Entity
from temporal_pipeline.reporting import docs, dry_run_result, markdown_table, relation_metadata
from temporal_pipeline.scope import Scope

# Of a run about many entities, the page shows those with the most new rows.
ENTITIES_SHOWN = 6


@dg.asset(
    group_name="effectiveness",
    deps=["period_content_snapshots", "tasks"],
    kinds={"postgres", "table"},
    owners=["team:data"],
    metadata=docs("effectiveness.md"),
    pool=WRITES,
    freshness_policy=FOLLOWS_CRAWLS,
    code_version=METHOD,
    description=(
        "Which crawl queries were worth their cost: per period, platform and query what was found, how much "
        "of it was new and relevant, a score that a single lucky hit cannot win, and what to do with the query. "
        "Crawl tasks are told their row and their duration."
    ),
)
@retried
def crawl_effectiveness(
    context: dg.AssetExecutionContext, database: dg.ResourceParam[Database], scope: Scope
) -> dg.MaterializeResult[None]:
    started = time.monotonic()
    entities = scope.resolve(database)
    if scope.dry_run:
        return dry_run_result(
            database,
            lambda connection: [
                {"entity": row.name, "period": row.period_number, "contents": row.content_count}
                for row in unmeasured_periods(connection, entities, scope.since_instant)
            ],
            follows_the_cut=True,
        )
    report = measure_periods(
        database,
        context.run.run_id,
        entities=entities,
        since=scope.since_instant,
        batch_size=scope.batch_size,
    )
    with database.transaction(read_only=True) as connection:
        state = connection.execute(queries["effectiveness_state"]).one()
        columns = relation_metadata(connection, "crawl_effectiveness", state.rows)
        shown = _rankings(connection, report)
    return dg.MaterializeResult(
        metadata={
            **columns,
            "rows_written": report.rows_written,
            "periods_measured": report.periods,
            "tasks_linked": report.tasks_linked,
            "tasks_left_for_the_next_run": report.tasks_held,
            "durations_filled": report.durations_filled,
            "entities_failed": len({entity for entity, _ in report.failed}),
            "entities": _entity_table(report),
            "queries": _query_table(shown),
            "chart": figure_to_markdown(
                draw([(str(entity), ranked) for entity, ranked in shown]),
                "scores of the best queries, period by period, with the interval at the end: "
                + ", ".join(str(entity) for entity, _ in shown),
            )
            if shown
            else dg.MetadataValue.md("Nothing new: every period is measured."),
            "duration_seconds": time.monotonic() - started,
        },
        data_version=dg.DataVersion(state.digest),
    )


def _entity_table(report: MeasureReport) -> dg.MetadataValue:
    measured: list[dict[str, object]] = [
        {
            "entity": str(entity),
            "periods": tally.periods,
            "queries": tally.queries,
            "best": _told(tally.best),
            "worst": _told(tally.worst) if tally.worst is not tally.best else None,
            "note": None,
        }
        for entity, tally in sorted(report.tallies.items())
    ]
    blank = {"periods": None, "queries": None, "best": None, "worst": None}
    failed: list[dict[str, object]] = [
        {"entity": str(e), **blank, "note": f"FAILED: {reason}"} for e, reason in report.failed
    ]
    return markdown_table(failed + measured, nothing="Nothing new: every period is measured.")


def _told(measurement: Measurement | None) -> str | None:
    if measurement is None:
        return None
    return f"{measurement.query} ({measurement.platform}): {measurement.score:.2f}"


def _rankings(connection: Connection, report: MeasureReport) -> list[tuple[Entity, list[RankedQuery]]]:
    busiest = sorted(report.tallies.items(), key=lambda item: (-item[1].queries, item[0]))
    chosen = [entity for entity, tally in busiest[:ENTITIES_SHOWN] if tally.queries]
    return [(entity, ranked_queries(connection, (entity.type, entity.id))) for entity in chosen]


def _query_table(shown: list[tuple[Entity, list[RankedQuery]]]) -> dg.MetadataValue:
    rows: list[dict[str, object]] = [
        {
            "entity": str(entity),
            "query": query.query,
            "platform": query.platform,
            "runs": query.judgement.account.life.runs,
            "found": int(query.judgement.account.life.found),
            "new relevant": query.judgement.account.life.relevant,
            "score": f"{query.judgement.standing.score:.2f}",
            "90 % interval": f"{query.judgement.standing.lower:.2f} to {query.judgement.standing.upper:.2f}",
            "verdict": query.judgement.advice.verdict,
            "why": query.why,
        }
        for entity, ranked in shown
        for query in ranked
    ]
    return markdown_table(rows, nothing="Nothing new: every period is measured.")
