"""From scores to episodes: examples of each step, and the invariants against a follower that goes hour by hour."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from temporal_pipeline.defs.events.finding.detection import Floats, Scores, score
from temporal_pipeline.defs.events.finding.lifecycle import Direction, Episode, Series, follow, onsets
from tests.defs.events.finding.test_detection import SERIES

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
# (posts, score) of an hour.
QUIET, KEEPS, BURST, UNCOVERED = (1.0, 0.5), (2.0, 1.3), (9.0, 4.0), (np.nan, np.nan)
HIGHER = (20.0, 5.0)


def at(hour: int) -> datetime:
    return FIRST + hour * HOUR


def scores_of(up: list[float]) -> Scores:
    n = len(up)
    known = np.arange(n, dtype=np.int64)
    scored = np.array(up, dtype=np.float64)
    return Scores(scored, scored, np.full(n, 1.0), known, np.full(n, "A"))


def followed(*hours: tuple[float, float], direction: Direction = "up") -> list[Episode]:
    """The episodes of hours given as (posts, score)."""
    sign = 1 if direction == "up" else -1
    values = np.array([posts for posts, _ in hours], dtype=np.float64)
    return follow(Series(FIRST, sign * values), scores_of([s for _, s in hours]), 0, direction)


# One step each.


def test_an_episode_opens_at_once() -> None:
    [episode] = followed(QUIET, QUIET, BURST)
    assert (episode.onset, episode.state, episode.is_open, episode.alerts) == (
        at(2),
        "active",
        True,
        (at(2),),
    )
    assert (episode.peak, episode.peak_value, episode.score) == (at(2), 9.0, 4.0)


def test_a_score_below_the_threshold_opens_none_and_the_threshold_does() -> None:
    assert followed(QUIET, (9.0, 2.19)) == []
    assert len(followed(QUIET, (9.0, 2.2))) == 1


def test_an_onset_is_above_everything_of_the_day_before() -> None:
    [again] = followed(HIGHER, *[QUIET] * 24, BURST)
    assert again.alerts == (at(0), at(25))
    [once] = followed(HIGHER, *[QUIET] * 23, BURST)
    assert once.alerts == (at(0),)
    values = np.array([9.0, np.nan, 9.0, 9.5])
    assert onsets(values, np.full(4, 3.0), "up").tolist() == [True, False, False, True]


def test_it_lasts_while_it_is_kept() -> None:
    [episode] = followed(BURST, *[KEEPS] * 30)
    assert (episode.state, episode.last_breach, len(episode.breaches)) == ("active", at(30), 31)
    assert (episode.peak, episode.score) == (at(0), 4.0)


def test_it_recovers_at_the_first_quiet_hour_and_is_active_again() -> None:
    [recovering] = followed(BURST, QUIET)
    assert (recovering.state, recovering.is_open, recovering.last_breach) == ("recovering", True, at(0))
    [active] = followed(BURST, QUIET, KEEPS)
    assert (active.state, active.last_breach, active.reopened) == ("active", at(2), ())


def test_it_is_resolved_at_the_end_of_the_sixth_quiet_hour() -> None:
    [still] = followed(BURST, *[QUIET] * 5)
    assert still.resolved_at is None
    [resolved] = followed(BURST, *[QUIET] * 6)
    assert (resolved.state, resolved.resolved_at) == ("resolved", at(7))
    [not_in_a_row] = followed(BURST, *[QUIET] * 5, KEEPS, *[QUIET] * 5)
    assert not_in_a_row.is_open


def test_uncovered_hours_neither_prolong_nor_end_it() -> None:
    [episode] = followed(BURST, *[QUIET, UNCOVERED, UNCOVERED] * 6)
    assert (episode.state, episode.resolved_at) == ("resolved", at(17))
    assert episode.breaches == (at(0),)
    [unseen] = followed(BURST, *[UNCOVERED] * 100)
    assert (unseen.state, unseen.last_breach) == ("active", at(0))


def test_it_expires_after_a_week_without_coverage() -> None:
    [open_still] = followed(BURST, QUIET, *[UNCOVERED] * 167)
    assert open_still.state == "recovering"
    [expired] = followed(BURST, QUIET, *[UNCOVERED] * 168)
    assert (expired.state, expired.resolved_at, expired.last_breach) == ("expired", at(170), at(0))


def test_coverage_after_a_week_does_not_revive_it() -> None:
    first, second = followed(BURST, *[UNCOVERED] * 168, BURST)
    assert (first.state, first.resolved_at) == ("expired", at(169))
    assert (second.onset, second.state) == (at(169), "active")
    [revived] = followed(BURST, *[UNCOVERED] * 167, KEEPS)
    assert (revived.state, revived.last_breach) == ("active", at(168))


@pytest.mark.parametrize(("quiet", "episodes"), [(6, 1), (30, 1), (31, 2)])
def test_within_a_day_of_its_end_it_opens_again(quiet: int, episodes: int) -> None:
    found = followed(BURST, *[QUIET] * quiet, HIGHER)
    assert len(found) == episodes
    assert found[-1].is_open
    if episodes == 1:
        assert (found[0].onset, found[0].reopened) == (at(0), (at(quiet + 1),))
        assert found[0].alerts == (at(0), at(quiet + 1))
        assert (found[0].peak, found[0].score) == (at(quiet + 1), 5.0)


def test_each_end_can_be_followed_by_another_wave() -> None:
    wave = [QUIET] * 25
    [episode] = followed(BURST, *wave, BURST, *wave, BURST, *[QUIET] * 6)
    assert (episode.reopened, episode.resolved_at) == ((at(26), at(52)), at(59))


def test_what_is_usual_is_what_was_usual_at_the_onset() -> None:
    values = np.array([*[5.0] * 80, 60.0, *[55.0] * 20])
    [scores] = score([values])
    [episode] = follow(Series(FIRST, values), scores, 0, "up")
    assert (episode.onset, episode.usual, episode.hours, episode.tier) == (
        at(80),
        pytest.approx(5, abs=0.01),
        80,
        "B",
    )


def test_a_drop_is_followed_like_a_rise() -> None:
    values = np.array([*[40.0] * 80, 3.0, 0.0, 2.0, *[40.0] * 7])
    [scores] = score([values])
    assert follow(Series(FIRST, values), scores, 0, "up") == []
    [episode] = follow(Series(FIRST, values), scores, 0, "down")
    assert (episode.direction, episode.onset, episode.state) == ("down", at(80), "resolved")
    assert (episode.peak, episode.peak_value, episode.resolved_at) == (at(81), 0.0, at(89))


def test_the_first_night_is_no_drop() -> None:
    values = np.array(([30.0] * 16 + [0.0] * 8) * 5)
    [scores] = score([values])
    assert follow(Series(FIRST, values), scores, 0, "down") == []


def test_a_lasting_change_of_level_is_one_episode() -> None:
    rng = np.random.default_rng(8)
    values = np.concatenate((rng.poisson(10, 200), rng.poisson(60, 200))).astype(np.float64)
    [scores] = score([values])
    episodes = [e for e in follow(Series(FIRST, values), scores, 0, "up") if e.onset >= at(200)]
    assert [episode.onset for episode in episodes] == [at(200)]
    assert episodes[0].state == "resolved"


# Against a follower that keeps rows, goes hour by hour and knows nothing of later hours.


@dataclass
class Row:
    onset: int
    state: str = "active"
    resolved: int | None = None
    last_breach: int = 0
    quiet: int = 0
    last_covered: int = 0
    breaches: list[int] = field(default_factory=list)
    reopened: list[int] = field(default_factory=list)


class HourByHour:
    """What is recorded after each hour."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.values: list[float] = []

    def live_through(self, value: float, scored: float) -> None:
        hour = len(self.values)
        last = self.rows[-1] if self.rows else None
        if last is not None and last.resolved is None and not np.isnan(scored):
            last.last_covered = hour
            if scored >= 1.3:
                last.state, last.quiet, last.last_breach = "active", 0, hour
                last.breaches.append(hour)
            else:
                last.state, last.quiet = "recovering", last.quiet + 1
                if last.quiet == 6:
                    last.state, last.resolved = "resolved", hour + 1
        elif scored >= 2.2 and all(not value <= before for before in self.values[-24:]):
            if last is not None and last.state == "resolved" and hour - (last.resolved or 0) <= 24:
                last.reopened.append(hour)
            else:
                last = Row(hour)
                self.rows.append(last)
            last.state, last.quiet, last.resolved = "active", 0, None
            last.last_breach = last.last_covered = hour
            last.breaches.append(hour)
        if last is not None and last.resolved is None and hour - last.last_covered >= 168:
            last.state, last.resolved = "expired", hour + 1
        self.values.append(value)

    def recorded(self) -> list[tuple[object, ...]]:
        return [
            (
                at(row.onset),
                row.state,
                None if row.resolved is None else at(row.resolved),
                at(row.last_breach),
                tuple(map(at, row.breaches)),
                tuple(map(at, row.reopened)),
            )
            for row in self.rows
        ]


def recorded(episodes: list[Episode]) -> list[tuple[object, ...]]:
    return [(e.onset, e.state, e.resolved_at, e.last_breach, e.breaches, e.reopened) for e in episodes]


def runs(pieces: list[tuple[float, float, int]]) -> tuple[Floats, list[float]]:
    hours = [(value, scored) for value, scored, length in pieces for _ in range(length)]
    values = np.array([np.nan if np.isnan(scored) else value for value, scored in hours])
    return values, [scored for _, scored in hours]


COVERED = st.tuples(
    st.integers(0, 9).map(float), st.sampled_from([0.0, 1.29, 1.3, 2.19, 2.2, 6.0]), st.integers(1, 8)
)
GAP = st.tuples(st.just(0.0), st.just(np.nan), st.sampled_from([1, 2, 20, 166, 167, 168, 169, 200]))
HISTORIES = st.lists(st.one_of(COVERED, COVERED, COVERED, GAP), max_size=25).map(runs)


@settings(max_examples=60)
@given(HISTORIES, st.sampled_from(["up", "down"]))
def test_at_every_hour_the_episodes_are_those_of_an_hourly_follower(
    history: tuple[Floats, list[float]], direction: Direction
) -> None:
    values, scored = history
    follower = HourByHour()
    for hour, (value, one) in enumerate(zip(values, scored, strict=True), 1):
        follower.live_through(value, one)
        signed = values[:hour] if direction == "up" else -values[:hour]
        series = Series(FIRST, signed)
        assert recorded(follow(series, scores_of(scored[:hour]), 0, direction)) == follower.recorded()


@settings(max_examples=40)
@given(SERIES, st.sampled_from(["up", "down"]), st.integers(1, 60))
def test_following_a_prefix_gives_the_episodes_of_that_hour(
    values: Floats, direction: Direction, step: int
) -> None:
    """Rows are only added, never lost; keys never change, ends only by opening again within a day."""
    [scores] = score([values])
    before: list[Episode] = []
    for hours in range(0, len(values) + 1, step):
        prefix = Scores(
            scores.up[:hours],
            scores.down[:hours],
            scores.usual[:hours],
            scores.hours[:hours],
            scores.tier[:hours],
        )
        now = follow(Series(FIRST, values[:hours]), prefix, 0, direction)
        assert [e.onset for e in now][: len(before)] == [e.onset for e in before]
        for old, new in zip(before, now, strict=False):
            assert (old.usual, old.hours, old.tier) == (new.usual, new.hours, new.tier)
            assert new.breaches[: len(old.breaches)] == old.breaches
            assert new.reopened[: len(old.reopened)] == old.reopened
            assert new.score >= old.score
            if old.resolved_at is not None and new.resolved_at != old.resolved_at:
                assert old.state == "resolved"
                assert new.reopened[len(old.reopened)] <= old.resolved_at + 24 * HOUR
        assert all(not e.is_open for e in now[:-1])
        assert all(e.onset >= (b.resolved_at or e.onset + HOUR) for b, e in pairwise(now))
        before = now


@given(SERIES, st.sampled_from(["up", "down"]), st.integers(0, 420))
def test_following_from_later_on_gives_the_later_episodes(
    values: Floats, direction: Direction, begin: int
) -> None:
    """From an hour at which none is open nor could open again, as the next update does."""
    begin = min(begin, len(values))
    [scores] = score([values])
    whole = follow(Series(FIRST, values), scores, 0, direction)
    earlier = [e for e in whole if e.onset < at(begin)]
    if any(e.resolved_at is None or e.resolved_at + 24 * HOUR >= at(begin) for e in earlier):
        return
    [later] = score([values], [begin])
    assert follow(Series(FIRST, values), later, begin, direction) == whole[len(earlier) :]


@given(SERIES, st.sampled_from(["up", "down"]))
def test_an_episode_is_consistent_in_itself(values: Floats, direction: Direction) -> None:
    [scores] = score([values])
    for episode in follow(Series(FIRST, values), scores, 0, direction):
        hours = [(hour - FIRST) // HOUR for hour in episode.breaches]
        up_or_down = scores.up if direction == "up" else scores.down
        assert hours == sorted(set(hours))
        assert (episode.breaches[0], episode.breaches[-1]) == (episode.onset, episode.last_breach)
        assert not np.isnan(values[hours]).any()
        assert (up_or_down[hours] >= 1.3).all()
        assert set(episode.alerts) <= set(episode.breaches)
        assert episode.score == up_or_down[hours].max()
        furthest = values[hours].max() if direction == "up" else values[hours].min()
        assert episode.peak_value == values[(episode.peak - FIRST) // HOUR] == furthest
        assert (episode.state in {"active", "recovering"}) == episode.is_open
        assert episode.resolved_at is None or episode.resolved_at >= episode.last_breach + 7 * HOUR


@given(SERIES)
def test_a_higher_threshold_opens_no_more_onsets(values: Floats) -> None:
    [scores] = score([values])
    lower, higher = (onsets(values, scores.up, "up", open_score=threshold) for threshold in (2.2, 3.0))
    assert not (higher & ~lower).any()
