"""Whether new crawls deserve a run now: a pure decision from what waits and from what became of other runs."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# A run that failed is followed by another after 1, 2, 4 … minutes; what goes on failing costs a run an hour.
FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=1)


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
class History:
    """What became of the job's runs: how many in a row did not succeed, up to the last one, whose id and end it has.

    `unfinished`: the id of a run of any job that is queued or under way.
    """

    unfinished: str | None = None
    failures: int = 0
    last: str | None = None
    ended: datetime | None = None

    @property
    def next_try(self) -> datetime | None:
        """When to follow the last run, if that did not succeed."""
        if not self.failures or self.ended is None:
            return None
        # Beyond this exponent it would only overflow.
        return self.ended + min(FIRST_RETRY * (1 << min(self.failures - 1, 10)), LONGEST_RETRY)


@dataclass(frozen=True)
class Start:
    """Start a run, once per `run_key`."""

    run_key: str


@dataclass(frozen=True)
class Wait:
    """Start nothing, for a reason that a person understands."""

    reason: str


def decide(waiting: Sequence[Waiting], history: History, now: datetime) -> Start | Wait:
    """Start a run when an entity is ready and no other run is under way; or when the last one did not succeed.

    The latter whether or not anything waits: what that run left undone need not show among what waits. The
    run key tells apart what was tried before: the same waiting state is tried again after a run that has
    ended, and only then.
    """
    next_try = history.next_try
    ready = ready_among(waiting)
    if next_try is None and not waiting:
        return Wait("nothing waits: every owned content belongs to a period")
    if next_try is None and not ready:
        reasons = Counter(entity.reason for entity in waiting)
        told = ", ".join(f"{count} because {reason}" for reason, count in reasons.most_common())
        return Wait(f"{_entities(len(waiting))} with contents, none of them ready: {told}")
    if history.unfinished is not None:
        return Wait(f"run {history.unfinished} is not finished yet; {_entities(len(ready))} after it")
    if next_try is not None and now < next_try:
        failed = "the last run" if history.failures == 1 else f"the last {history.failures} runs"
        return Wait(
            f"{failed} did not succeed; the next try is at {next_try:%Y-%m-%d %H:%M:%S} UTC, "
            f"{_entities(len(ready))} for it"
        )
    if next_try is None and not any(entity.contents for entity in ready):
        # Another look at open events is tried once per newest crawl, whatever comes of it.
        return Start(digest(ready))
    return Start(f"{digest(ready)}-{history.last}")


def ready_among(waiting: Sequence[Waiting]) -> list[Waiting]:
    """Those that may get a period now."""
    return [entity for entity in waiting if entity.reason is None]


def digest(waiting: Sequence[Waiting]) -> str:
    """What identifies a waiting state: which entities, how many contents each, and the newest of them."""
    lines = sorted(f"{entity.entity} {entity.contents} {entity.newest.timestamp()}" for entity in waiting)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _entities(count: int) -> str:
    return "1 entity waits" if count == 1 else f"{count or 'no'} entities wait"
