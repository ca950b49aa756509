"""Dagster runs in a process of our own: which host and process that is, and whether it still lives.

Dagster believes such a run under way for ever when its process is killed. Runs that the daemon launches are
watched by the daemon itself.
"""

import os
import socket
from collections.abc import Sequence

import dagster as dg

HOST_TAG = "temporal_pipeline/host"
PROCESS_TAG = "temporal_pipeline/process"
UNDER_WAY: Sequence[dg.DagsterRunStatus] = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def process_tags() -> dict[str, str]:
    """The tags of a run that happens in this process."""
    return {HOST_TAG: socket.gethostname(), PROCESS_TAG: str(os.getpid())}


def end_abandoned_runs(instance: dg.DagsterInstance) -> None:
    """Tell Dagster that the runs are over whose process, on this machine, was killed."""
    on_this_machine = dg.RunsFilter(statuses=UNDER_WAY, tags={HOST_TAG: socket.gethostname()})
    for run in instance.get_runs(on_this_machine):
        if not _lives(run.tags.get(PROCESS_TAG, "")):
            instance.report_run_failed(run, "its process ended before the run did")


def _lives(pid: str) -> bool:
    if not (pid.isascii() and pid.isdigit()):
        return True  # tagged by somebody else
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
