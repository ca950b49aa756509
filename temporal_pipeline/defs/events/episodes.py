"""From alarms to episodes: one for alarms within a day of each other, over when it is quiet again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from temporal_pipeline.crawls.coverage import HOUR
from temporal_pipeline.defs.events.detection import Scores, Volume

# A wave that sleeps at night and wakes up the next day is still the same.
SAME_EPISODE = timedelta(hours=24)
QUIET_BUCKETS = 6


@dataclass(frozen=True)
class Episode:
    """A burst. Times are the begins of its buckets, `resolved_at` is the end of the sixth quiet one.

    `baseline` and `n_baseline` are those of the onset, since later ones may contain the burst itself;
    `threshold_count` is the number of posts in the onset's bucket that made it an alarm; `peak` is the alarm
    with most posts, `z` the highest of the alarms' scores, `posts` the number of posts in `alarms`.
    """

    onset: datetime
    last_alarm: datetime
    resolved_at: datetime | None
    alarms: tuple[datetime, ...]
    baseline: float
    n_baseline: int
    threshold_count: int
    peak: datetime
    peak_count: int
    z: float
    posts: int

    @property
    def ratio(self) -> float:
        """Posts at the peak per post that was usual at the onset."""
        return self.peak_count / self.baseline

    @property
    def excess(self) -> float:
        """Posts at the peak beyond the usual."""
        return self.peak_count - self.baseline


class Span(Protocol):
    """Anything that lasts from a first to a last alarm."""

    @property
    def onset(self) -> datetime: ...
    @property
    def last_alarm(self) -> datetime: ...


def episodes(volume: Volume, scores: Scores) -> list[Episode]:
    """The episodes in a series and its scores, oldest first.

    Alarms within 24 hours of the one before belong to its episode. It is resolved after six usable buckets
    without an alarm or, where a gap in the crawls hides those, when the next episode begins.
    """
    groups = list(_groups(np.flatnonzero(scores.alarm).tolist()))
    onsets = [volume.first_hour + group[0] * HOUR for group in groups]
    found = []
    for group, onset, following in zip(groups, onsets, [*onsets[1:], None], strict=False):
        first, peak = group[0], max(group, key=lambda i: (volume.counts[i], -i))
        last_alarm = volume.first_hour + group[-1] * HOUR
        ends = [time for time in (quiet_since(volume, scores, last_alarm), following) if time is not None]
        found.append(
            Episode(
                onset=onset,
                last_alarm=last_alarm,
                resolved_at=min(ends, default=None),
                alarms=tuple(volume.first_hour + i * HOUR for i in group),
                baseline=float(scores.baseline[first]),
                n_baseline=int(scores.n_baseline[first]),
                threshold_count=min(int(scores.limit[first]) + 1, int(volume.counts[first])),
                peak=volume.first_hour + peak * HOUR,
                peak_count=int(volume.counts[peak]),
                z=float(scores.z[group].max()),
                posts=int(volume.counts[group].sum()),
            )
        )
    return found


def quiet_since(volume: Volume, scores: Scores, alarm: datetime) -> datetime | None:
    """The end of the sixth usable bucket without an alarm after `alarm`; None while there are fewer."""
    after = max((alarm - volume.first_hour) // HOUR + 1, 0)
    quiet = np.flatnonzero(volume.usable[after:] & ~scores.alarm[after:])
    if len(quiet) < QUIET_BUCKETS:
        return None
    return volume.first_hour + (after + int(quiet[QUIET_BUCKETS - 1]) + 1) * HOUR


def pair(found: Sequence[Episode], known: Sequence[Span]) -> tuple[list[int | None], list[int]]:
    """Per episode the position of the known one that is the same, and the positions that are left over.

    The same are those that overlap or lie at most 24 hours apart; each known one is used once.
    """
    left = dict(enumerate(known))
    pairs: list[int | None] = []
    for episode in found:
        near = min(left, key=lambda i: (_apart(episode, left[i]), left[i].onset), default=None)
        if near is not None and _apart(episode, left[near]) > SAME_EPISODE:
            near = None
        if near is not None:
            del left[near]
        pairs.append(near)
    return pairs, list(left)


def _apart(one: Span, other: Span) -> timedelta:
    return max(other.onset - one.last_alarm, one.onset - other.last_alarm, timedelta())


def _groups(alarms: Sequence[int]) -> Iterator[list[int]]:
    group: list[int] = []
    for alarm in alarms:
        if group and (alarm - group[-1]) * HOUR > SAME_EPISODE:
            yield group
            group = []
        group.append(alarm)
    if group:
        yield group
