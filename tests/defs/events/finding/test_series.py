"""Hourly series: what counts as a value, what as none, and what a value means to people."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.crawls.coverage import HOUR, Interval
from temporal_pipeline.defs.events.finding.series import (
    CONTROVERSY,
    ENGAGEMENT,
    METRICS,
    VOLUME,
    Activity,
    hour_of,
    hourly_series,
    natural,
)

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
FIRST_HOUR = int(FIRST.timestamp()) // 3600


def at(hour: float) -> datetime:
    return FIRST + hour * HOUR


def activity(
    posts: dict[int, int], *, approvals: float = 0, replies: float = 0, reactions: float = 0
) -> Activity:
    """Posts per hour (after the first one); the reception of each hour is the same."""
    n = len(posts)
    return Activity(
        np.array([FIRST_HOUR + hour for hour in posts], dtype=np.int64),
        np.array(list(posts.values()), dtype=np.int64),
        np.full(n, approvals),
        np.full(n, replies),
        np.full(n, reactions),
    )


def values(
    of: Activity, covered: list[Interval], closed: float, metric: str = "volume"
) -> list[float | None]:
    series = hourly_series(of, covered, FIRST, at(closed))[metric]
    assert series.first_hour == FIRST
    return [None if np.isnan(value) else float(value) for value in series.values]


def test_a_covered_hour_without_posts_is_zero_and_an_uncovered_one_is_nothing() -> None:
    covered = [(at(0), at(3)), (at(5), at(7))]
    assert values(activity({0: 4, 3: 9, 6: 1}), covered, 7) == [4, 0, 0, None, None, 0, 1]


def test_an_hour_must_be_covered_wholly_and_be_over() -> None:
    assert values(activity({0: 4, 1: 5, 2: 6}), [(at(0.5), at(2.5))], 2.5) == [None, 5]


def test_posts_before_the_first_hour_and_of_hours_not_over_are_left_out() -> None:
    assert values(activity({-3: 7, 1: 5, 9: 6}), [(at(-10), at(10))], 3) == [0, 5, 0]


def test_nothing_is_closed_before_the_first_hour() -> None:
    assert values(activity({0: 4}), [(at(-10), at(10))], -2) == []


def test_rates_need_five_posts_and_arguments_twenty_reactions() -> None:
    covered = [(at(0), at(4))]
    liked = activity({0: 4, 1: 5, 2: 10}, approvals=30, replies=10, reactions=40)
    assert values(liked, covered, 4, "engagement") == [
        None,
        pytest.approx(np.log1p(8)),
        pytest.approx(np.log1p(4)),
        None,
    ]
    assert values(liked, covered, 4, "controversy")[1] == pytest.approx(np.log(10.5 / 30.5))
    assert values(liked, [], 4, "engagement") == [None] * 4
    few = activity({0: 5, 1: 5}, approvals=10, replies=9, reactions=19)
    assert values(few, covered, 2, "controversy") == [None, None]
    enough = activity({0: 5, 1: 5}, approvals=10, replies=10, reactions=20)
    assert values(enough, covered, 2, "controversy") == [0, 0]


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(5, 1000))
def test_a_value_is_told_as_people_count(replies: float, approvals: float, posts: int) -> None:
    reactions = replies + approvals
    of = activity({0: posts}, approvals=approvals, replies=replies, reactions=reactions)
    series = hourly_series(of, [(at(0), at(1))], FIRST, at(1))
    told = {metric.name: natural(metric, float(series[metric.name].values[0])) for metric in METRICS}
    assert told["volume"] == posts
    assert told["engagement"] == pytest.approx(reactions / posts)
    if reactions >= 20:
        assert told["controversy"] == pytest.approx((replies + 0.5) / (approvals + 0.5))
    else:
        assert np.isnan(told["controversy"])


def test_absurd_reactions_stay_numbers() -> None:
    of = activity({0: 5}, approvals=1e300, replies=1e300, reactions=2e300)
    assert values(of, [(at(0), at(1))], 1, "controversy") == [0]
    assert np.isfinite(natural(ENGAGEMENT, values(of, [(at(0), at(1))], 1, "engagement")[0] or 0))


def test_hours_are_counted_from_1970() -> None:
    assert hour_of(FIRST_HOUR) == FIRST
    assert hour_of(-1) == datetime(1970, 1, 1, tzinfo=UTC) - timedelta(hours=1)


def test_what_is_watched_in_which_direction() -> None:
    assert [(metric.name, metric.counts, metric.directions) for metric in METRICS] == [
        ("volume", True, ("up", "down")),
        ("engagement", False, ("up", "down")),
        ("controversy", False, ("up",)),
    ]
    assert (VOLUME.event_type, CONTROVERSY.event_type) == ("anomaly", "controversy")
