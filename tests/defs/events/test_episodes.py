"""Episodes: which alarms belong together, when one is over, and which are the same as those known."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.events.detection import Volume, score
from temporal_pipeline.defs.events.episodes import Episode, episodes, pair, quiet_since

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUIET = [5] * 40


@dataclass(frozen=True)
class Known:
    onset: datetime
    last_alarm: datetime


def at(hours: int) -> datetime:
    return START + hours * HOUR


def find(counts: list[int], unusable: set[int] = frozenset()) -> list[Episode]:
    usable = np.array([i not in unusable for i in range(len(counts))], dtype=bool)
    volume = Volume(START, np.array(counts, dtype=np.int64), usable)
    return episodes(volume, score(volume.counts, usable))


def burst(*hours: int, length: int = 120, height: int = 60) -> list[int]:
    return [height if i in hours else 5 for i in range(length)]


def test_silence_is_no_episode():
    assert find(QUIET) == []
    assert find([]) == []


def test_one_burst():
    (episode,) = find(burst(50, 51))
    assert (episode.onset, episode.last_alarm) == (at(50), at(51))
    assert episode.resolved_at == at(58)
    assert (episode.peak, episode.peak_count, episode.posts) == (at(50), 60, 120)
    assert len(episode.alarms) == 2
    assert episode.n_baseline == 29
    assert 12 > episode.ratio > 11
    assert 5 < episode.threshold_count < 60


def test_alarms_within_a_day_are_one_episode_and_later_ones_another():
    assert len(find(burst(50, 74))) == 1
    first, second = find(burst(50, 75))
    assert first.resolved_at == at(57)
    assert second.onset == at(75)


def test_an_episode_is_open_until_six_quiet_hours():
    counts = burst(50)
    assert find(counts[:57])[0].resolved_at == at(57)
    assert find(counts[:56])[0].resolved_at is None


def test_an_alarm_after_the_end_reopens_the_same_episode():
    counts = burst(50, 70)
    assert find(counts[:60])[0].resolved_at == at(57)
    (reopened,) = find(counts[:71])
    assert (reopened.onset, reopened.resolved_at) == (at(50), None)


def test_hours_without_a_crawl_are_no_quiet_hours():
    (episode,) = find(burst(50), unusable=set(range(52, 60)))
    assert episode.resolved_at == at(65)


def test_behind_a_gap_an_episode_ends_when_the_next_begins():
    first, second = find(burst(50, 80), unusable=set(range(52, 79)))
    assert first.resolved_at == at(80) == second.onset


def test_the_end_of_an_episode_before_the_series():
    volume = Volume(START, np.array(QUIET, dtype=np.int64), np.ones(40, dtype=bool))
    assert quiet_since(volume, score(volume.counts, volume.usable), at(-10)) == at(6)


@given(
    st.lists(st.one_of(st.integers(0, 8), st.integers(0, 80)), max_size=150),
    st.sets(st.integers(0, 149)),
    st.integers(0, 150),
)
def test_what_is_found_in_a_prefix_stays_and_only_grows(counts, unusable, length):
    part, whole = find(counts[:length], unusable), find(counts, unusable)
    assert [e.onset for e in part] == [e.onset for e in whole][: len(part)]
    for early, late in zip(part, whole, strict=False):
        assert late.alarms[: len(early.alarms)] == early.alarms
        assert late.posts >= early.posts
    for one, following in pairwise(whole):
        assert following.onset - one.last_alarm > 24 * HOUR
        assert one.resolved_at is not None
        assert one.last_alarm < one.resolved_at


@given(
    st.lists(st.one_of(st.integers(0, 8), st.integers(0, 80)), max_size=150),
    st.integers(0, 150),
)
def test_every_episode_of_a_prefix_is_recognised(counts, length):
    part, whole = find(counts[:length]), find(counts)
    pairs, left_over = pair(whole, part)
    assert pairs == [*range(len(part)), *[None] * (len(whole) - len(part))]
    assert left_over == []


def test_known_episodes_are_the_same_within_a_day():
    (episode,) = find(burst(50))
    near, far = Known(at(74), at(80)), Known(at(75), at(80))
    assert pair([episode], [near]) == ([0], [])
    assert pair([episode], [far]) == ([None], [0])


def test_each_known_episode_is_used_once_and_the_nearest_first():
    (episode,) = find(burst(50))
    assert pair([episode], [Known(at(30), at(40)), Known(at(49), at(51))]) == ([1], [0])
    assert pair([episode, episode], [Known(at(50), at(50))]) == ([0, None], [])
