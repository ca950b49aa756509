"""The score of a query: its share of relevant contents, shrunk towards what is usual, with an interval.

Relevance within a query is taken as beta-binomial: queries of an entity have shares around the entity's mean m,
and the prior is worth s contents. The score (x + s·m) / (n + s) is the posterior mean, the interval has the
5 % and 95 % quantiles of the posterior (Gelman et al., Bayesian Data Analysis, ch. 5). How strong the prior is,
the platform's data say: pairs of contents of the same query agree more often than pairs of contents of
different queries (moments of pairs; Ridout, Demétrio and Firth, Biometrics 55, 1999, on intraclass
correlation of binary data).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from temporal_pipeline.defs.effectiveness.judgement.beta import Floats, beta_quantile
from temporal_pipeline.defs.effectiveness.judgement.evidence import Totals

# Changes whenever any figure or recommendation could change.
METHOD = "pair-moments-1"

RELEVANT = 0.7
HIGH_VALUE = 0.85

# Eight contents are what one search page of a quiet topic returns: an entity of which less is known is judged
# mostly by all others, and where no pair of contents tells anything, a prior is worth one such page.
MEAN_WEIGHT = 8.0
USUAL_STRENGTH = 8.0
# Where nothing at all is known, one content in five is taken to be relevant.
USUAL_SHARE = 0.2
WEAKEST, STRONGEST = 1.0, 50.0
# The usual strength counts as this much spread of pairs: less than one entity with a few queries brings.
USUAL_SPREAD = 2.0
# So that the order in which sums were added up is in no score.
STRENGTH_DIGITS = 3
# Leaves five percent on either side: ninety percent within.
TAIL = 0.05
# Where every content was relevant, or none, the beta distribution still needs parameters above zero.
SMALLEST = 1e-6


@dataclass(frozen=True)
class Pairs:
    """What the pairs of contents of an entity's queries on a platform tell.

    `excess`: by how much more often two contents of one query are both relevant than two of different queries,
    times the number of pairs; `spread`: what that would be if all contents of a query were alike.
    """

    excess: float = 0.0
    spread: float = 0.0

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(self.excess + other.excess, self.spread + other.spread)

    def __sub__(self, other: "Pairs") -> "Pairs":
        return Pairs(self.excess - other.excess, self.spread - other.spread)


def pairs(totals: Totals) -> Pairs:
    """What an entity's queries on a platform tell; nothing when there is only one query, or no two of a query."""
    same = totals.query_scored_squares - totals.scored_squares
    across = totals.scored**2 - totals.query_scored_squares
    if same <= 0 or across <= 0:
        return Pairs()
    both_of_one = max(totals.query_relevant_squares - totals.relevant_squares, 0.0)
    both_across = max(totals.relevant**2 - totals.query_relevant_squares, 0.0) / across
    mean = totals.relevant / totals.scored
    return Pairs(both_of_one - same * both_across, max(same * (mean - both_across), 0.0))


def prior_strength(told: Pairs) -> float:
    """How many contents the prior of a platform is worth, from what all its entities tell: 1 to 50."""
    correlation = (told.excess + USUAL_SPREAD / (1 + USUAL_STRENGTH)) / (told.spread + USUAL_SPREAD)
    if correlation <= 0:
        return STRONGEST
    return round(min(max(1 / correlation - 1, WEAKEST), STRONGEST), STRENGTH_DIGITS)


def usual_share(relevant: float, scored: float) -> float:
    """The share of relevant contents over all entities."""
    return (max(relevant, 0.0) + MEAN_WEIGHT * USUAL_SHARE) / (max(scored, 0.0) + MEAN_WEIGHT)


@dataclass(frozen=True)
class Mean:
    """The share of relevant contents to expect of a query of an entity, and the variance of that estimate."""

    share: float
    variance: float


def entity_mean(totals: Iterable[Totals], usual: float, strength: float) -> Mean:
    """What to expect of a query of an entity, from all it got on all platforms.

    Contents of one query are alike, the more so the weaker the prior: they tell less than as many of several.
    """
    known = list(totals)
    relevant, scored = sum(t.relevant for t in known), sum(t.scored for t in known)
    single = sum(t.scored_squares for t in known)
    alike = max(sum(t.query_scored_squares for t in known) - single, 0.0) / (1 + strength)
    weight = max(scored, 0.0) + MEAN_WEIGHT
    share = (max(relevant, 0.0) + MEAN_WEIGHT * usual) / weight
    return Mean(share, share * (1 - share) * (max(single, 0.0) + alike + MEAN_WEIGHT) / weight**2)


@dataclass(frozen=True)
class Scores:
    """Arrays of one shape, all in [0, 1] but for the rank key, which may exceed it by one deviation."""

    score: Floats
    lower: Floats
    upper: Floats
    rank_key: Floats


def judge(
    relevant: ArrayLike, scored: ArrayLike, mean: ArrayLike, variance: ArrayLike, strength: ArrayLike
) -> Scores:
    """Score queries: `relevant` of `scored` contents (faded sums), the entity's mean with its variance, and the
    prior's strength.

    All of one shape, or scalars. The interval also allows for the mean being an estimate: a beta distribution
    with the score as mean and the variances of both added up. To choose queries by `rank_key`, score plus one
    standard deviation, is to try what may be good and is not known well; what is uncertain of the mean is so
    for all queries alike, and is not in it.
    """
    x, n, m, v, s = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (relevant, scored, mean, variance, strength))
    )
    n = np.maximum(n, 0)
    x = np.clip(x, 0, n)
    score = np.clip((x + s * m) / (n + s), 0, 1)
    spread = np.maximum(score * (1 - score), SMALLEST)
    posterior = spread / (n + s + 1)
    weight = np.maximum(spread / (posterior + (s / (n + s)) ** 2 * v) - 1, SMALLEST)
    a, b = np.maximum(score * weight, SMALLEST), np.maximum((1 - score) * weight, SMALLEST)
    lower, upper = beta_quantile(np.stack([np.full(x.shape, TAIL), np.full(x.shape, 1 - TAIL)]), a, b)
    # Of a distribution that leans to one side the mean may lie beyond the quantile.
    return Scores(score, np.minimum(lower, score), np.maximum(upper, score), score + np.sqrt(posterior))
