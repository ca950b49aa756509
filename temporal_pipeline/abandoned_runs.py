"""Dagster runs: on which host and in which process each is, and whether that still lives.

Dagster believes a run under way when its process is killed: one of our own for ever, one that the daemon launched until
its longest time is over. All others would wait for it.
"""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from temporal_pipeline.embedded.server import command_line

HOST_TAG = "temporal_pipeline/host"
PROCESS_TAG = "temporal_pipeline/process"
UNDER_WAY: Sequence[dg.DagsterRunStatus] = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def process_tags() -> dict[str, str]:
    """The tags of a run that happens in this process."""
    return {HOST_TAG: socket.gethostname(), PROCESS_TAG: f"{os.getpid()}:{_started(os.getpid())}"}


def tell_process(instance: dg.DagsterInstance | None, run: dg.DagsterRun | None) -> None:
    """Let a run that was launched by others say in which process it is."""
    if instance is not None and run is not None and PROCESS_TAG not in run.tags:
        instance.add_run_tags(run.run_id, process_tags())


def end_abandoned_runs(instance: dg.DagsterInstance) -> None:
    """Tell Dagster that the runs are over whose process, on this machine, was killed."""
    on_this_machine = dg.RunsFilter(statuses=UNDER_WAY, tags={HOST_TAG: socket.gethostname()})
    for run in instance.get_runs(on_this_machine):
        if not _lives(run.tags.get(PROCESS_TAG, "")):
            instance.report_run_failed(run, "its process ended before the run did")


def _lives(process: str) -> bool:
    pid, _, started = process.partition(":")
    if not (pid.isascii() and pid.isdigit()):
        return True  # tagged by somebody else
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    # A code server that has just met a database that was down no longer collects its dead, which stay zombies.
    if not command_line(int(pid)):
        return False
    # A container that comes back has the same name, and gives the same numbers to other processes and threads.
    return started in ("", "?") or _started(int(pid)) in (started, "?")


def _started(pid: int) -> str:
    """When a process began, as the kernel counts; ? where that cannot be read."""
    try:
        # The name, in parentheses, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return "?"
