"""How unusual an hour is: both tiers by hand, and what must hold for any series."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.events.finding.detection import (
    TIER_B_HOURS,
    WINDOW_HOURS,
    Floats,
    Scores,
    least_alarming,
    score,
)

OPENS = 2.2


def drawn(seed: int, hours: int, mean: float, uncovered: float) -> Floats:
    """Counts with bursts, and hours that no crawl covered."""
    rng = np.random.default_rng(seed)
    values = rng.poisson(mean * rng.choice([1, 1, 1, 6], size=hours)).astype(np.float64)
    values[rng.random(hours) < uncovered] = np.nan
    return values


SERIES = st.builds(
    drawn,
    seed=st.integers(0, 2**32 - 1),
    hours=st.integers(0, 420),
    mean=st.sampled_from([0.05, 1.0, 12.0, 900.0]),
    uncovered=st.sampled_from([0.0, 0.1, 0.8]),
)


def score_one(*values: float, counts: bool = True) -> Scores:
    [scores] = score([np.array(values, dtype=np.float64)], counts=counts)
    return scores


def assert_same(one: Scores, other: Scores) -> None:
    for name in ("up", "down", "usual", "hours", "tier"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def part(scores: Scores, hours: slice) -> Scores:
    return Scores(
        scores.up[hours], scores.down[hours], scores.usual[hours], scores.hours[hours], scores.tier[hours]
    )


def student_tail(t: float, degrees: float) -> float:
    """P(T ≥ t) for t ≥ 0 by numerical integration of the density."""
    x = np.linspace(0, t, 200_001)
    density = (1 + x * x / degrees) ** (-(degrees + 1) / 2)
    constant = math.gamma((degrees + 1) / 2) / (math.sqrt(degrees * math.pi) * math.gamma(degrees / 2))
    return float(0.5 - constant * np.trapezoid(density, x))


# Tier A: less than three days of history.


@pytest.mark.parametrize(
    ("before", "y"),
    [([3, 9, 4, 2], 20), ([0, 0, 0, 0, 1], 4), ([40, 55, 31, 62, 48, 44, 39, 700], 210), ([7] * 30, 15)],
)
def test_few_hours_are_judged_by_the_model_of_counts(before: list[int], y: int) -> None:
    scores = score_one(*before, y)
    kept = sorted(before[-30:])[:-1]
    k = len(kept)
    m = (sum(kept) + 0.5) / k
    dispersion = (4 * 5 + sum((value - m) ** 2 for value in kept) / m) / (4 + k - 1)
    z = 2 * (math.sqrt(y + 3 / 8) - math.sqrt(m + 3 / 8)) / math.sqrt(dispersion * (1 + 1 / k))
    assert scores.usual[-1] == pytest.approx(m)
    assert (scores.hours[-1], scores.tier[-1]) == (k, "A")
    assert scores.up[-1] == pytest.approx(-math.log10(student_tail(z, 4 + k - 1)), rel=0.02)
    if len(before) < 24:
        assert np.isnan(scores.down[-1])
    else:
        assert scores.down[-1] == pytest.approx(-math.log10(1 - student_tail(z, 4 + k - 1)), abs=0.01)


def test_five_times_the_usual_stands_out_and_noise_does_not() -> None:
    usual = [6, 4, 7, 5, 6, 8, 5, 6]
    assert score_one(*usual, 30).up[-1] >= OPENS
    assert score_one(*usual, 10).up[-1] < OPENS


def test_an_earlier_burst_does_not_hide_the_next() -> None:
    assert score_one(6, 4, 48, 5, 6, 8, 5, 6, 30).up[-1] >= OPENS


def test_the_first_four_hours_are_not_judged() -> None:
    scores = score_one(1, 1, 1, 99, 99)
    assert np.isnan(scores.up[:4]).all()
    assert np.isnan(scores.down[:4]).all()
    assert scores.tier.tolist() == ["", "", "", "", "A"]


def test_few_hours_are_compared_with_the_last_thirty() -> None:
    assert_same(
        part(score_one(900, *[5] * 30, 30), slice(31, 32)), part(score_one(*[5] * 30, 30), slice(30, 31))
    )


# Tier B: afterwards.


def over_threshold_by_hand(y: float, before: list[float], *, counts: bool) -> float:
    """As the module says it, value by value."""
    scores = []
    for q in (0.90, 0.95, 0.98):
        u = float(np.quantile(before, q))
        above = sorted(before)[math.floor(q * (len(before) - 1)) + 1 :]
        chance = math.sqrt(abs(u) + 1) if counts else 0.3
        mean = (sum(value - u for value in above) + chance) / (len(above) + 1)
        tail = -math.log10(1 - q) + (y - (0.5 if counts else 0) - u) / mean / math.log(10)
        seen = -math.log10(min((sum(value >= y for value in before) + 0.5) / (len(before) + 1), 1))
        scores.append(tail if y > u else min(tail, seen))
    return max(sum(scores) / 3, 0)


@pytest.mark.parametrize("y", [0, 12, 20, 33, 80])
@pytest.mark.parametrize("hours", [TIER_B_HOURS, 200, WINDOW_HOURS, 500])
def test_more_hours_are_judged_by_peaks_over_threshold(hours: int, y: int) -> None:
    history = drawn(7, hours, 9, 0.0)
    scores = score_one(*history, y)
    before = history[-WINDOW_HOURS:].tolist()
    assert scores.tier[-1] == "B"
    assert scores.hours[-1] == len(before)
    assert scores.up[-1] == pytest.approx(over_threshold_by_hand(y, before, counts=True))
    assert scores.down[-1] == pytest.approx(
        over_threshold_by_hand(-y, [-value for value in before], counts=True)
    )
    usual = sorted(before)[: int(len(before) * 0.9)]
    assert scores.usual[-1] == pytest.approx((sum(usual) + 0.5) / len(usual))


def test_a_known_number() -> None:
    """100 hours of 0 to 99: the quantiles are 89.1, 94.05 and 97.02."""
    scores = score_one(*range(100), 120)
    expected = [
        1 + (119.5 - 89.1) / ((sum(range(90, 100)) - 10 * 89.1 + math.sqrt(90.1)) / 11) / math.log(10),
        -math.log10(0.05)
        + (119.5 - 94.05) / ((sum(range(95, 100)) - 5 * 94.05 + math.sqrt(95.05)) / 6) / math.log(10),
        -math.log10(0.02) + (119.5 - 97.02) / ((98 + 99 - 2 * 97.02 + math.sqrt(98.02)) / 3) / math.log(10),
    ]
    assert scores.up[-1] == pytest.approx(sum(expected) / 3)


@pytest.mark.parametrize(("hours", "tier"), [(4, "A"), (71, "A"), (72, "B"), (400, "B")])
def test_the_tier_depends_on_how_much_history_there_is(hours: int, tier: str) -> None:
    assert score_one(*drawn(1, hours, 5, 0.0), 5).tier[-1] == tier


def test_only_the_trailing_fortnight_counts() -> None:
    fortnight = drawn(2, WINDOW_HOURS, 20, 0.1)
    assert_same(
        part(score_one(*[9000] * 50, *fortnight, 90), slice(50 + WINDOW_HOURS, None)),
        part(score_one(*fortnight, 90), slice(WINDOW_HOURS, None)),
    )


def test_hours_that_are_all_alike_are_nothing_unusual() -> None:
    for value in (0, 1, 5, 300):
        scores = score_one(*[value] * 400)
        assert np.nanmax(scores.up) < 1.3
        assert np.nanmax(scores.down) < 1.3


def test_one_post_in_a_quiet_topic_is_nothing_unusual() -> None:
    every_other_day = ([0] * 47 + [1]) * 7
    assert score_one(*every_other_day, 1).up[-1] < OPENS
    assert score_one(*every_other_day, 3).up[-1] >= OPENS


# Drops and rates.


@pytest.mark.parametrize("hours", [24, 300])
def test_a_sudden_silence_stands_out(hours: int) -> None:
    steady = drawn(3, hours, 1, 0.0) + 40
    scores = score_one(*steady, 0)
    assert scores.down[-1] >= OPENS
    assert scores.up[-1] < 0.5


def test_an_entity_that_is_silent_every_night_is_not_missed() -> None:
    day = [30] * 16 + [0] * 8
    scores = score_one(*day * 10)
    assert np.isnan(scores.down[:24]).all()
    assert scores.down[TIER_B_HOURS:].max() < 1.3


def test_rates_are_judged_once_there_are_three_days_of_them() -> None:
    rates = np.random.default_rng(4).normal(-1, 0.4, TIER_B_HOURS)
    scores = score_one(*rates, 2, counts=False)
    assert np.isnan(scores.up[:-1]).all()
    assert scores.up[-1] == pytest.approx(over_threshold_by_hand(2, rates.tolist(), counts=False))
    assert scores.up[-1] >= OPENS
    assert score_one(*rates, -4, counts=False).down[-1] >= OPENS
    usual = np.sort(rates)[: int(TIER_B_HOURS * 0.9)]
    assert scores.usual[-1] == pytest.approx(usual.mean())


def test_a_rate_that_never_changes_is_nothing_unusual() -> None:
    scores = score_one(*[0.0] * 200, counts=False)
    assert np.nanmax(scores.up) < 1.3
    assert np.nanmax(scores.down) < 1.3


def test_a_rate_with_a_constant_added_scores_the_same() -> None:
    rates = np.random.default_rng(5).normal(0, 1, 200)
    one, other = score_one(*rates, counts=False), score_one(*rates + 3, counts=False)
    np.testing.assert_allclose(one.up, other.up, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(one.usual + 3, other.usual)


# What must hold for any series.


@given(SERIES, st.booleans(), st.integers(0, 420))
def test_scoring_a_prefix_gives_the_prefix_of_the_scores(values: Floats, counts: bool, hours: int) -> None:
    [whole] = score([values], counts=counts)
    [prefix] = score([values[:hours]], counts=counts)
    assert_same(prefix, part(whole, slice(0, min(hours, len(values)))))


@given(SERIES, st.integers(0, 420))
def test_scoring_hour_by_hour_is_scoring_at_once(values: Floats, begin: int) -> None:
    """Each hour by itself with what was known by then, as an update after every hour does."""
    [whole] = score([values])
    for hour in range(min(begin, len(values)), min(begin + 5, len(values))):
        [one] = score([values[: hour + 1]], [hour])
        assert_same(one, part(whole, slice(hour, hour + 1)))


@given(st.lists(st.tuples(SERIES, st.floats(0, 1)), max_size=5), st.booleans())
def test_many_series_at_once_are_as_one_by_one(drawn: list[tuple[Floats, float]], counts: bool) -> None:
    series = [values for values, _ in drawn]
    begins = [int(share * len(values)) for values, share in drawn]
    together = score(series, begins, counts=counts)
    for values, begin, scores in zip(series, begins, together, strict=True):
        [alone] = score([values], counts=counts)
        assert_same(scores, part(alone, slice(begin, None)))


@given(SERIES, st.integers(0, 419), st.integers(0, 100_000))
def test_what_arrives_late_changes_only_hours_from_its_own_on(values: Floats, hour: int, posts: int) -> None:
    if hour >= len(values):
        return
    changed = values.copy()
    changed[hour] = posts
    [before], [after] = score([values]), score([changed])
    assert_same(part(before, slice(0, hour)), part(after, slice(0, hour)))


@given(SERIES, st.integers(0, 100_000))
def test_an_hour_is_never_compared_with_itself(values: Floats, posts: int) -> None:
    """And one with more posts is never less unusual upwards, nor more unusual downwards."""
    less, more = (score([np.append(values, y)], [len(values)])[0] for y in (posts, posts * 2 + 1))
    for name in ("usual", "hours", "tier"):
        np.testing.assert_array_equal(getattr(less, name), getattr(more, name))
    assert not less.up[0] > more.up[0]
    assert not less.down[0] < more.down[0]


@given(SERIES)
def test_uncovered_hours_are_neither_judged_nor_compared_with(values: Floats) -> None:
    covered = values[:WINDOW_HOURS][~np.isnan(values[:WINDOW_HOURS])]
    [with_gaps], [without] = score([values[:WINDOW_HOURS]]), score([covered])
    gaps = np.isnan(values[:WINDOW_HOURS])
    assert np.isnan(with_gaps.up[gaps]).all()
    assert (with_gaps.tier[gaps] == "").all()
    np.testing.assert_array_equal(with_gaps.up[~gaps], without.up)
    np.testing.assert_array_equal(with_gaps.usual[~gaps], without.usual)


@given(SERIES, st.booleans())
def test_scores_are_finite_and_not_negative(values: Floats, counts: bool) -> None:
    [scores] = score([values], counts=counts)
    for one in (scores.up, scores.down):
        judged = one[~np.isnan(one)]
        assert ((judged >= 0) & (judged <= 300)).all()
        assert np.isnan(one[scores.tier == ""]).all()
    assert not np.isnan(scores.up[scores.tier != ""]).any()


def test_a_number_beyond_all_measure_is_judged() -> None:
    for hours in (30, 300):
        assert score_one(*[5] * hours, 1e12).up[-1] > 10


def test_nothing_to_score() -> None:
    assert score([]) == []
    [nothing] = score([np.empty(0)])
    assert nothing.up.shape == (0,)


@given(SERIES, st.integers(-1, 50), st.integers(1, 5000))
def test_the_least_alarming_count_is_the_first_that_opens(history: Floats, floor: int, above: int) -> None:
    ceiling = floor + above

    def opens(posts: int) -> bool:
        return bool(score([np.append(history, posts)], [len(history)])[0].up[0] >= OPENS)

    if not opens(ceiling):
        return
    least = least_alarming(history, floor, ceiling, OPENS)
    assert floor < least <= ceiling
    assert opens(least)
    assert least == floor + 1 or not opens(least - 1)
