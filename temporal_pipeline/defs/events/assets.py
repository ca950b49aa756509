"""The asset that finds events and follows them to their end."""

import time

import dagster as dg
from sqlalchemy import Connection

from temporal_pipeline.automation import FOLLOWS_CRAWLS, WRITES, retried
from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.chart import burst_chart
from temporal_pipeline.defs.events.reading import DETECTOR, METHOD, queries
from temporal_pipeline.defs.events.searching import EventReport, detect_events, preview_events
from temporal_pipeline.reporting import docs, dry_run_result, markdown_table, relation_metadata
from temporal_pipeline.scope import Scope


@dg.asset(
    group_name="events",
    deps=["period_content_snapshots"],
    kinds={"postgres", "table"},
    owners=["team:data"],
    metadata=docs("events.md"),
    pool=WRITES,
    freshness_policy=FOLLOWS_CRAWLS,
    code_version=METHOD,
    description=(
        "What stands out, followed to its end: hours with far more or fewer posts than usual, or with unusual "
        "engagement or controversy; lasting trends, milestones, gaps in the crawls and queries that fell silent. "
        "One event per episode, with the posts that show it. Events that people or the application recorded are "
        "never changed."
    ),
)
@retried
def temporal_events(
    context: dg.AssetExecutionContext, database: dg.ResourceParam[Database], scope: Scope
) -> dg.MaterializeResult[None]:
    started = time.monotonic()
    entities = scope.resolve(database)
    if scope.dry_run:
        return dry_run_result(
            database,
            lambda connection: [
                {
                    "entity": judged.watched.entity.name,
                    "would be": change.effect,
                    "event": change.finding.title
                    if change.finding
                    else f"{change.known.key}: no longer stands out"
                    if change.known
                    else None,
                    "until": None if change.ended is None else f"{change.ended:%Y-%m-%d %H:%M}",
                }
                for judged in preview_events(connection, entities, scope.since_instant)
                for change in judged.changes
            ],
            follows_the_cut=True,
        )
    report = detect_events(
        database,
        context.run.run_id,
        entities=entities,
        since=scope.since_instant,
        batch_size=scope.batch_size,
    )
    with database.transaction(read_only=True) as connection:
        state = connection.execute(queries["event_state"], {"detector": DETECTOR}).one()
        columns = relation_metadata(connection, "temporal_events", state.events)
        most_severe = _most_severe(connection)
    return dg.MaterializeResult(
        metadata={
            **columns,
            "rows_written": report.rows_written,
            "entities_searched": report.entities,
            "entities_failed": len(report.failed),
            "events_opened": report.count("opened"),
            "events_updated": report.count("updated"),
            "events_resolved": report.count("resolved"),
            "events_reopened": report.count("reopened"),
            "events_open": state.open_events,
            "entities": _entity_table(report),
            "most_severe_events": markdown_table(most_severe, nothing="No events yet."),
            **({"chart": burst_chart(report.worst)} if report.worst else {}),
            "duration_seconds": time.monotonic() - started,
        },
        data_version=dg.DataVersion(f"{METHOD}-{state.digest}"),
    )


def _most_severe(connection: Connection) -> list[dict[str, object]]:
    return [
        {
            "entity": row.entity,
            "severity": row.severity,
            "event": row.title,
            "detected": row.detected,
            "state": row.state,
            "resolved": row.resolved,
            "evidence": row.evidence,
        }
        for row in connection.execute(queries["most_severe_events"])
    ]


def _entity_table(report: EventReport) -> dg.MetadataValue:
    effects = ("opened", "updated", "resolved", "reopened")
    failed: list[dict[str, object]] = [
        {"entity": entity.name, **dict.fromkeys(effects), "note": f"FAILED: {reason}"}
        for entity, reason in report.failed
    ]
    changed: list[dict[str, object]] = [
        {"entity": entity.name, **{effect: counts.get(effect, 0) for effect in effects}, "note": None}
        for entity, counts in sorted(report.changed.items())
    ]
    return markdown_table(failed + changed, nothing="Nothing new: no event has begun, grown or ended.")
