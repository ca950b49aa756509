"""What publication time a set of crawls covers, so that "no posts" is never confused with "no crawl"."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Interval = tuple[datetime, datetime]

# A crawl that comes late by half its interval still joins its predecessor; after a longer pause the posts
# in between may have sunk below what the platform returns.
REACH_IN_INTERVALS = 1.5
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Crawl:
    """One crawl of one owner; `ended` is None while it runs, `earliest_post` is the oldest it returned."""

    began: datetime
    ended: datetime | None
    earliest_post: datetime | None
    timeline: bool


def covered_intervals(
    crawls: Iterable[Crawl], interval: timedelta, *, after: datetime | None = None
) -> list[Interval]:
    """The publication times that the finished ones of `crawls` cover: disjoint, not adjacent, sorted.

    With `after`, only what those that began later cover; earlier ones then only say where those begin.

    A crawl covers the time up to its own begin, back to the begin of the owner's previous crawl, at most 1.5
    times the schedule's `interval`. The first one, and timelines, reach back to the earliest post that they
    returned, and at least as far as any other crawl.
    """
    finished = sorted((c for c in crawls if c.ended is not None), key=lambda c: c.began)
    reach = interval * REACH_IN_INTERVALS
    covered: list[Interval] = []
    previous: datetime | None = None
    for position, crawl in enumerate(finished):
        if position and finished[position - 1].began < crawl.began:
            previous = finished[position - 1].began
        start = crawl.began - reach if previous is None else max(previous, crawl.began - reach)
        if crawl.earliest_post is not None and (previous is None or crawl.timeline):
            start = min(start, crawl.earliest_post)
        if after is None or crawl.began > after:
            covered.append((start, crawl.began))
    return merged(covered)


def closed_until(crawls: Iterable[Crawl]) -> datetime | None:
    """The time up to which nothing new is expected: the latest begin of a crawl that is over.

    A bucket of time is closed once a crawl that began after its end is over; None: no bucket is.
    """
    return max((c.began for c in crawls if c.ended is not None), default=None)


def covered_share(intervals: Sequence[Interval], start: datetime, end: datetime) -> float:
    """The share in [0, 1] of the time from `start` to `end` that lies in `intervals` (as merged above).

    Raises ValueError when `end` is not after `start`.
    """
    if end <= start:
        raise ValueError(f"the time from {start} to {end} is empty")
    covered = sum((max(min(b, end) - max(a, start), timedelta()) for a, b in intervals), timedelta())
    return covered / (end - start)


def hourly_mask(
    intervals: Sequence[Interval], first_hour: datetime, n: int, closed: datetime | None
) -> NDArray[np.bool_]:
    """For `n` buckets of one hour from `first_hour` on: which are wholly covered and closed. Shape (n,)."""
    mask = np.zeros(n, dtype=np.bool_)
    if closed is None:
        return mask
    for start, end in intervals:
        first = max(-((first_hour - start) // HOUR), 0)
        last = (min(end, closed) - first_hour) // HOUR
        mask[first : max(last, first)] = True
    return mask


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time as disjoint, sorted intervals that do not touch; empty ones are left out."""
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
