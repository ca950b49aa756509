"""Coverage: its rules by example, its invariants by property."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.crawls import Crawl, closed_until, covered_intervals, covered_share, hourly_mask

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIX_HOURS = timedelta(hours=6)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def crawl(began: float, *, over: bool = True, earliest: float | None = None, timeline: bool = False) -> Crawl:
    return Crawl(
        at(began),
        at(began) + HOUR / 60 if over else None,
        None if earliest is None else at(earliest),
        timeline,
    )


minutes = st.integers(-5000, 5000).map(lambda m: m / 60)
crawls = st.lists(
    st.builds(crawl, minutes, over=st.booleans(), earliest=st.none() | minutes, timeline=st.booleans()),
    max_size=12,
)


def test_a_crawl_covers_back_to_the_previous_one():
    assert covered_intervals([crawl(0), crawl(6), crawl(12)], SIX_HOURS) == [(at(-9), at(12))]


def test_a_pause_of_more_than_one_and_a_half_intervals_leaves_a_gap():
    assert covered_intervals([crawl(0), crawl(30)], SIX_HOURS) == [(at(-9), at(0)), (at(21), at(30))]


def test_the_first_crawl_reaches_back_to_its_earliest_post():
    assert covered_intervals([crawl(0, earliest=-100)], SIX_HOURS) == [(at(-100), at(0))]


def test_the_first_crawl_reaches_at_least_as_far_as_any_other():
    assert covered_intervals([crawl(0, earliest=-1)], SIX_HOURS) == [(at(-9), at(0))]


def test_all_crawls_of_the_first_round_are_first():
    assert covered_intervals([crawl(0, earliest=-1), crawl(0, earliest=-50)], SIX_HOURS) == [(at(-50), at(0))]


def test_a_later_search_does_not_reach_back_to_its_earliest_post():
    assert covered_intervals([crawl(0), crawl(30, earliest=5)], SIX_HOURS)[-1] == (at(21), at(30))


def test_a_later_timeline_does():
    intervals = covered_intervals([crawl(0), crawl(30, earliest=5, timeline=True)], SIX_HOURS)
    assert intervals == [(at(-9), at(0)), (at(5), at(30))]


def test_a_crawl_that_is_not_over_covers_and_closes_nothing():
    assert covered_intervals([crawl(0, over=False)], SIX_HOURS) == []
    assert closed_until([crawl(0), crawl(6, over=False)]) == at(0)
    assert closed_until([crawl(6, over=False)]) is None


def test_a_share_needs_some_time():
    with pytest.raises(ValueError, match="is empty"):
        covered_share([], at(1), at(1))


def test_only_wholly_covered_and_closed_hours_count():
    intervals = [(at(0.5), at(3)), (at(4), at(7.9))]
    mask = hourly_mask(intervals, at(0), 10, at(6))
    assert np.flatnonzero(mask).tolist() == [1, 2, 4, 5]
    assert not hourly_mask(intervals, at(0), 10, None).any()


@given(crawls)
def test_intervals_are_sorted_and_apart(given_crawls: list[Crawl]):
    intervals = covered_intervals(given_crawls, SIX_HOURS)
    edges = [edge for interval in intervals for edge in interval]
    assert edges == sorted(set(edges))


@given(crawls)
def test_nothing_after_the_last_finished_begin_is_covered(given_crawls: list[Crawl]):
    intervals = covered_intervals(given_crawls, SIX_HOURS)
    assert not intervals or intervals[-1][1] == closed_until(given_crawls)


@given(crawls, st.randoms(use_true_random=False))
def test_the_order_of_the_crawls_does_not_matter(given_crawls: list[Crawl], random):
    shuffled = random.sample(given_crawls, len(given_crawls))
    assert covered_intervals(shuffled, SIX_HOURS) == covered_intervals(given_crawls, SIX_HOURS)


@given(crawls, minutes)
def test_a_later_crawl_never_takes_coverage_away(given_crawls: list[Crawl], later: float):
    began = later + 20_000 / 60
    before = covered_intervals(given_crawls, SIX_HOURS)
    after = covered_intervals([*given_crawls, crawl(began)], SIX_HOURS)
    for start, end in before:
        assert covered_share(after, start, end) == 1


@given(crawls, minutes, st.integers(1, 5000))
def test_shares_add_up(given_crawls: list[Crawl], start: float, length: int):
    intervals = covered_intervals(given_crawls, SIX_HOURS)
    first, middle, last = at(start), at(start + length / 60), at(start + length / 30)
    whole = covered_share(intervals, first, last)
    assert 0 <= whole <= 1
    halves = covered_share(intervals, first, middle) + covered_share(intervals, middle, last)
    assert whole == pytest.approx(halves / 2)


@given(crawls, minutes, st.integers(0, 60))
def test_the_mask_agrees_with_the_share(given_crawls: list[Crawl], first: float, n: int):
    intervals, closed = covered_intervals(given_crawls, SIX_HOURS), closed_until(given_crawls)
    hours = [at(first) + HOUR * i for i in range(n)]
    expected = [
        closed is not None and hour + HOUR <= closed and covered_share(intervals, hour, hour + HOUR) == 1
        for hour in hours
    ]
    assert hourly_mask(intervals, at(first), n, closed).tolist() == expected
