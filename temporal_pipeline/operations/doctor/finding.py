"""What an examination comes to: a verdict, and under the examination's name a finding."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

# Whoever needs more rows than these looks for all of them in the database.
DETAILS_SHOWN = 5


class Status(StrEnum):
    """How grave it is: a migration or a run would meet an obstacle (fail), be slower or riskier (warn)."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Verdict:
    """What was found, in one sentence; unless it is ok, what to do about it. `details` name the culprits."""

    status: Status
    found: str
    remedy: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """The verdict of the examination `name`; names are stable, for scripts."""

    name: str
    verdict: Verdict

    @property
    def fails(self) -> bool:
        return self.verdict.status is Status.FAIL


def ok(found: str) -> Verdict:
    """Nothing to do."""
    return Verdict(Status.OK, found)


def warn(found: str, remedy: str, details: Iterable[str] = ()) -> Verdict:
    """It works, but slower, later or with a risk."""
    return Verdict(Status.WARN, found, remedy, _some(details))


def fail(found: str, remedy: str, details: Iterable[str] = ()) -> Verdict:
    """It would not work."""
    return Verdict(Status.FAIL, found, remedy, _some(details))


def _some(details: Iterable[str]) -> tuple[str, ...]:
    every = tuple(details)
    if len(every) <= DETAILS_SHOWN:
        return every
    return (*every[:DETAILS_SHOWN], f"and {len(every) - DETAILS_SHOWN} more")
