"""How unusual each hour of a series is: the tail probability of its value, given the hours before it.

Two tiers by how much history there is, on one scale, -log10 of the probability of such a value:

A, less than three days: a model of counts. Square roots stabilise their variance (Anscombe, 1948), the spread
is shrunk towards a constant, the largest hour is left out so that one burst does not hide the next, and what
few hours cannot tell is in the tails of Student's t.

B, afterwards: peaks over threshold (Pickands, 1975) on the trailing fortnight. Above a high quantile u the
excess of a series is about exponential with the mean excess m that was seen there; bursts and nights are part
of an entity's life and so of its quantiles. Averaged over three quantiles, since each alone is a matter of luck.

The scored hour is never part of what it is compared with, and nothing later is looked at: scoring hour by hour
is the same as scoring at once.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Two weeks: every hour of the week is in it twice, and a change of level is usual after some days.
WINDOW_HOURS = 336
# With fewer hours before it none is judged.
LEAST_HOURS = 4
# Who was not followed for a day yet was not seen asleep: the first night would be an event of everybody.
LEAST_HOURS_FOR_DROPS = 24
# The quantiles of .95 and .98 rest on less than four hours and on one before that, and three days show what a
# night is. False alarms in the fleet simulation with 24, 30, 48, 72 hours: 2.4, 1.9, 1.4, 1.3 % in tier B, 1.0 to
# 1.2 % in tier A.
TIER_B_HOURS = 72
# A day and a quarter: long enough to see the night, short enough to follow a slow change.
TIER_A_HOURS = 30
# Simulated with 20,000 new entities: 3 gives 2 to 4 % false alarms; 8 finds 5 to 10 % fewer bursts.
PRIOR_DISPERSION = 5.0
PRIOR_HOURS = 4.0
ANSCOMBE = 3 / 8
QUANTILES = (0.90, 0.95, 0.98)
# "At least y" begins half a post lower (Yates, 1934). Without it every second post of a quiet topic is an event:
# false alarms per week at one post in ten hours .64, with it .45.
HALF_A_POST = 0.5
# Rates are logarithms: a third more is what they differ by from hour to hour.
RATE_EXCESS = 0.3
# One in 10^300 is where numbers end; and "certain" is as good.
HIGHEST_SCORE = 300.0
# The part of the window that is called usual; above it are the bursts.
USUAL_SHARE = 0.9
# 8,192 windows are 22 MB.
WINDOWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Scores:
    """Per scored hour, all of shape (n,).

    `up` and `down`: -log10 of the probability of a value at least as high, and as low; NaN where the hour was
    not judged (drops not before a day is known). `usual`: the mean of the hours compared with, without their
    highest. `hours`: how many those are. `tier`: "A", "B", or "" where the hour was not judged.
    """

    up: Floats
    down: Floats
    usual: Floats
    hours: NDArray[np.int64]
    tier: NDArray[np.str_]


def score(
    series: Sequence[Floats], begins: Sequence[int] | None = None, *, counts: bool = True
) -> list[Scores]:
    """Score the hours of many series, each of shape (n,) with NaN where an hour must not be looked at.

    Only hours from `begins` on (default 0) are scored; those before are history. Rates (not `counts`) may be
    negative, and are judged in tier B alone. Memory is bounded: 22 MB and the results.
    """
    begins = [0] * len(series) if begins is None else begins
    lengths = [len(one) - begin for one, begin in zip(series, begins, strict=True)]
    scores = _unjudged(sum(lengths))
    if not series:
        return []
    # All of them in a row, each behind a window's length of nothing.
    nothing = np.full(WINDOW_HOURS, np.nan)
    flat = np.concatenate([part for one in series for part in (nothing, np.asarray(one, dtype=np.float64))])
    starts = np.cumsum([0] + [WINDOW_HOURS + len(one) for one in series[:-1]]) + WINDOW_HOURS
    positions = np.concatenate(
        [start + np.arange(begin, len(one)) for start, begin, one in zip(starts, begins, series, strict=True)]
    )
    judged = np.flatnonzero(~np.isnan(flat[positions]))
    windows = np.lib.stride_tricks.sliding_window_view(flat, WINDOW_HOURS)
    for rows in _chunks(judged, WINDOWS_AT_ONCE):
        before = windows[positions[rows] - WINDOW_HOURS]
        _score_rows(scores, rows, flat[positions[rows]], before, counts)
    edges = np.cumsum([0, *lengths])
    return [
        Scores(*(getattr(scores, name)[a:b] for name in ("up", "down", "usual", "hours", "tier")))
        for a, b in pairwise(edges.tolist())
    ]


def least_alarming(before: Floats, floor: int, ceiling: int, threshold: float) -> int:
    """The least count above `floor` and up to `ceiling` whose upward score reaches `threshold`.

    `before`, shape (k,), is the history with NaN as in `score`; `ceiling` is known to reach it.
    """
    low, high = floor + 1, ceiling
    while low < high:
        middle = (low + high) // 2
        [one] = score([np.append(before, float(middle))], [len(before)])
        if one.up[0] >= threshold:
            high = middle
        else:
            low = middle + 1
    return low


def _unjudged(n: int) -> Scores:
    nan = np.full(n, np.nan)
    return Scores(nan, nan.copy(), nan.copy(), np.zeros(n, dtype=np.int64), np.full(n, "", dtype="U1"))


def _score_rows(scores: Scores, rows: NDArray[np.intp], values: Floats, before: Floats, counts: bool) -> None:
    known = np.count_nonzero(~np.isnan(before), axis=1)
    few = (known >= LEAST_HOURS) & (known < TIER_B_HOURS) & counts
    if few.any():
        _tier_a(scores, rows[few], values[few], before[few])
    many = known >= TIER_B_HOURS
    if many.any():
        _tier_b(scores, rows[many], values[many], before[many], counts=counts)


def _tier_a(scores: Scores, rows: NDArray[np.intp], y: Floats, before: Floats) -> None:
    """With m the mean of the last k ≤ 30 known hours without their largest, plus half a post in all:
    z = 2(√(y + 3/8) - √(m + 3/8)) / √(φ(1 + 1/k)), where φ is their dispersion shrunk towards 5.
    """
    # A stable sort by "is missing" moves the known hours to the end in their order.
    order = np.argsort(~np.isnan(before), axis=1, kind="stable")
    last = np.take_along_axis(before, order[:, -TIER_A_HOURS:], axis=1)
    sorted_last = np.sort(last, axis=1)
    k = np.count_nonzero(~np.isnan(sorted_last), axis=1) - 1
    kept = np.where(np.arange(TIER_A_HOURS) < k[:, None], sorted_last, 0.0)
    total = np.cumsum(kept, axis=1)[:, -1]
    squares = np.cumsum(kept * kept, axis=1)[:, -1]
    m = (total + 0.5) / k
    deviations = np.maximum(squares - 2 * m * total + k * m * m, 0)
    dispersion = (PRIOR_HOURS * PRIOR_DISPERSION + deviations / m) / (PRIOR_HOURS + k - 1)
    z = 2 * (np.sqrt(y + ANSCOMBE) - np.sqrt(m + ANSCOMBE)) / np.sqrt(dispersion * (1 + 1 / k))
    normal = _student_to_normal(z, PRIOR_HOURS + k - 1)
    scores.up[rows] = _minus_log10_of_tail(normal)
    scores.down[rows] = np.where(k + 1 >= LEAST_HOURS_FOR_DROPS, _minus_log10_of_tail(-normal), np.nan)
    scores.usual[rows], scores.hours[rows], scores.tier[rows] = m, k, "A"


def _tier_b(scores: Scores, rows: NDArray[np.intp], y: Floats, before: Floats, *, counts: bool) -> None:
    """-log10(1 - q) + (y - u)/(m ln 10), averaged over q; downwards the same on the mirrored values."""
    known = np.count_nonzero(~np.isnan(before), axis=1)
    ascending = np.sort(before, axis=1)
    # The sum of the k lowest at k; missing hours are sorted behind all others.
    sums = np.concatenate((np.zeros((len(y), 1)), np.cumsum(ascending, axis=1)), axis=1)
    scores.up[rows] = _beyond_threshold(y, ascending, sums, upward=True, counts=counts)
    scores.down[rows] = _beyond_threshold(y, ascending, sums, upward=False, counts=counts)
    usual = (known * USUAL_SHARE).astype(np.intp)
    # Half a post in all, as in tier A, so that there is a ratio to it.
    scores.usual[rows] = (sums[np.arange(len(y)), usual] + (0.5 if counts else 0.0)) / usual
    scores.hours[rows], scores.tier[rows] = known, "B"


def _beyond_threshold(y: Floats, ascending: Floats, sums: Floats, *, upward: bool, counts: bool) -> Floats:
    row, sign = np.arange(len(y)), 1 if upward else -1
    known = np.count_nonzero(~np.isnan(ascending), axis=1)
    as_far = np.count_nonzero(ascending >= y[:, None] if upward else ascending <= y[:, None], axis=1)
    # Where many hours are alike a quantile is no rare value, however high it is called.
    at_most = -np.log10(np.minimum((as_far + 0.5) / (known + 1), 1.0))
    height = sign * y
    score = np.zeros(len(y))
    for q in QUANTILES:
        position = q * (known - 1)
        below = np.floor(position).astype(np.intp)
        above = known - 1 - below
        if upward:
            near, further = below, np.minimum(below + 1, known - 1)
            sum_above = sums[row, known] - sums[row, below + 1]
        else:
            near, further = above, np.maximum(above - 1, 0)
            sum_above = -sums[row, above]
        lower, upper = sign * ascending[row, near], sign * ascending[row, further]
        u = lower + (position - below) * (upper - lower)
        # One hour more, a standard deviation of Poisson's beyond u: else where all are alike nothing could exceed
        # them by chance.
        chance = np.sqrt(np.abs(u) + 1) if counts else np.full(len(y), RATE_EXCESS)
        mean_excess = (sum_above - above * u + chance) / (above + 1)
        excess = height - u - (HALF_A_POST if counts else 0.0)
        tail = -math.log10(1 - q) + excess / (mean_excess * math.log(10))
        score += np.where(height > u, tail, np.minimum(tail, at_most))
    return np.clip(score / len(QUANTILES), 0.0, HIGHEST_SCORE)


def _student_to_normal(t: Floats, degrees: NDArray[np.float64]) -> Floats:
    """The normal deviate with the tail probability of Student's `t` (Wallace, 1959: right to about 0.02)."""
    normal: Floats = np.sign(t) * np.sqrt(degrees * np.log1p(t * t / degrees))
    return normal * (8 * degrees + 1) / (8 * degrees + 3)


def _minus_log10_of_tail(normal: Floats) -> Floats:
    tails = np.fromiter((math.erfc(z / math.sqrt(2)) / 2 for z in normal.tolist()), np.float64, len(normal))
    score: Floats = np.clip(-np.log10(np.maximum(tails, 10**-HIGHEST_SCORE)), 0.0, HIGHEST_SCORE)
    return score


def _chunks(rows: NDArray[np.intp], size: int) -> Iterator[NDArray[np.intp]]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]
