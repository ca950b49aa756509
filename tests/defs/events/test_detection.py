"""The count model: what it calls an alarm, and that it does so step by step as well as at once."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.crawls import Crawl
from temporal_pipeline.defs.events.detection import ALARM_Z, hourly_volume, score

series = st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=120)


def arrays(pairs):
    counts = np.array([count for count, _ in pairs], dtype=np.int64)
    return counts, np.array([usable for _, usable in pairs], dtype=bool)


def score_all(*counts: int):
    return score(np.array(counts, dtype=np.int64), np.ones(len(counts), dtype=bool))


def test_the_formula():
    scores = score_all(3, 9, 4, 2, 20)
    m, k = (3 + 4 + 2 + 0.5) / 3, 3
    dispersion = (4 * 5 + sum((y - m) ** 2 for y in (3, 4, 2)) / m) / (4 + k - 1)
    z = 2 * (np.sqrt(20 + 3 / 8) - np.sqrt(m + 3 / 8)) / np.sqrt(dispersion * (1 + 1 / k))
    assert scores.z[4] == pytest.approx(z)
    assert scores.baseline[4] == pytest.approx(m)
    assert scores.n_baseline[4] == 3
    assert np.isnan(scores.z[:4]).all()


def test_five_times_the_usual_is_an_alarm_and_noise_is_not():
    usual = [6, 4, 7, 5, 6, 8, 5, 6]
    assert score_all(*usual, 30).alarm[-1]
    assert not score_all(*usual, 9).alarm[-1]


def test_an_earlier_burst_does_not_hide_the_next():
    assert score_all(6, 4, 48, 5, 6, 8, 5, 6, 30).alarm[-1]


def test_a_bucket_is_not_in_its_own_baseline():
    alone, louder = score_all(5, 5, 5, 5, 5, 20), score_all(5, 5, 5, 5, 5, 2000)
    assert alone.baseline[-1] == louder.baseline[-1]


def test_only_the_last_thirty_buckets_count():
    assert score_all(900, *[5] * 30, 30).baseline[-1] == score_all(*[5] * 30, 30).baseline[-1]


def test_fewer_than_four_buckets_before_give_no_score():
    assert np.isnan(score_all(1, 1, 1, 99).z).all()
    assert not np.isnan(score_all(1, 1, 1, 1, 99).z[-1])


@given(series, st.integers(0, 120))
def test_scoring_a_prefix_gives_the_prefix_of_the_scores(pairs, length):
    counts, usable = arrays(pairs)
    whole, part = score(counts, usable), score(counts[:length], usable[:length])
    for name in ("z", "baseline", "limit", "n_baseline"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:length])


@given(series)
def test_unusable_buckets_are_neither_scored_nor_compared_with(pairs):
    counts, usable = arrays(pairs)
    with_gaps = score(counts, usable)
    without = score(counts[usable], usable[usable])
    assert np.isnan(with_gaps.z[~usable]).all()
    np.testing.assert_array_equal(with_gaps.z[usable], without.z)


@given(series)
def test_the_limit_says_how_many_posts_make_an_alarm(pairs):
    scores = score(*arrays(pairs))
    counts = arrays(pairs)[0]
    clear = np.abs(scores.z - ALARM_Z) > 1e-9
    np.testing.assert_array_equal(scores.alarm[clear], (counts > scores.limit)[clear])


def test_the_series_runs_from_the_first_post_to_the_last_closed_hour():
    start = datetime(2026, 1, 5, tzinfo=UTC)
    first = int(start.timestamp()) // 3600
    hour = timedelta(hours=1)
    crawls = [Crawl(start + n * hour, start + n * hour, None, False) for n in (1, 3, 5)]
    volume = hourly_volume([first, first + 3, first + 5, first + 9], [2, 7, 4, 1], crawls, 6 * hour)
    assert volume is not None
    assert volume.first_hour == start
    assert volume.counts.tolist() == [2, 0, 0, 7, 0]
    assert volume.usable.all()


def test_without_crawls_or_posts_there_is_no_series():
    start = datetime(2026, 1, 5, tzinfo=UTC)
    first = int(start.timestamp()) // 3600
    hour = timedelta(hours=1)
    assert hourly_volume([first], [1], [], hour) is None
    assert hourly_volume([], [], [Crawl(start, start, None, False)], hour) is None
    assert hourly_volume([first + 5], [1], [Crawl(start, start, None, False)], hour) is None
