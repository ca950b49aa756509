"""What is remembered of a query, and of an entity's queries together: sums in which the past fades.

A content counts one when its period ends, and half of that every thirty days later. All sums of a query fade by
the same factor, and so do those of its entity, whose sums therefore need no look at queries that did not run.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Self

HALF_LIFE = timedelta(days=30)
# A query is covered by another only where nearly all that it finds is; the faintest neighbours never matter.
MOST_NEIGHBOURS = 20
LARGEST_COUNT = 2**31 - 1


def fading(before: datetime | None, now: datetime) -> float:
    """What is left at `now` of a count that was one at `before`: 1 to 0."""
    return 1.0 if before is None else 0.5 ** max((now - before) / HALF_LIFE, 0.0)


@dataclass(frozen=True)
class Counts:
    """What a query brought in one period, or since it was first run.

    `runs`: tasks; of these `empty_runs` returned nothing and `failed_runs` failed, `seconds` is how long they
    took. `found`: by their own account, contents found again included. `contents`: those that one of its tasks
    was the first to find; of these `scored` have a relevance, of which `relevant` and `high_value`;
    `relevance_sum` adds it up. `identified` contents are known by their ids to be among the found, new or
    not; `unique` ones no other query found in the period.
    """

    runs: int = 0
    empty_runs: int = 0
    failed_runs: int = 0
    seconds: float = 0.0
    found: float = 0.0
    contents: int = 0
    scored: int = 0
    relevant: int = 0
    high_value: int = 0
    relevance_sum: float = 0.0
    identified: int = 0
    unique: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))

    @property
    def total_found(self) -> int:
        """Never less than the contents that are there to see, whatever the tasks say."""
        return min(int(max(self.found, self.contents, self.identified)), LARGEST_COUNT)

    @property
    def unscored(self) -> int:
        """New contents without a relevance."""
        return self.contents - self.scored

    @property
    def average_relevance(self) -> float | None:
        """In [0, 1]; None when nothing was scored."""
        return min(self.relevance_sum / self.scored, 1.0) if self.scored else None


@dataclass(frozen=True)
class Evidence:
    """The faded sums of a query.

    `relevant` of `scored` contents; the same with squared weights, which tell how many single contents a sum
    stands for; `identified` found contents, and how many of them each other query (by normal form) found too.
    """

    relevant: float = 0.0
    scored: float = 0.0
    relevant_squares: float = 0.0
    scored_squares: float = 0.0
    identified: float = 0.0
    shared: Mapping[str, float] = field(default_factory=dict)

    def faded(self, factor: float) -> "Evidence":
        """What is left when every content weighs `factor` times as much as before."""
        return Evidence(
            self.relevant * factor,
            self.scored * factor,
            self.relevant_squares * factor**2,
            self.scored_squares * factor**2,
            self.identified * factor,
            {other: share * factor for other, share in self.shared.items()},
        )

    def plus(self, counts: Counts, shared: Mapping[str, int]) -> "Evidence":
        """With a period's counts; `shared`: how many of its found contents each other query found too."""
        together = {
            other: self.shared.get(other, 0.0) + shared.get(other, 0)
            for other in sorted({*self.shared, *shared})
        }
        kept = heapq.nlargest(MOST_NEIGHBOURS, together.items(), key=lambda item: item[1])
        return Evidence(
            self.relevant + counts.relevant,
            self.scored + counts.scored,
            self.relevant_squares + counts.relevant,
            self.scored_squares + counts.scored,
            self.identified + counts.identified,
            dict(kept),
        )


@dataclass(frozen=True)
class Totals:
    """The faded sums of all queries of an entity on a platform.

    `relevant` to `scored_squares` add those of the queries up; `query_relevant_squares` and
    `query_scored_squares` add up the squares of the queries' own sums.
    """

    relevant: float = 0.0
    scored: float = 0.0
    relevant_squares: float = 0.0
    scored_squares: float = 0.0
    query_relevant_squares: float = 0.0
    query_scored_squares: float = 0.0

    def faded(self, factor: float) -> "Totals":
        """What is left when every content weighs `factor` times as much as before."""
        return Totals(
            self.relevant * factor,
            self.scored * factor,
            *(getattr(self, f.name) * factor**2 for f in fields(self)[2:]),
        )

    def exchanged(self, old: Evidence, new: Evidence) -> "Totals":
        """With the sums of a query as they are `new` in the place of the `old` ones."""
        return Totals(
            self.relevant + new.relevant - old.relevant,
            self.scored + new.scored - old.scored,
            self.relevant_squares + new.relevant_squares - old.relevant_squares,
            self.scored_squares + new.scored_squares - old.scored_squares,
            self.query_relevant_squares + new.relevant**2 - old.relevant**2,
            self.query_scored_squares + new.scored**2 - old.scored**2,
        )


@dataclass(frozen=True)
class Account:
    """All that is remembered of a query: its `evidence` at `as_of`, and what it brought in its `life`.

    `silence`: how many runs in a row, up to the last, returned nothing. `query`: its latest spelling.
    """

    query: str
    evidence: Evidence = field(default_factory=Evidence)
    as_of: datetime | None = None
    life: Counts = field(default_factory=Counts)
    periods: int = 0
    silence: int = 0

    def after(
        self, query: str, counts: Counts, shared: Mapping[str, int], silence: int, end: datetime
    ) -> Self:
        """With a period that ended at `end`; `silence`: how many of its last runs returned nothing."""
        ran = counts.runs - counts.failed_runs
        return replace(
            self,
            query=query,
            evidence=self.evidence.faded(fading(self.as_of, end)).plus(counts, shared),
            as_of=end,
            life=self.life + counts,
            periods=self.periods + 1,
            silence=self.silence + silence if silence >= ran else silence,
        )
