"""The asset that finds bursts of posts."""

import time
from datetime import timedelta

import dagster as dg

from temporal_pipeline.charts import figure_to_markdown, new_figure
from temporal_pipeline.crawls.coverage import HOUR
from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.recording import KEY, METHOD, queries
from temporal_pipeline.defs.events.searching import Burst, EventReport, detect_events, entities_to_watch
from temporal_pipeline.reporting import dry_run_result, markdown_table, relation_metadata
from temporal_pipeline.scope import Scope

BEFORE = timedelta(days=3)
AFTER = timedelta(days=1)


@dg.asset(
    group_name="events",
    deps=["period_content_snapshots"],
    kinds={"postgres", "table"},
    owners=["team:data"],
    code_version=METHOD,
    description=(
        "Bursts: hours in which a topic or user has far more posts than in the covered hours before, one "
        "event per episode, with the posts that show it and the time at which it was quiet again. Events "
        "that people or the application recorded are never touched."
    ),
)
def temporal_events(
    context: dg.AssetExecutionContext, database: dg.ResourceParam[Database], scope: Scope
) -> dg.MaterializeResult[None]:
    started = time.monotonic()
    entities = scope.resolve(database)
    if scope.dry_run:
        return dry_run_result(
            database,
            lambda connection: [
                {"entity": row.name, "periods to search": len(row.periods)}
                for row in entities_to_watch(connection, entities, scope.since_instant)
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
        state = connection.execute(queries["event_state"], {"key": KEY}).one()
        latest = [
            {
                "entity": row.entity,
                "severity": row.severity,
                "event": row.title,
                "detected": row.detected,
                "resolved": row.resolved,
                "evidence": row.evidence,
            }
            for row in connection.execute(queries["latest_events"])
        ]
        columns = relation_metadata(connection, "temporal_events", state.events)
    return dg.MaterializeResult(
        metadata={
            **columns,
            "rows_written": report.rows_written,
            "entities_searched": report.entities,
            "entities_failed": len(report.failed),
            "events_opened": report.opened,
            "events_updated": report.updated,
            "events_resolved": report.resolved,
            "entities": _entity_table(report),
            "latest_events": markdown_table(latest, nothing="No events yet."),
            **({"chart": _chart(report.strongest)} if report.strongest else {}),
            "duration_seconds": time.monotonic() - started,
        },
        data_version=dg.DataVersion(f"{METHOD}-{state.digest}"),
    )


def _entity_table(report: EventReport) -> dg.MetadataValue:
    failed: list[dict[str, object]] = [
        {"entity": entity.name, "opened": None, "updated": None, "note": f"FAILED: {reason}"}
        for entity, reason in report.failed
    ]
    changed: list[dict[str, object]] = [
        {"entity": entity.name, "opened": opened, "updated": updated, "note": None}
        for entity, (opened, updated) in sorted(report.changed.items())
    ]
    return markdown_table(failed + changed, nothing="Nothing new: no episode has begun, grown or ended.")


def _chart(burst: Burst) -> dg.MetadataValue:
    """The hours around a burst: posts, what was usual, and the episode."""
    # Not at import: matplotlib then looks through the machine's fonts and writes a cache.
    from matplotlib.dates import ConciseDateFormatter, date2num  # noqa: PLC0415

    volume, episode = burst.volume, burst.episode
    first = max((episode.onset - BEFORE - volume.first_hour) // HOUR, 0)
    last = min((episode.last_alarm + AFTER - volume.first_hour) // HOUR, len(volume.counts))
    hours = date2num([volume.first_hour + i * HOUR for i in range(first, last)])
    begin, end = date2num([episode.onset, episode.last_alarm + HOUR])
    figure = new_figure()
    axes = figure.add_subplot()
    axes.axvspan(begin, end, color="tab:red", alpha=0.15, label="episode")
    axes.step(hours, volume.counts[first:last], where="post", color="tab:blue", label="posts per hour")
    axes.plot(hours, burst.scores.baseline[first:last], color="tab:orange", label="usual")
    not_covered = ~volume.usable[first:last]
    if not_covered.any():
        whole_height = axes.get_xaxis_transform()
        axes.fill_between(
            hours,
            0,
            1,
            where=not_covered,
            step="post",
            transform=whole_height,
            color="grey",
            alpha=0.2,
            label="not covered",
        )
    axes.xaxis_date()
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.set_ylim(bottom=0)
    axes.set_title(
        f"{burst.entity.name}: {episode.peak_count:,} posts at {episode.peak:%Y-%m-%d %H:%M} UTC",
        parse_math=False,  # a name may contain dollars
    )
    axes.legend(loc="upper left", fontsize="small")
    return figure_to_markdown(
        figure, f"posts per hour of {burst.entity.name} around {episode.onset:%Y-%m-%d}"
    )
