"""From scores to episodes: opened at once, followed while it lasts, ended when it is quiet, opened again if it was not.

active -> recovering at the first quiet hour -> resolved after six; a new onset within a day of that opens the
same episode again. Hours that no crawl covered neither prolong nor end an episode; after a week without
coverage it expires. Nothing later than an hour decides what is said of it, so following a long history at once
finds the same episodes as following it hour by hour.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from temporal_pipeline.crawls.coverage import HOUR
from temporal_pipeline.defs.events.finding.detection import Floats, Scores
from temporal_pipeline.defs.events.finding.findings import State

Direction = Literal["up", "down"]

# One in 160 hours by chance. Of 1.8, 2.0, 2.2, 2.4 and 2.7 it is chosen whichever of five series is left out
# (docs/events.md).
OPEN_SCORE = 2.2
# One in 20: an episode goes on through hours that would not have opened it.
KEEP_SCORE = 1.3
QUIET_HOURS = 6
# A wave that sleeps at night and wakes up the next day is still the same.
REOPEN_HOURS = 24
# An onset is above everything of a day, so that an evening after an evening is none.
ONSET_HOURS = 24
EXPIRY_HOURS = 7 * 24


@dataclass(frozen=True)
class Series:
    """One value per hour from `first_hour` on, shape (n,); NaN where the hour must not be judged."""

    first_hour: datetime
    values: Floats

    def hour(self, position: int) -> datetime:
        """When the hour at `position` begins."""
        return self.first_hour + position * HOUR


@dataclass(frozen=True)
class Episode:
    """Times are the begins of hours, except `resolved_at`, the end of the last quiet hour that was needed.

    `usual`, `hours` (how many it was compared with) and `tier` are those of the onset, since later hours may be
    compared with the episode itself. `score` is the highest. `breaches` are the hours whose score opens or
    keeps it; `reopened` those that opened it again.
    """

    direction: Direction
    onset: datetime
    last_breach: datetime
    state: State
    resolved_at: datetime | None
    peak: datetime
    peak_value: float
    score: float
    usual: float
    hours: int
    tier: str
    breaches: tuple[datetime, ...]
    reopened: tuple[datetime, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it still goes on as far as is known."""
        return self.resolved_at is None

    @property
    def alerts(self) -> tuple[datetime, ...]:
        """The hours at whose end somebody should have been told."""
        return (self.onset, *self.reopened)


def onsets(
    values: Floats, scores: Floats, direction: Direction, *, open_score: float = OPEN_SCORE
) -> NDArray[np.bool_]:
    """Which hours would open an episode: a score that opens and a value beyond all of the 24 hours before.

    All arrays are of shape (n,); hours without a value are looked past.
    """
    signed = values if direction == "up" else -values
    padded = np.concatenate((np.full(ONSET_HOURS, -np.inf), np.where(np.isnan(signed), -np.inf, signed)[:-1]))
    before = np.lib.stride_tricks.sliding_window_view(padded, ONSET_HOURS).max(axis=1)
    with np.errstate(invalid="ignore"):
        found: NDArray[np.bool_] = (scores >= open_score) & (signed > before)
    return found


def follow(
    series: Series,
    scores: Scores,
    begin: int,
    direction: Direction,
    *,
    open_score: float = OPEN_SCORE,
    keep_score: float = KEEP_SCORE,
) -> list[Episode]:
    """The episodes that begin at position `begin` of `series` or later, oldest first.

    `scores` are those of the hours from `begin` on. No episode may be open at `begin`, nor have been resolved
    less than a day before.
    """
    score = np.full(len(series.values), np.nan)
    score[begin:] = scores.up if direction == "up" else scores.down
    starts = np.flatnonzero(onsets(series.values, score, direction, open_score=open_score))
    judged = np.flatnonzero(~np.isnan(score))
    followed: list[_Followed] = []
    position = begin
    while (next_start := int(np.searchsorted(starts, position))) < len(starts):
        start = int(starts[next_start])
        if followed and followed[-1].may_reopen(start):
            followed[-1].reopened.append(start)
        else:
            followed.append(_Followed(start))
        position = followed[-1].run(judged[np.searchsorted(judged, start) :], score, keep_score)
    return [_episode(one, series, scores, begin, direction) for one in followed]


@dataclass
class _Followed:
    """An episode in positions while it is followed."""

    onset: int
    state: State = "active"
    breaches: list[int] = field(default_factory=list)
    reopened: list[int] = field(default_factory=list)
    resolved: int | None = None

    def may_reopen(self, start: int) -> bool:
        return (
            self.state == "resolved" and self.resolved is not None and start <= self.resolved + REOPEN_HOURS
        )

    def run(self, judged: NDArray[np.intp], score: Floats, keep_score: float) -> int:
        """Through the `judged` hours, of which the first opens it, to its end; returns where to look on."""
        self.resolved, quiet, latest = None, 0, int(judged[0])
        # Lazily: most episodes end within a day, however many years follow.
        for position in map(int, judged):
            if position - latest > EXPIRY_HOURS:
                break
            latest = position
            if score[position] >= keep_score:
                self.state, quiet = "active", 0
                self.breaches.append(position)
            else:
                self.state, quiet = "recovering", quiet + 1
            if quiet == QUIET_HOURS:
                self.state, self.resolved = "resolved", position + 1
                return self.resolved
        if len(score) - latest > EXPIRY_HOURS:
            self.state, self.resolved = "expired", latest + 1 + EXPIRY_HOURS
            return self.resolved
        return len(score)


def _episode(one: _Followed, series: Series, scores: Scores, begin: int, direction: Direction) -> Episode:
    breaches = np.array(one.breaches)
    upward = direction == "up"
    heights = series.values[breaches] * (1 if upward else -1)
    peak = int(breaches[np.argmax(heights)])
    return Episode(
        direction=direction,
        onset=series.hour(one.onset),
        last_breach=series.hour(one.breaches[-1]),
        state=one.state,
        resolved_at=None if one.resolved is None else series.hour(one.resolved),
        peak=series.hour(peak),
        peak_value=float(series.values[peak]),
        score=float((scores.up if upward else scores.down)[breaches - begin].max()),
        usual=float(scores.usual[one.onset - begin]),
        hours=int(scores.hours[one.onset - begin]),
        tier=str(scores.tier[one.onset - begin]),
        breaches=tuple(series.hour(position) for position in one.breaches),
        reopened=tuple(series.hour(position) for position in one.reopened),
    )
