"""What a claim is, and how one is examined."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from sqlalchemy import Connection, Row
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.database import Database, Queries

OFFENDERS_SHOWN = 10

# Remedies that several claims share.
UPDATE = "run `temporal-pipeline update`"
# Nothing of ours writes such rows, so that only a person can say what was meant.
BY_HAND = (
    "find out what wrote these rows and correct them, or go back: `temporal-pipeline rollback --restore FILE`"
)

Verdict = Literal["holds", "warning", "does not hold"]

queries = Queries(__package__)
PERIODS = Queries("temporal_pipeline.defs.periods")


@dataclass(frozen=True)
class Claim:
    """What should be true of a database, and whether it is.

    `name` says in code and `sentence` in words what is true if it holds. `counts`: the figures looked at, how
    many offenders among them; `offenders`: the first ten; `note`: what else there is to tell; `remedy`: empty
    where there is nothing to do.
    """

    name: str
    verdict: Verdict
    sentence: str
    counts: Mapping[str, int]
    offenders: Sequence[Mapping[str, Any]]
    note: str
    remedy: str
    seconds: float

    @property
    def holds(self) -> bool:
        """False only for what is wrong; a warning is for somebody to look at."""
        return self.verdict != "does not hold"


@dataclass(frozen=True)
class Finding:
    """What was found of one claim.

    No more than a warning if it `only_warns`, or if every offender says that it is not `ours`: the application
    may do with its own periods as it likes.
    """

    offenders: Sequence[Mapping[str, Any]] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    only_warns: bool = False

    @property
    def verdict(self) -> Verdict:
        if not self.offenders:
            return "holds"
        if self.only_warns or not any(offender.get("ours", True) for offender in self.offenders):
            return "warning"
        return "does not hold"


class Examination:
    """One look at a database: a moment of it, and what several claims want to know."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self.database = database
        self.connection = connection

    def rows(self, query: str, source: Queries = queries, **values: object) -> list[dict[str, Any]]:
        """The rows of a named query."""
        return [dict(row._mapping) for row in self.connection.execute(source[query], values)]

    def first(self, query: str, source: Queries = queries, **values: object) -> Row[Any] | None:
        """The first row of a named query."""
        return self.connection.execute(source[query], values).first()

    def number(self, query: str, source: Queries = queries, **values: object) -> int:
        """The one number that a named query returns."""
        return int(self.connection.scalar(source[query], values) or 0)

    @cached_property
    def waiting(self) -> list[dict[str, Any]]:
        """Topics and users with contents that wait for a period, and the reason; null: for the next update."""
        return waiting_entities(self.connection)

    @cached_property
    def periods(self) -> list[dict[str, Any]]:
        """Rows of the totals of contents and members beside each period that these contradict, if any."""
        return self.rows("periods_against_contents")

    def contradicted(self, way: str, *shown: str) -> list[dict[str, Any]]:
        """The periods that are contradicted in one way, with some of their figures."""
        columns = ("period_id", "entity_type", "entity_id", "period_number", *shown, "ours")
        return [{column: row[column] for column in columns} for row in self.periods if row[way]]


@dataclass(frozen=True)
class Rule:
    """A claim before it is examined."""

    name: str
    sentence: str
    remedy: str
    find: Callable[[Examination], Finding]

    def examine(self, examination: Examination) -> Claim:
        """The claim. What cannot even be asked does not hold, and hinders no other claim."""
        started = time.monotonic()
        remedy = self.remedy
        try:
            with examination.connection.begin_nested():
                finding = self.find(examination)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            finding = Finding([{"error": one_line(error)}])
            remedy = "run `temporal-pipeline doctor`, which says what is in the way"
        return Claim(
            name=self.name,
            verdict=finding.verdict,
            sentence=self.sentence,
            counts={**finding.counts, "offenders": len(finding.offenders)},
            offenders=[
                {key: value for key, value in offender.items() if key != "ours"}
                for offender in finding.offenders[:OFFENDERS_SHOWN]
            ],
            note=finding.note,
            remedy="" if finding.verdict == "holds" else remedy,
            seconds=time.monotonic() - started,
        )


def waiting_entities(connection: Connection) -> list[dict[str, Any]]:
    """Topics and users with contents that wait for a period at this moment, and the reason; null: for the next
    update. As `defs.periods.cutting` has it, whose other imports take longer than all this.
    """
    now = connection.exec_driver_sql("SELECT now()").scalar_one()
    everybody = {"instant": now, "since": None, "entity_ids": None, "automatic": False}
    return [dict(row._mapping) for row in connection.execute(PERIODS["waiting_entities"], everybody)]


def claim(sentence: str, remedy: str) -> Callable[[Callable[[Examination], Finding]], Rule]:
    """Make a rule of a function, whose name is the claim's."""
    return lambda find: Rule(find.__name__, sentence, remedy, find)


def one_line(error: DBAPIError) -> str:
    """What the server says, without the statement and its values, which may be the application's data."""
    return (str(error.orig).splitlines() or [type(error.orig).__name__])[0]
