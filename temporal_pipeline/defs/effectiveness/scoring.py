"""How effective a query was in a period, from counts alone.

The score is a share of relevant contents that does not trust small numbers: each query starts with what is
usual for its entity, weighed as if it had been seen in eight contents, and moves away from that as evidence
comes in (the posterior mean of a beta-binomial model; Gelman et al., Bayesian Data Analysis, ch. 2).
"""

from dataclasses import dataclass

# Changes whenever any figure or recommendation could change.
METHOD = "shrunk-share-1"

RELEVANT = 0.7
HIGH_VALUE = 0.85

# Eight contents are what one search page of a quiet topic returns: a query that has brought fewer is judged
# mostly by its surroundings, one that has brought fifty mostly by itself.
PRIOR_WEIGHT = 8
# Where nothing at all is known, one content in five is taken to be relevant.
USUAL_SHARE = 0.2
# With a prior share above 0.77, 1 of 1 would rank above 40 of 50; one half leaves a distance.
LARGEST_PRIOR = 0.5

GOOD_SCORE = 0.5
BAD_SCORE = 0.2
LARGE_COVERAGE = 0.25
SMALL_COVERAGE = 0.05
ENOUGH_RUNS = 3
LARGEST_COUNT = 2**31 - 1


@dataclass(frozen=True)
class Counts:
    """What a query brought: `runs` tasks, `found` by their own account, `contents` new ones; of these `scored`
    have a relevance, of which `relevant` and `high_value`; `relevance_sum` adds it up.
    """

    runs: int = 0
    found: float = 0.0
    contents: int = 0
    scored: int = 0
    relevant: int = 0
    high_value: int = 0
    relevance_sum: float = 0.0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.runs + other.runs,
            self.found + other.found,
            self.contents + other.contents,
            self.scored + other.scored,
            self.relevant + other.relevant,
            self.high_value + other.high_value,
            self.relevance_sum + other.relevance_sum,
        )

    @property
    def total_found(self) -> int:
        """Never less than the contents that are there to see, whatever the tasks say."""
        return min(max(int(self.found), self.contents), LARGEST_COUNT)

    @property
    def average_relevance(self) -> float | None:
        """In [0, 1]; None when nothing was scored."""
        return min(self.relevance_sum / self.scored, 1.0) if self.scored else None


@dataclass(frozen=True)
class Verdict:
    """`score` and `coverage` in [0, 1], each None where there is nothing to judge; what to do, and why."""

    score: float | None
    coverage: float | None
    recommendation: str


def judge(query: Counts, period: Counts) -> Verdict:
    """The verdict about one query of a period; `period`: the sum over all its queries.

    Without scored contents there is no score: unknown is not the same as average.
    """
    score = effectiveness(query.relevant, query.scored, prior_share(period.relevant, period.scored))
    coverage = query.relevant / period.relevant if period.relevant else None
    return Verdict(score, coverage, recommend(query, score, coverage))


def prior_share(relevant: int, scored: int) -> float:
    """The share of relevant contents to expect of any query of an entity, from all it got in the period."""
    return min((relevant + PRIOR_WEIGHT * USUAL_SHARE) / (scored + PRIOR_WEIGHT), LARGEST_PRIOR)


def effectiveness(relevant: int, scored: int, prior: float) -> float | None:
    """The shrunk share (x + s·m) / (n + s) of x relevant among n scored contents; None for n = 0."""
    return (relevant + PRIOR_WEIGHT * prior) / (scored + PRIOR_WEIGHT) if scored else None


def recommend(query: Counts, score: float | None, coverage: float | None) -> str:
    """A sentence that begins with explore, keep, widen or drop and gives the reason."""
    if not query.contents:
        verb = "widen" if query.runs >= ENOUGH_RUNS else "explore"
        found = f"{query.total_found} posts, none of them new" if query.total_found else "nothing"
        return f"{verb}: {_count(query.runs, 'run')} found {found}"
    if score is None:
        return f"explore: none of its {_count(query.contents, 'content')} could be scored"
    share = f"{query.relevant} of {_count(query.scored, 'scored content')} relevant"
    if query.scored < PRIOR_WEIGHT:
        return f"explore: {share}, too few to judge"
    brings = "" if coverage is None else f", {coverage:.0%} of the period's relevant contents"
    if score >= GOOD_SCORE:
        verb = "widen" if coverage is not None and coverage < SMALL_COVERAGE else "keep"
        return f"{verb}: {share}{brings}"
    if coverage is not None and coverage >= LARGE_COVERAGE and query.relevant >= PRIOR_WEIGHT:
        return f"keep: only {share}, yet {coverage:.0%} of the period's relevant contents"
    if score < BAD_SCORE:
        return f"drop: only {share}"
    return f"explore: {share}, neither good nor bad"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
