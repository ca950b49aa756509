"""The job that analyses a period again."""

from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field, field_validator

from temporal_pipeline.automation import WRITES, max_runtime, retried
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.reanalysis import period_called
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import find_entities
from temporal_pipeline.operations.reanalysis import Reanalysis, reanalyse_period
from temporal_pipeline.query import Comparison, Failure, Timeline
from temporal_pipeline.reporting import markdown_table

# What a re-analysis writes to.
CHANGED = (
    "analysis_periods",
    "period_content_snapshots",
    "temporal_events",
    "crawl_effectiveness",
    "mv_period_metrics_trend",
)


class Again(dg.Config):
    """Which period is analysed again, and why."""

    entity: str = Field(description="The topic or user: by name, id, topic:NAME or user:NAME.")
    period: int = Field(ge=0, description="The period's number, from 0.")
    reason: str = Field(description="Why; kept with the period that is replaced.")
    max_wait: float = Field(
        default=60, ge=0, description="How many seconds to wait for others before giving up, naming them."
    )

    @field_validator("entity", "reason")
    @classmethod
    def _says_something(cls, value: Any) -> Any:
        if not str(value).strip():
            raise ValueError("it is empty")
        return value.strip()


@dg.op(
    pool=WRITES,
    description=(
        "Puts a freshly computed successor in the place of a period, then derives its events and the worth of its "
        "queries and refreshes the trends. What the old period said stays readable."
    ),
)
@retried
def analyse_again(
    context: dg.OpExecutionContext, config: Again, database: dg.ResourceParam[Database]
) -> None:
    with database.transaction(read_only=True) as connection:
        require_head(connection)
        [entity] = find_entities(connection, [config.entity]) or []
        period = period_called(connection, entity, str(config.period))
    done = reanalyse_period(
        database, entity, period.id, config.reason, context.run.run_id, max_wait=config.max_wait
    )
    metadata = _metadata(Timeline(database), done)
    context.add_output_metadata(metadata)
    for asset in CHANGED:
        context.log_event(
            dg.AssetObservation(
                asset, description=f"Period {config.period} of {entity} analysed again.", metadata=metadata
            )
        )
    if done.failed:
        raise dg.Failure(
            "the period was analysed again, but not all that depends on it; the next run tries it again",
            metadata=metadata,
            allow_retries=False,
        )


@dg.job(
    tags=max_runtime(timedelta(hours=1)),
    description=(
        "Analyses a period again, from its posts as they are now. Give entity, period and reason in the launchpad, "
        "under ops: analyse_again: config."
    ),
)
def reanalyse() -> None:
    analyse_again()


def _metadata(timeline: Timeline, done: Reanalysis) -> dict[str, dg.MetadataValue]:
    """The old period against the new one."""
    pair = done.pair
    answer = timeline.compare_periods(done.entity.id, pair.old, pair.id, max_chars=10**6)
    return {
        "entity": dg.MetadataValue.text(str(done.entity)),
        "period": dg.MetadataValue.int(pair.period_number),
        "reason": dg.MetadataValue.text(pair.reason),
        "old": dg.MetadataValue.text(str(pair.old)),
        "new": dg.MetadataValue.text(str(pair.id)),
        "members": dg.MetadataValue.int(pair.content_count),
        "finished_an_earlier_one": dg.MetadataValue.bool(done.is_resumed),
        "old_against_new": _old_against_new(answer, done),
        "failed": markdown_table(
            [{"stage": stage, "reason": reason} for stage, reason in done.failed], nothing="nothing"
        ),
    }


def _old_against_new(answer: Comparison | Failure, done: Reanalysis) -> dg.MetadataValue:
    if isinstance(answer, Failure):
        return dg.MetadataValue.md(answer.error.message)
    pair = done.pair
    counted: list[dict[str, object]] = [
        {"": "posts", "old": pair.old_content_count, "new": pair.content_count},
        {"": "posts with another text", "old": None, "new": answer.counts.contents_reworded},
        {"": "events found", "old": pair.old_events, "new": pair.events},
        {"": "queries measured", "old": pair.old_queries, "new": pair.queries},
    ]
    return markdown_table(
        counted
        + [{"": one.metric, "old": _figure(one.before), "new": _figure(one.after)} for one in answer.metrics]
    )


def _figure(value: float | None) -> float | None:
    """A number, without needless digits."""
    if value is None or value % 1:
        return value if value is None else round(value, 4)
    return int(value)
