"""Lasting changes of level: trends over periods, which no single hour shows.

Direction by the test of Mann (1945) and Kendall (1975) with the correction for ties, size by the slope of Theil
(1950) and Sen (1968): neither is moved by a single burst.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from temporal_pipeline.defs.events.finding.findings import Finding
from temporal_pipeline.defs.events.finding.hourly import number, short_name

MOST_PERIODS = 30
LEAST_PERIODS = 6
# One in ten by chance in each direction: a trend that is known goes on.
LEAST_Z = 1.28
# One in a hundred: a trend opens. Opened at 1.28, noise alone gives 3 to 4.5 per 100 periods, at 2.33 0.5; a level
# that doubles over twelve periods is seen after ten of them instead of seven.
OPENING_Z = 2.33
LEAST_CHANGE = 0.2
# A line that begins at nothing is computed to begin a little beside it.
ROUNDING = 1e-9
# A trend that pauses for one period is still the same.
PERIODS_WITHOUT = 2
UNITS = {"volume": "posts per hour", "engagement": "reactions per post"}

Direction = Literal["up", "down"]
DIRECTIONS: tuple[Direction, ...] = ("up", "down")


@dataclass(frozen=True)
class PeriodValue:
    """A metric in one period; `value` is None where it has none (no posts, or too short for a rate)."""

    number: int
    end: datetime
    known_at: datetime
    value: float | None


@dataclass(frozen=True)
class Trend:
    """`slope` per day, `change` of the fitted line from its begin to its end as a share of the begin."""

    direction: Direction
    z: float
    slope: float
    change: float
    periods: int
    begin: float
    end: float


def mann_kendall(values: NDArray[np.float64]) -> float:
    """The standardised sum of signs of all pairs of `values`, shape (n,), later against earlier."""
    n = len(values)
    signs = np.sign(values[None, :] - values[:, None])
    s = float(np.triu(signs, 1).sum())
    _, ties = np.unique(values, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    return 0.0 if variance <= 0 or s == 0 else (s - np.sign(s)) / float(np.sqrt(variance))


def theil_sen(days: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """The median slope per day of all pairs of points, and the intercept through the medians."""
    later, earlier = np.triu_indices(len(values), 1)[::-1]
    apart = days[later] - days[earlier]
    slopes = (values[later] - values[earlier])[apart > 0] / apart[apart > 0]
    slope = float(np.median(slopes)) if len(slopes) else 0.0
    return slope, float(np.median(values - slope * days))


def trend(periods: Sequence[PeriodValue]) -> Trend | None:
    """The trend over those of the last 30 of `periods` that have a value; None where there is none."""
    usable = [(one.end, one.value) for one in periods[-MOST_PERIODS:] if one.value is not None]
    if len(usable) < LEAST_PERIODS:
        return None
    days = np.array([(end - usable[0][0]).total_seconds() / 86400 for end, _ in usable])
    values = np.array([value for _, value in usable], dtype=np.float64)
    z = mann_kendall(values)
    slope, intercept = theil_sen(days, values)
    begin, end = max(intercept, 0.0), max(intercept + slope * days[-1], 0.0)
    larger = max(begin, end)
    # From nothing is a change by the whole.
    change = (end - begin) / begin if begin > ROUNDING * larger else float(np.sign(end - begin))
    if abs(z) < LEAST_Z or abs(change) < LEAST_CHANGE or z * slope <= 0:
        return None
    return Trend("up" if z > 0 else "down", z, slope, change, len(usable), begin, end)


def trend_key(metric: str, direction: Direction) -> str:
    """The key of a metric's rise or fall."""
    return f"{metric}_trend_{direction}"


def follow_trends(
    name: str, metric: str, direction: Direction, periods: Sequence[PeriodValue], begin: int
) -> list[Finding]:
    """The rises or falls of a metric from position `begin` of `periods` on, oldest first, none being open then.

    One opens at the end of the first period that shows it and is resolved at the second in a row that does not.
    Periods without a value are looked past. What of `periods` lies more than 29 before `begin` does not matter.
    """
    found: list[Finding] = []
    opened: int | None = None
    latest, without, strongest = 0, 0, None
    for position in range(begin, len(periods)):
        if periods[position].value is None:
            continue
        now = trend(periods[max(position + 1 - MOST_PERIODS, 0) : position + 1])
        if now is not None and now.direction == direction:
            if opened is None and abs(now.z) < OPENING_Z:
                continue
            opened = position if opened is None else opened
            latest, without = position, 0
            if strongest is None or abs(now.change) >= abs(strongest.change):
                strongest = now
        elif opened is not None:
            without += 1
        if without == PERIODS_WITHOUT and opened is not None and strongest is not None:
            found.append(_finding(name, metric, strongest, periods, (opened, latest, position)))
            opened, without, strongest = None, 0, None
    if opened is not None and strongest is not None:
        found.append(_finding(name, metric, strongest, periods, (opened, latest, None)))
    return found


def _finding(
    name: str,
    metric: str,
    strongest: Trend,
    periods: Sequence[PeriodValue],
    where: tuple[int, int, int | None],
) -> Finding:
    opened, latest, ended = where
    onset, unit = periods[opened], UNITS[metric]
    word = "rising" if strongest.direction == "up" else "falling"
    sizes = (
        f"from {number(strongest.begin)} to {number(strongest.end)} {unit} over {strongest.periods} periods"
    )
    doubled = strongest.end >= 2 * strongest.begin or strongest.begin >= 2 * strongest.end
    return Finding(
        key=trend_key(metric, strongest.direction),
        event_type="trend_shift",
        metric=metric,
        direction=strongest.direction,
        onset=onset.end,
        last_breach=periods[latest].end,
        known_at=onset.known_at,
        state="active" if ended is None else "resolved",
        resolved_at=None if ended is None else periods[ended].end,
        resolution_note=None if ended is None else f"no trend any more in two periods; it went {sizes}",
        severity="warning" if doubled else "info",
        title=f"{short_name(name)}: {unit} keep {word}, {sizes}",
        description=(
            f"{unit.capitalize()} went {sizes}, {strongest.slope:+.3g} a day (median of the slopes of all pairs); "
            f"the order of the periods is that of a trend with z = {strongest.z:.1f} (Mann-Kendall)."
        ),
        figures={
            "period_number": onset.number,
            "z": round(strongest.z, 2),
            "slope_per_day": round(strongest.slope, 6),
            "change": round(strongest.change, 3),
            "periods": strongest.periods,
        },
    )
