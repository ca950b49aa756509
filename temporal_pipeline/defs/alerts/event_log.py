"""What Dagster's event log has to tell: runs that failed, blocking checks that failed, assets that are not fresh."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.events import JobFailureData

from temporal_pipeline.alerts import Alert
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.scope import is_dry_run

# Numbers are given before events are committed, so that a lower one may come to light later. Each event is a
# transaction of its own, of milliseconds.
LOOKED_AT_AGAIN = 1000
# What is older than this was committed long ago, and is told no more than once also when the outbox has forgotten.
COMMITTED = timedelta(hours=1)
# Of each type at once; more than what is looked at again, so that it comes on.
AT_ONCE = 2 * LOOKED_AT_AGAIN
# Without a cursor that can be read.
FIRST_LOOK = timedelta(days=1)
TYPES = (
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.FRESHNESS_STATE_CHANGE,
)


def alerts_since(
    instance: dg.DagsterInstance, cursor: str | None, now: datetime
) -> tuple[list[Alert], str | None]:
    """What happened since `cursor`, and the cursor up to there; some of it may have been told before."""
    storage = instance.event_log_storage
    newest = storage.get_maximum_record_id()
    if newest is None:
        return [], cursor
    seen = int(cursor) if cursor is not None and cursor.isascii() and cursor.isdigit() else None
    alerts: list[Alert] = []
    reached = newest
    for event_type in TYPES:
        records = storage.get_event_records(
            dg.EventRecordsFilter(
                event_type,
                after_cursor=None if seen is None else max(seen - LOOKED_AT_AGAIN, 0),
                after_timestamp=(now - FIRST_LOOK).timestamp() if seen is None else None,
            ),
            limit=AT_ONCE,
            ascending=True,
        )
        if len(records) == AT_ONCE:
            reached = min(reached, records[-1].storage_id)
        alerts += _alerts(instance, _new(records, seen, now))
    return alerts, str(reached)


def _new(
    records: Sequence[dg.EventLogRecord], seen: int | None, now: datetime
) -> Iterator[dg.EventLogRecord]:
    recently = (now - COMMITTED).timestamp()
    return (one for one in records if seen is None or one.storage_id > seen or one.timestamp > recently)


def _alerts(instance: dg.DagsterInstance, records: Iterator[dg.EventLogRecord]) -> Iterator[Alert]:
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        at = datetime.fromtimestamp(record.timestamp, UTC)
        if event.event_type is dg.DagsterEventType.RUN_FAILURE:
            # Whoever tries something out sees for himself that it failed.
            if not _is_dry(instance, record.run_id):
                yield _failed_run(record.run_id, event, at)
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.blocking and check.severity is dg.AssetCheckSeverity.ERROR:
                yield _failed_check(record.run_id, check, at)
        else:
            change = event.event_specific_data
            if isinstance(change, FreshnessStateChange) and change.new_state is FreshnessState.FAIL:
                yield _missed(change)


def _failed_run(run_id: str, event: dg.DagsterEvent, at: datetime) -> Alert:
    failure, step, reason = event.event_specific_data, None, None
    # Whose process was killed, or who took too long, is reported by others, without data.
    where = "and was ended from outside"
    if isinstance(failure, JobFailureData):
        step = failure.first_step_failure_event.step_key if failure.first_step_failure_event else None
        where = "before any of its steps did" if step is None else f"in step {step}"
        reason = _reason(failure)
    return Alert(
        subject=f"run:{run_id}",
        state="failed",
        since=at,
        severity="critical",
        about=event.job_name,
        title=f"Run {run_id[:8]} of job {event.job_name} failed {where}{f': {reason}' if reason else ''}",
        details={"kind": "run", "run_id": run_id, "job": event.job_name, "step": step, "reason": reason},
    )


def _reason(failure: JobFailureData) -> str | None:
    """What an error of ours says. Others may hold anything, also what a webhook must not be told."""
    event = failure.first_step_failure_event
    error = event.step_failure_data.error if event else failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    ours: list[type[PipelineError]] = [PipelineError, *PipelineError.__subclasses__()]
    if error is None or error.cls_name not in [kind.__name__ for kind in ours]:
        return None
    return error.message.removeprefix(f"{PipelineError.__module__}.{error.cls_name}: ").splitlines()[0]


def _is_dry(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and is_dry_run(run.run_config)


def _failed_check(run_id: str, check: dg.AssetCheckEvaluation, at: datetime) -> Alert:
    asset = check.asset_key.to_user_string()
    return Alert(
        subject=f"check:{run_id}:{asset}:{check.check_name}",
        state="failed",
        since=at,
        severity="critical",
        about=asset,
        title=f"Check {check.check_name} of {asset} failed and stopped what follows, in run {run_id[:8]}",
        details={"kind": "check", "run_id": run_id, "asset": asset, "check": check.check_name},
    )


def _missed(change: FreshnessStateChange) -> Alert:
    asset = change.key.to_user_string()
    return Alert(
        subject=f"freshness:{asset}",
        state="missed",
        since=datetime.fromtimestamp(change.state_change_timestamp, UTC),
        severity="warning",
        about=asset,
        title=f"{asset} is not as fresh as it has to be",
        details={"kind": "freshness", "asset": asset},
    )
