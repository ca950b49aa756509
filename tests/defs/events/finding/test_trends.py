"""Trends: the statistics by hand, when one opens and ends, and that no period says anything of an earlier one."""

import json
from datetime import UTC, datetime, timedelta
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from temporal_pipeline.defs.events.finding.findings import Finding
from temporal_pipeline.defs.events.finding.trends import (
    MOST_PERIODS,
    PeriodValue,
    follow_trends,
    mann_kendall,
    theil_sen,
    trend,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
RISING = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]


def at(day: float) -> datetime:
    return START + day * DAY


def periods_of(*values: float | None) -> list[PeriodValue]:
    """One a day, analysed an hour after its end."""
    return [PeriodValue(n, at(n), at(n) + timedelta(hours=1), value) for n, value in enumerate(values)]


def followed(periods: list[PeriodValue], begin: int = 0, metric: str = "volume") -> list[Finding]:
    """Rises, then falls."""
    return [
        one
        for direction in ("up", "down")
        for one in follow_trends("AI agents", metric, direction, periods, begin)
    ]


VALUES = st.lists(
    st.one_of(st.none(), st.integers(0, 12).map(float), st.floats(0, 1e6), st.just(5.0)), max_size=60
)
WALKS = st.builds(
    lambda seed, n, drift: np.random.default_rng(seed).lognormal(3 + drift * np.arange(n), 0.4).tolist(),
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 60),
    drift=st.sampled_from([-0.05, 0.0, 0.05]),
)
HISTORIES = st.one_of(VALUES, WALKS).map(lambda values: periods_of(*values))


# The statistics.


def test_mann_kendall_of_a_strict_rise() -> None:
    """S = 15 of 15 pairs, variance 6·5·17/18 = 28.33, one less for continuity."""
    assert mann_kendall(np.array(RISING)) == pytest.approx(14 / np.sqrt(510 / 18))


def test_mann_kendall_corrects_for_ties() -> None:
    """1 2 2 3 3 3: S = 11; the ties of two and three take (2·1·9 + 3·2·11)/18 from the variance."""
    z = mann_kendall(np.array([1.0, 2.0, 2.0, 3.0, 3.0, 3.0]))
    assert z == pytest.approx(10 / np.sqrt((510 - 18 - 66) / 18))


def test_values_that_are_all_alike_have_no_direction() -> None:
    assert mann_kendall(np.full(9, 4.0)) == 0


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_mann_kendall_is_mirrored(values: list[int]) -> None:
    forwards = np.array(values, dtype=np.float64)
    assert mann_kendall(forwards[::-1]) == pytest.approx(-mann_kendall(forwards))
    assert mann_kendall(-forwards) == pytest.approx(-mann_kendall(forwards))


def test_theil_sen_is_not_moved_by_one_burst() -> None:
    days = np.arange(9.0)
    values = 3 + 2 * days
    values[4] = 900
    assert theil_sen(days, values) == pytest.approx((2, 3))


@given(st.lists(st.integers(0, 50), min_size=2, max_size=12), st.data())
def test_theil_sen_is_the_median_slope_of_all_pairs(values: list[int], data: st.DataObject) -> None:
    days = np.cumsum(
        data.draw(st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=len(values), max_size=len(values)))
    )
    slopes = [(values[j] - values[i]) / (days[j] - days[i]) for i, j in combinations(range(len(values)), 2)]
    slope, _ = theil_sen(days, np.array(values, dtype=np.float64))
    assert slope == pytest.approx(float(np.median(slopes)))


def test_slopes_are_per_day_whatever_the_periods_last() -> None:
    hourly = [PeriodValue(n, at(n / 24), at(n / 24), value) for n, value in enumerate(RISING)]
    found = trend(hourly)
    assert found is not None
    assert found.slope == pytest.approx(24)


# What is a trend.


def test_five_periods_are_too_few() -> None:
    assert trend(periods_of(*RISING[:5])) is None
    assert trend(periods_of(*RISING[:5], None)) is None
    found = trend(periods_of(*RISING))
    assert found is not None
    assert (found.direction, found.periods, found.begin, found.end) == ("up", 6, 10, 15)
    assert found.change == pytest.approx(0.5)


@pytest.mark.parametrize(("last", "is_one"), [(11.9, False), (12.1, True)])
def test_a_rise_by_less_than_a_fifth_is_none(last: float, is_one: bool) -> None:
    assert (trend(periods_of(*np.linspace(10, last, 12))) is not None) is is_one


def test_a_change_without_order_is_none() -> None:
    assert trend(periods_of(1, 30, 2, 28, 3, 29, 1, 30)) is None


def test_older_periods_do_not_matter() -> None:
    old = [5000.0] * 40
    assert trend(periods_of(*old, *np.linspace(10, 30, MOST_PERIODS))) is not None
    flat = [10.0] * MOST_PERIODS
    assert trend(periods_of(*np.linspace(1, 9, 40), *flat)) is None


def test_rising_from_nothing_and_falling_to_it() -> None:
    rising, falling = trend(periods_of(0, 0, 0, 1, 2, 3, 4, 5)), trend(periods_of(5, 4, 3, 2, 1, 0, 0, 0))
    assert rising is not None
    assert falling is not None
    assert (rising.direction, falling.direction) == ("up", "down")
    assert falling.end == 0


def test_a_begin_that_is_a_rounding_error_is_nothing() -> None:
    found = trend(periods_of(5e-324, 0, 1, 2, 0, 1, 1))
    assert found is None or found.change == 1
    [rising] = followed(periods_of(1e-300, 1, 2, 3, 4, 5))
    assert rising.figures["change"] == 1


# When it opens and ends.


def test_it_opens_at_the_end_of_the_period_that_shows_it() -> None:
    assert followed(periods_of(*RISING[:5])) == []
    [found] = followed(periods_of(*RISING))
    assert (found.key, found.event_type, found.metric) == ("volume_trend_up", "trend_shift", "volume")
    assert (found.onset, found.known_at) == (at(5), at(5) + timedelta(hours=1))
    assert (found.state, found.resolved_at, found.resolution_note) == ("active", None, None)
    assert found.figures["period_number"] == 5


def test_it_stays_while_it_holds() -> None:
    [found] = followed(periods_of(*RISING, 16, 17, 18))
    assert (found.onset, found.last_breach, found.is_open) == (at(5), at(8), True)
    assert (found.figures["periods"], found.figures["change"]) == (9, 0.8)


def test_it_is_resolved_at_the_second_period_in_a_row_without_it() -> None:
    values = [*RISING, 1, 1, 1]
    assert trend(periods_of(*values[:7])) is None
    [one_without] = followed(periods_of(*values[:7]))
    assert one_without.is_open
    [found] = followed(periods_of(*values[:8]))
    assert (found.state, found.resolved_at, found.last_breach) == ("resolved", at(7), at(5))
    assert found.resolution_note == (
        "no trend any more in two periods; it went from 10 to 15 posts per hour over 6 periods"
    )


def test_a_pause_of_one_period_does_not_end_it() -> None:
    values = [*RISING, 1, 16, 17, 18, 19]
    shown = [trend(periods_of(*values[: n + 1])) is not None for n in range(5, len(values))]
    assert shown[:3] == [True, False, True]
    [found] = followed(periods_of(*values))
    assert (found.onset, found.is_open) == (at(5), True)


def test_periods_without_a_value_are_looked_past() -> None:
    assert followed(periods_of(*RISING[:5], None, None)) == []
    [through] = followed(periods_of(*RISING[:3], None, *RISING[3:]))
    assert through.onset == at(6)
    [still] = followed(periods_of(*RISING, 1, None, None, None))
    assert (still.is_open, still.last_breach) == (True, at(5))
    [ended] = followed(periods_of(*RISING, 1, None, 1))
    assert ended.resolved_at == at(8)
    [unmoved] = followed(periods_of(*RISING, None))
    assert unmoved.last_breach == at(5)


@pytest.mark.parametrize(
    ("last", "severity"), [(15, "info"), (19.9, "info"), (20.1, "warning"), (5.1, "info"), (4.9, "warning")]
)
def test_doubled_or_halved_is_a_warning(last: float, severity: str) -> None:
    [found] = followed(periods_of(*np.linspace(10, last, 6)))
    assert found.severity == severity


def test_its_words() -> None:
    [found] = followed(periods_of(*RISING))
    assert found.title == "AI agents: posts per hour keep rising, from 10 to 15 posts per hour over 6 periods"
    assert found.description == (
        "Posts per hour went from 10 to 15 posts per hour over 6 periods, +1 a day (median of the slopes of all "
        "pairs); the order of the periods is that of a trend with z = 2.6 (Mann-Kendall)."
    )
    [falling] = followed(periods_of(*RISING[::-1]), metric="engagement")
    assert (falling.key, falling.direction) == ("engagement_trend_down", "down")
    assert "reactions per post keep falling, from 15 to 10" in falling.title


@given(st.text(min_size=1, max_size=300), st.floats(1e-9, 1e15))
def test_a_title_fits_its_column(name: str, scale: float) -> None:
    [found] = follow_trends(name, "volume", "up", periods_of(*(scale * value for value in RISING)), 0)
    assert 0 < len(found.title) <= 256


# What must hold for any history.


@settings(max_examples=60)
@given(HISTORIES, st.sampled_from(["up", "down"]), st.integers(1, 60))
def test_following_a_prefix_gives_the_trends_of_that_period(
    periods: list[PeriodValue], direction: str, step: int
) -> None:
    """None is taken back, none is added in the past, ends stay as they are, and none gets less severe."""
    before: list[Finding] = []
    for n in range(0, len(periods) + 1, step):
        now = follow_trends("AI agents", "volume", direction, periods[:n], 0)
        assert [one.onset for one in now][: len(before)] == [one.onset for one in before]
        assert all(new.onset > periods[n - step - 1].end for new in now[len(before) :] if n > step)
        for old, new in zip(before, now, strict=False):
            assert old.known_at == new.known_at
            assert (old.severity, new.severity) != ("warning", "info")
            assert old == new or old.is_open
        assert all(not one.is_open for one in now[:-1])
        before = now


@settings(max_examples=60)
@given(HISTORIES, st.sampled_from(["up", "down"]), st.integers(0, 60))
def test_following_from_later_on_gives_the_rest(
    periods: list[PeriodValue], direction: str, first: int
) -> None:
    """From the first new period, or from that at which the trend opened that was open there, with 30 before."""
    first = min(first, max(len(periods) - 1, 0))
    if not periods:
        return
    whole = follow_trends("AI agents", "volume", direction, periods, 0)
    going_on = [
        one.figures["period_number"]
        for one in whole
        if one.onset < periods[first].end
        and (one.resolved_at is None or one.resolved_at >= periods[first].end)
    ]
    begin = min([first, *going_on])
    read_from = max(begin - MOST_PERIODS, 0)
    rest = follow_trends("AI agents", "volume", direction, periods[read_from:], begin - read_from)
    assert rest == [one for one in whole if one.figures["period_number"] >= begin]


@given(HISTORIES, st.sampled_from(["up", "down"]))
def test_a_trend_is_consistent_in_itself(periods: list[PeriodValue], direction: str) -> None:
    for one in follow_trends("AI agents", "volume", direction, periods, 0):
        assert one.key == f"volume_trend_{direction}"
        assert one.onset <= one.last_breach < (one.resolved_at or at(1000))
        assert one.known_at >= one.onset
        assert periods[one.figures["period_number"]].value is not None
        assert (one.state == "active") == one.is_open == (one.resolution_note is None)
        assert abs(one.figures["z"]) >= 1.28
        assert (one.figures["slope_per_day"] >= 0) == (direction == "up")
        assert json.loads(json.dumps(dict(one.figures), allow_nan=False)) == one.figures


@given(HISTORIES)
def test_periods_without_a_value_change_nothing_but_how_far_back_is_looked(
    periods: list[PeriodValue],
) -> None:
    some = periods[:MOST_PERIODS]
    assert followed([one for one in some if one.value is not None]) == followed(some)
