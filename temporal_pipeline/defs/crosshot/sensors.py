"""The sensor that starts an incremental run when crawls have brought something new."""

from collections.abc import Container
from datetime import UTC, datetime

import dagster as dg
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from temporal_pipeline.abandoned_runs import end_abandoned_runs
from temporal_pipeline.automation import limit_writers
from temporal_pipeline.database import Database
from temporal_pipeline.defs.crosshot.decision import History, Start, Waiting, decide, digest, ready_among
from temporal_pipeline.defs.events.reading import queries as events
from temporal_pipeline.defs.periods.cutting import waiting_entities
from temporal_pipeline.defs.schema.upgrade import is_at_head
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.scope import is_dry_run

JOB = "update"
# A run that migrates is started by a person, never by a sensor.
SELECTION = dg.AssetSelection.all() - dg.AssetSelection.assets("temporal_schema")
# Without "not started": a run is that for a moment only, or for ever when its process was killed just then.
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# After so many failures in a row the longest pause is reached; dry runs in between do not count.
RUNS_LOOKED_AT = 20
NOT_AT_HEAD = "the schema is not at head; run `temporal-pipeline update` or the job `migrate`"
TRIED = "nothing waits that was not tried"
DATA_VERSION_TAG = "dagster/data_version"
RUN_KEY_TAG = "dagster/run_key"


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts the job `update` without its migration when contents of a topic or user that is ready wait "
        "for a period, an open event may have ended, or the last run did not succeed (after 1, 2, 4 … up to 60 "
        "minutes); otherwise says why not. Evaluated only where a Dagster daemon runs."
    ),
)
def new_crawls(context: dg.SensorEvaluationContext, database: dg.ResourceParam[Database]) -> dg.SensorResult:
    end_abandoned_runs(context.instance)
    limit_writers(context.instance)
    # Asked before the database is: what a run that has ended by now has linked is no longer seen as waiting.
    history = _history(context.instance)
    try:
        with database.transaction(read_only=True) as connection:
            if not is_at_head(connection):
                return _skip(context, NOT_AT_HEAD)
            waiting = [
                Waiting(f"{row.entity_type}:{row.entity_id}", row.contents, row.newest, row.reason)
                for row in waiting_entities(connection, automatic=True)
            ]
            waiting += _open_events(connection, {entity.entity for entity in waiting})
    except PipelineError as error:
        return _skip(context, str(error))
    except OperationalError as error:
        return _skip(context, f"the database gave up: {error.orig}")
    decision = decide(waiting, history, datetime.now(UTC))
    reports, cursor = _report(waiting, context.cursor)
    if not isinstance(decision, Start):
        return dg.SensorResult(skip_reason=decision.reason, cursor=cursor, asset_events=reports)
    if context.instance.get_runs(_started_for(decision), limit=1):
        # Dagster would start none either, but would not say why.
        reason = f"{TRIED}: open events are looked at once after a crawl that brought nothing"
        return dg.SensorResult(skip_reason=reason, cursor=cursor, asset_events=reports)
    assert context.repository_def is not None
    request = dg.RunRequest(
        run_key=decision.run_key,
        run_config={"resources": {"scope": {"config": {"automatic": True}}}},
        asset_selection=sorted(SELECTION.resolve(context.repository_def.asset_graph)),
    )
    return dg.SensorResult(run_requests=[request], cursor=cursor, asset_events=reports)


def _started_for(decision: Start) -> dg.RunsFilter:
    """Runs for the same key that were not only created."""
    return dg.RunsFilter(statuses=[*UNFINISHED, *FINISHED], tags={RUN_KEY_TAG: decision.run_key})


def _open_events(connection: Connection, waiting: Container[str]) -> list[Waiting]:
    """Entities whose open events a crawl without contents may have ended; those with contents wait for these."""
    return [
        Waiting(entity, 0, row.newest, None)
        for row in connection.execute(events["open_events_with_news"])
        if (entity := f"{row.entity_type}:{row.entity_id}") not in waiting
    ]


def _skip(context: dg.SensorEvaluationContext, reason: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=context.cursor)


def _report(waiting: list[Waiting], cursor: str | None) -> tuple[list[dg.AssetMaterialization], str | None]:
    """A report about `contents` when there is other work to do than at the last one; and the new cursor.

    Contents that were linked meanwhile are no news: the data version changes only with new work, so that
    "unsynced" in the UI means that there is some. A materialization by the application, not an observation:
    for a table that Dagster cannot observe itself, runs remember the version of the latest observation but
    the UI compares it with the latest materialization, and would show "unsynced" for ever.
    """
    ready = [entity for entity in ready_among(waiting) if entity.contents]
    version = digest(ready)
    if not ready or version == cursor:
        return [], cursor
    report = dg.AssetMaterialization(
        "contents",
        description="Crawls have brought contents that wait for a period.",
        tags={DATA_VERSION_TAG: version},
        metadata={
            "contents_ready": sum(entity.contents for entity in ready),
            "contents_waiting": sum(entity.contents for entity in waiting),
            "entities_ready": len(ready),
            "entities_waiting": len(waiting),
            "newest_crawl": dg.MetadataValue.timestamp(max(entity.newest for entity in waiting)),
        },
    )
    return [report], version


def _history(instance: dg.DagsterInstance) -> History:
    """Read from the runs themselves, so that no cursor has to remember it."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=1)
    unfinished = runs[0].run_id if runs else None
    ended = instance.get_run_records(dg.RunsFilter(job_name=JOB, statuses=FINISHED), limit=RUNS_LOOKED_AT)
    ended = [record for record in ended if not is_dry_run(record.dagster_run.run_config)]
    if not ended:
        return History(unfinished)
    succeeded = [record.dagster_run.status == dg.DagsterRunStatus.SUCCESS for record in ended]
    last = ended[0]
    return History(
        unfinished,
        succeeded.index(True) if True in succeeded else len(succeeded),
        last.dagster_run.run_id,
        last.update_timestamp if last.end_time is None else datetime.fromtimestamp(last.end_time, UTC),
    )
