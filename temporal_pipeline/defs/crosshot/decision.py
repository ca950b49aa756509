"""Whether new crawls deserve a run now: a pure decision from what waits and from what other runs do."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Waiting:
    """An entity whose contents wait for a period, or (no contents) whose open events wait for another look.

    `reason` says why it must wait on, null: it is ready.
    """

    entity: str
    contents: int
    newest: datetime
    reason: str | None


@dataclass(frozen=True)
class Start:
    """Start a run, once per `run_key`."""

    run_key: str


@dataclass(frozen=True)
class Wait:
    """Start nothing, for a reason that a person understands."""

    reason: str


def decide(waiting: Sequence[Waiting], unfinished_run: str | None, finished_runs: int) -> Start | Wait:
    """Start a run when an entity is ready and no other run is under way.

    `unfinished_run`: the id of a run that is queued or under way. `finished_runs`: how many runs of the job
    have ended in whatever way; it is part of the run key, so that the same waiting state is tried again
    after a run that failed, and only then.
    """
    if not waiting:
        return Wait("nothing waits: every owned content belongs to a period")
    ready = ready_among(waiting)
    if not ready:
        reasons = Counter(entity.reason for entity in waiting)
        told = ", ".join(f"{count} because {reason}" for reason, count in reasons.most_common())
        return Wait(f"{_entities(len(waiting))} with contents, none of them ready: {told}")
    if unfinished_run is not None:
        return Wait(f"run {unfinished_run} is not finished yet; {_entities(len(ready))} after it")
    if not any(entity.contents for entity in ready):
        # Another look at open events is tried once per newest crawl, whatever comes of it.
        return Start(digest(ready))
    return Start(f"{digest(ready)}-{finished_runs}")


def ready_among(waiting: Sequence[Waiting]) -> list[Waiting]:
    """Those that may get a period now."""
    return [entity for entity in waiting if entity.reason is None]


def digest(waiting: Sequence[Waiting]) -> str:
    """What identifies a waiting state: which entities, how many contents each, and the newest of them."""
    lines = sorted(f"{entity.entity} {entity.contents} {entity.newest.timestamp()}" for entity in waiting)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _entities(count: int) -> str:
    return "1 entity waits" if count == 1 else f"{count} entities wait"
