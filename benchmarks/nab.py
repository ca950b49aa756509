"""The score of the Numenta Anomaly Benchmark (Lavin and Ahmad, 2015), standard profile, for detections as times.

100 is a detector that is right at the begin of every window and never elsewhere, 0 one that never says anything.
A detection in a window earns more the earlier it comes, only the best one counts; each one outside costs up to .11,
less just behind a window. Detections are placed at the first reading at or after their time; the first 15 % of a
series, at most 750 readings, is for learning and not scored.

Beside it what people ask: how many of the windows were hit, and how many of the episodes (detections within six
hours of each other) were true.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Window = tuple[datetime, datetime]

TRUE_POSITIVE = 1.0
FALSE_POSITIVE = 0.11
FALSE_NEGATIVE = 1.0
LEARNING_SHARE = 0.15
MOST_LEARNING = 750
SAME_EPISODE = timedelta(hours=6)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Tally:
    """What one series adds to the whole: `points` are those of the rule, over all its windows and detections."""

    points: float
    windows: int
    hit: int
    episodes: int
    true_episodes: int
    weeks: float


def value_of_position(position: float) -> float:
    """From 1 well before the end of a window through 0 at its end down to -1 well behind it (in widths)."""
    return -1.0 if position > 3 else float(2 / (1 + np.exp(5 * position)) - 1)


# What a detection at the begin of a window is worth.
BEST = value_of_position(-1)


def tally(readings: Sequence[datetime], windows: Sequence[Window], detections: Sequence[datetime]) -> Tally:
    """Judge the detections in one series; `readings` are the times of its values, ascending."""
    learning = min(int(LEARNING_SHARE * len(readings)), MOST_LEARNING)
    places = np.unique([bisect_left(readings, time) for time in detections]).astype(np.intp)
    places = places[(places >= learning) & (places < len(readings))]
    spans = [(bisect_left(readings, begin), bisect_right(readings, end) - 1) for begin, end in windows]
    inside = np.zeros(len(places), dtype=np.bool_)
    points, hit = 0.0, 0
    for first, last in spans:
        within = (places >= first) & (places <= last)
        inside |= within
        if within.any():
            hit += 1
            earliest = int(places[within][0])
            points += TRUE_POSITIVE * value_of_position((earliest - last - 1) / (last - first + 1)) / BEST
        else:
            points -= FALSE_NEGATIVE
    points += sum(_outside(int(place), spans) for place in places[~inside])
    groups = _episodes(readings, places)
    return Tally(
        points=points,
        windows=len(spans),
        hit=hit,
        episodes=len(groups),
        true_episodes=sum(bool(inside[group].any()) for group in groups),
        weeks=(readings[-1] - readings[learning]) / WEEK,
    )


def _outside(place: int, spans: Sequence[tuple[int, int]]) -> float:
    """What a detection in no window costs: all of it, unless one ended shortly before."""
    before = [(first, last) for first, last in spans if last < place]
    if not before:
        return -FALSE_POSITIVE
    first, last = max(before, key=lambda span: span[1])
    return FALSE_POSITIVE * value_of_position((place - last) / (last - first) if last > first else np.inf)


def _episodes(readings: Sequence[datetime], places: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Positions in `places`, grouped."""
    if not len(places):
        return []
    pauses = [
        i for i in range(1, len(places)) if readings[places[i]] - readings[places[i - 1]] > SAME_EPISODE
    ]
    return np.split(np.arange(len(places)), pauses)


def summary(tallies: Sequence[Tally]) -> dict[str, float]:
    """The score of a detector over many series, with precision, recall and F1 of its episodes."""
    windows = sum(one.windows for one in tallies)
    hit = sum(one.hit for one in tallies)
    episodes = sum(one.episodes for one in tallies)
    true = sum(one.true_episodes for one in tallies)
    silence = -FALSE_NEGATIVE * windows
    points = sum(one.points for one in tallies)
    precision = true / episodes if episodes else 0.0
    recall = hit / windows if windows else 0.0
    both = precision + recall
    weeks = sum(one.weeks for one in tallies)
    return {
        "nab": round(100 * (points - silence) / (TRUE_POSITIVE * windows - silence), 1) if windows else 0.0,
        "f1": round(2 * precision * recall / both, 2) if both else 0.0,
        "precision": round(precision, 2),
        "recall": round(recall, 2),
        "false_per_week": round((episodes - true) / weeks, 2) if weeks else 0.0,
        "windows": windows,
        "hit": hit,
        "episodes": episodes,
    }


def score(
    readings: Mapping[str, Sequence[datetime]],
    windows: Mapping[str, Sequence[Window]],
    detections: Mapping[str, Sequence[datetime]],
) -> dict[str, float]:
    """The summary of a detector on the series named in `windows`."""
    return summary([tally(readings[name], windows[name], detections.get(name, ())) for name in windows])
