"""Scores, intervals and priors, from counts alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.effectiveness.judgement.beta import beta_quantile
from temporal_pipeline.defs.effectiveness.judgement.evidence import Evidence, Totals
from temporal_pipeline.defs.effectiveness.judgement.scoring import (
    STRONGEST,
    USUAL_SHARE,
    USUAL_STRENGTH,
    WEAKEST,
    Pairs,
    entity_mean,
    judge,
    pairs,
    prior_strength,
    usual_share,
)

amounts = st.floats(0, 1e5)
shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("probability", "a", "b", "quantile"),
    [
        (0.5, 1, 1, 0.5),
        (0.05, 1, 1, 0.05),
        # 1 - (1 - x)^3 and x^3 in closed form.
        (0.05, 1, 3, 1 - 0.95 ** (1 / 3)),
        (0.95, 3, 1, 0.95 ** (1 / 3)),
        # The arcsine distribution.
        (0.05, 0.5, 0.5, math.sin(math.pi * 0.05 / 2) ** 2),
        (0.5, 5000, 5000, 0.5),
    ],
)
def test_quantiles_of_known_distributions(probability: float, a: float, b: float, quantile: float) -> None:
    assert float(beta_quantile(probability, a, b)) == pytest.approx(quantile, abs=1e-7)


@given(st.floats(1e-3, 1e4), st.floats(1e-3, 1e4))
def test_quantiles_are_in_order_and_mirrored(a: float, b: float) -> None:
    low, high = beta_quantile([0.05, 0.95], a, b)
    assert 0 <= low <= high <= 1
    assert 1 - float(beta_quantile(0.95, b, a)) == pytest.approx(low, abs=1e-6)


@given(amounts, shares, shares, st.floats(0, 0.05), st.floats(WEAKEST, STRONGEST))
def test_every_figure_is_defined_and_in_range(
    scored: float, share: float, mean: float, variance: float, strength: float
) -> None:
    judged = judge(scored * share, scored, mean, variance, strength)
    assert 0 <= judged.lower <= judged.score <= judged.upper <= 1
    assert judged.score <= judged.rank_key < 2
    assert float(judged.score) == pytest.approx((scored * share + strength * mean) / (scored + strength))


@given(st.floats(0, 0.7), st.floats(WEAKEST, STRONGEST))
def test_one_lucky_hit_ranks_below_forty_of_fifty(mean: float, strength: float) -> None:
    judged = judge([1.0, 40.0], [1.0, 50.0], mean, 0.0, strength)
    assert judged.lower[0] < judged.lower[1]
    # A strong prior far below pulls both; what is certain is that luck is not taken for more.
    assert judged.score[0] < judged.score[1] or strength < 2


def test_without_evidence_the_score_is_the_mean() -> None:
    judged = judge(0, 0, 0.3, 0.0, 8)
    assert float(judged.score) == pytest.approx(0.3)
    assert usual_share(0, 0) == pytest.approx(USUAL_SHARE)
    assert entity_mean([], 0.25, 8).share == pytest.approx(0.25)
    assert prior_strength(Pairs()) == USUAL_STRENGTH


def test_the_mean_is_the_documented_formula() -> None:
    known = [Totals(30, 50, 30, 50, 500, 1300), Totals(1, 2, 1, 2, 1, 2)]
    assert entity_mean(known, 0.2, 8).share == pytest.approx((31 + 8 * 0.2) / (52 + 8))


def totals_of(
    x: "np.ndarray[tuple[int], np.dtype[np.int64]]", n: "np.ndarray[tuple[int], np.dtype[np.int64]]"
) -> Totals:
    return Totals(*map(float, (x.sum(), n.sum(), x.sum(), n.sum(), (x**2).sum(), (n**2).sum())))


@pytest.mark.parametrize("strength", [2, 8, 30])
def test_the_strength_of_the_prior_is_found_in_the_data(strength: float) -> None:
    random = np.random.default_rng(7)
    told = Pairs()
    for mean in random.uniform(0.1, 0.6, 500):
        truth = random.beta(mean * strength, (1 - mean) * strength, 20)
        scored = random.geometric(0.1, 20)
        told = told + pairs(totals_of(random.binomial(scored, truth), scored))
    assert prior_strength(told) == pytest.approx(strength, rel=0.15)


def test_pairs_tell_nothing_of_a_single_query_or_of_single_contents() -> None:
    assert pairs(Totals()) == Pairs()
    assert pairs(totals_of(np.array([3]), np.array([10]))) == Pairs()
    assert pairs(totals_of(np.array([1, 0, 1]), np.array([1, 1, 1]))) == Pairs()


def test_a_strength_has_bounds() -> None:
    assert prior_strength(Pairs(-1000, 1000)) == STRONGEST
    assert prior_strength(Pairs(1000, 1000)) == WEAKEST


def test_the_interval_allows_for_an_uncertain_mean() -> None:
    sure, unsure = judge(1, 2, 0.3, 0.0, 8), judge(1, 2, 0.3, 0.01, 8)
    assert unsure.lower < sure.lower
    assert sure.upper < unsure.upper
    assert float(unsure.score) == float(sure.score)
    assert float(unsure.rank_key) == float(sure.rank_key)


@given(st.lists(st.tuples(amounts, shares), min_size=1, max_size=5))
def test_exchanging_what_a_query_brought_keeps_the_sums(found: list[tuple[float, float]]) -> None:
    totals = Totals()
    old = Evidence()
    for scored, share in found:
        new = Evidence(scored * share, scored, scored * share, scored)
        totals = totals.exchanged(old, new)
        old = new
    assert totals.scored == pytest.approx(found[-1][0], abs=1e-6)
    assert totals.query_scored_squares == pytest.approx(found[-1][0] ** 2, rel=1e-6, abs=1e-3)
