"""The shrunk score and what it recommends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.effectiveness.scoring import (
    LARGEST_PRIOR,
    Counts,
    effectiveness,
    judge,
    prior_share,
    recommend,
)

counts = st.integers(0, 10**6).flatmap(
    lambda scored: st.builds(
        lambda relevant, unscored, found, runs: Counts(
            runs, found, scored + unscored, scored, relevant, relevant // 2, relevant * 0.9
        ),
        st.integers(0, scored),
        st.integers(0, 10),
        st.floats(0, 1e300),
        st.integers(1, 100),
    )
)


@given(counts, counts)
def test_every_share_is_in_range(query: Counts, rest: Counts) -> None:
    verdict = judge(query, query + rest)
    for share in (verdict.score, verdict.coverage, query.average_relevance):
        assert share is None or 0 <= share <= 1
    assert (verdict.score is None) == (query.scored == 0)
    assert query.contents <= query.total_found < 2**31
    assert verdict.recommendation.split(":")[0] in {"explore", "keep", "widen", "drop"}


@given(st.floats(0, LARGEST_PRIOR), st.floats(0, LARGEST_PRIOR))
def test_one_lucky_hit_ranks_below_forty_of_fifty(lucky_prior: float, good_prior: float) -> None:
    """Whatever the two entities' usual shares are."""
    lucky, good = effectiveness(1, 1, lucky_prior), effectiveness(40, 50, good_prior)
    assert lucky is not None
    assert good is not None
    assert lucky < good


@given(st.integers(0, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_prior_lies_between_nothing_and_one_half(seen: tuple[int, int]) -> None:
    assert 0 <= prior_share(*seen) <= LARGEST_PRIOR


@given(st.integers(1, 1000), st.floats(0, LARGEST_PRIOR))
def test_more_relevant_contents_never_lower_the_score(scored: int, prior: float) -> None:
    scores = [effectiveness(relevant, scored, prior) or 0 for relevant in range(scored + 1)]
    assert scores == sorted(scores)


def test_the_score_is_the_documented_formula() -> None:
    """Two queries, 41 of 51 relevant: m = min((41 + 1.6) / 59, 0.5) = 0.5; (40 + 4) / 58."""
    good = Counts(5, 60, 50, 50, 40, 20, 38.0)
    verdict = judge(good, good + Counts(1, 1, 1, 1, 1, 1, 0.9))
    assert verdict.score == pytest.approx(44 / 58)
    assert verdict.coverage == pytest.approx(40 / 41)


def test_nothing_relevant_in_a_period_has_no_coverage() -> None:
    query = Counts(1, 10, 10, 10)
    verdict = judge(query, query)
    assert verdict.coverage is None
    assert verdict.score == pytest.approx(8 * (1.6 / 18) / 18)


@pytest.mark.parametrize(
    ("query", "score", "coverage", "sentence"),
    [
        (Counts(runs=1), None, None, "explore: 1 run found nothing"),
        (Counts(runs=3), None, None, "widen: 3 runs found nothing"),
        (Counts(runs=3, found=50), None, None, "widen: 3 runs found 50 posts, none of them new"),
        (Counts(runs=1, contents=1), None, None, "explore: none of its 1 content could be scored"),
        (Counts(1, 1, 1, 1, 1), 0.3, 1.0, "explore: 1 of 1 scored content relevant, too few to judge"),
        (
            Counts(1, 50, 50, 50, 40),
            0.75,
            0.8,
            "keep: 40 of 50 scored contents relevant, 80% of the period's relevant contents",
        ),
        (
            Counts(1, 10, 10, 10, 9),
            0.7,
            0.01,
            "widen: 9 of 10 scored contents relevant, 1% of the period's relevant contents",
        ),
        (
            Counts(1, 500, 500, 500, 50),
            0.1,
            0.5,
            "keep: only 50 of 500 scored contents relevant, yet 50% of the period's relevant contents",
        ),
        (Counts(1, 50, 50, 50, 2), 0.05, 0.04, "drop: only 2 of 50 scored contents relevant"),
        (
            Counts(1, 50, 50, 50, 15),
            0.3,
            0.1,
            "explore: 15 of 50 scored contents relevant, neither good nor bad",
        ),
    ],
)
def test_recommendations(query: Counts, score: float | None, coverage: float | None, sentence: str) -> None:
    assert recommend(query, score, coverage) == sentence
