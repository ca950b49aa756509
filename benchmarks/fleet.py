"""How new entities are judged: `python -m benchmarks.fleet [--entities 20000] [--json]`, and `--speed`.

Simulated entities with n hours of history and one hour to judge: counts are negative binomial, the means of the
entities lognormal around 40 (sd-log 1.3), their dispersions 1 + lognormal around 4. Figures are shares of the
entities, in percent, of which the hour would open an event. Beside it the original's rule on the same draws: more
than two standard deviations off the mean, the judged hour among those.

`--speed`: a million hours of history scored and followed at once, and the newest hour of each of 1,000 entities,
beside one call of numpy's quantile per hour (on a sample, its seconds are extrapolated).
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.graph import peak_memory
from temporal_pipeline.defs.events.finding.detection import QUANTILES, WINDOW_HOURS, Floats, score
from temporal_pipeline.defs.events.finding.lifecycle import OPEN_SCORE, Series, follow, onsets

HISTORIES = (3, 4, 6, 8, 12, 30, 100)
SEED = 20260105
MEAN, SD_LOG = 40.0, 1.3
DISPERSION, DISPERSION_SD_LOG = 4.0, 0.5
ORIGINAL_Z = 2.0
BURSTS = (3, 5, 10)
EARLIER_BURST = 8
# A new level is found if one of its first hours opens an event.
SHIFT, SHIFT_HOURS = 3, 6
# Slow: no spike, and no event of this kind.
DOUBLING_HOURS = 72
SPEED_HOURS = 1_000_000
SPEED_SERIES = 100
NEWEST_ENTITIES = 1_000
SAMPLE = 2_000

Judge = Callable[[Floats, Floats], NDArray[np.bool_]]


class Fleet:
    """Entities with their mean and dispersion; every draw of shape (entities, hours) is a new one."""

    def __init__(self, entities: int, seed: int = SEED) -> None:
        self.random = np.random.default_rng(seed)
        self.mean = np.exp(np.log(MEAN) + SD_LOG * self.random.standard_normal(entities))
        spread = np.exp(np.log(DISPERSION) + DISPERSION_SD_LOG * self.random.standard_normal(entities))
        self.dispersion = 1 + spread

    def draw(self, hours: int, factors: float | Floats = 1.0) -> Floats:
        """Counts around `factors`, one or one per hour, times the means."""
        means = self.mean[:, None] * np.broadcast_to(factors, (hours,))
        shape = means / (self.dispersion[:, None] - 1)
        counts: Floats = self.random.negative_binomial(shape, 1 / self.dispersion[:, None]).astype(np.float64)
        return counts


@click.command()
@click.option(
    "--entities", type=click.IntRange(1), default=20_000, show_default=True, help="How many to simulate."
)
@click.option("--speed", is_flag=True, help="Measure how long scoring takes instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(entities: int, speed: bool, as_json: bool) -> None:
    """Judge a simulated fleet of new entities."""
    figures = measure_speed(SPEED_HOURS) if speed else simulate(entities)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    elif speed:
        show_speed(figures)
    else:
        show(figures)


def ours(history: Floats, hours: Floats) -> NDArray[np.bool_]:
    """Which of `hours`, shape (entities, k), would open an event."""
    before = history.shape[1]
    values = np.concatenate((history, hours), axis=1)
    scores = score(list(values), [before] * len(values))
    unscored = np.full(before, np.nan)
    return np.array(
        [
            onsets(one, np.concatenate((unscored, scored.up)), "up")[before:]
            for one, scored in zip(values, scores, strict=True)
        ]
    )


def ours_without_onset_rule(history: Floats, hours: Floats) -> NDArray[np.bool_]:
    """The same by its score alone, whatever the 24 hours before were."""
    values = np.concatenate((history, hours), axis=1)
    scores = score(list(values), [history.shape[1]] * len(values))
    return np.array([scored.up >= OPEN_SCORE for scored in scores])


def z_score(history: Floats, hours: Floats) -> NDArray[np.bool_]:
    """The original's rule: the judged hour is among those it is compared with."""
    values = np.concatenate((history, hours), axis=1)
    found = []
    for end in range(history.shape[1] + 1, values.shape[1] + 1):
        so_far = values[:, :end]
        spread = so_far.std(axis=1, ddof=1)
        found.append(np.abs(so_far[:, -1] - so_far.mean(axis=1)) > ORIGINAL_Z * spread)
    return np.stack(found, axis=1)


def simulate(entities: int) -> dict[str, Any]:
    """One object per method, ours first: per length of history the shares in percent."""
    figures: dict[str, Any] = {"ours": {}, "z_score": {}}
    for n in HISTORIES:
        fleet = Fleet(entities)
        history, calm = fleet.draw(n), fleet.draw(1)
        bursts = {factor: fleet.draw(1, factor) for factor in BURSTS}
        masked = history.copy()
        masked[:, n // 2] = fleet.draw(1, EARLIER_BURST)[:, 0]
        shifted = fleet.draw(SHIFT_HOURS, SHIFT)
        drifting = fleet.draw(n + 1, 2 ** (np.arange(-n, 1) / DOUBLING_HOURS))
        for method, judge, judge_masked in (
            ("ours", ours, ours_without_onset_rule),
            ("z_score", z_score, z_score),
        ):
            figures[method][str(n)] = {
                "false_alarms": share(judge(history, calm)),
                **{f"power_x{factor}": share(judge(history, hour)) for factor, hour in bursts.items()},
                "power_x5_after_x8": share(judge_masked(masked, bursts[5])),
                "power_x5_after_x8_as_onset": share(judge(masked, bursts[5])),
                "shift_x3_within_6h": share(np.any(judge(history, shifted), axis=1)),
                "false_in_drift": share(judge(drifting[:, :n], drifting[:, n:])),
            }
    return figures


def share(found: Any) -> float:
    """In percent."""
    return round(100 * float(found.mean()), 1)


def measure_speed(hours: int) -> dict[str, Any]:
    """Seconds and memory of a long history, and of the newest hour of many entities."""
    memory_before = peak_memory()
    each = hours // SPEED_SERIES
    history = list(Fleet(SPEED_SERIES).draw(each))
    first = datetime(2026, 1, 1, tzinfo=UTC)
    started = time.perf_counter()
    scores = score(history)
    scored = time.perf_counter()
    episodes = [
        episode
        for values, one in zip(history, scores, strict=True)
        for episode in follow(Series(first, values), one, 0, "up")
    ]
    followed = time.perf_counter()
    memory = peak_memory()
    newest = list(Fleet(NEWEST_ENTITIES).draw(WINDOW_HOURS))
    begun = time.perf_counter()
    for values, one in zip(newest, score(newest, [WINDOW_HOURS - 1] * len(newest)), strict=True):
        follow(Series(first, values), one, WINDOW_HOURS - 1, "up")
    newest_seconds = time.perf_counter() - begun
    return {
        "full_history": {
            "hours": each * SPEED_SERIES,
            "entities": SPEED_SERIES,
            "scoring_seconds": round(scored - started, 2),
            "following_seconds": round(followed - scored, 2),
            "episodes": len(episodes),
            "peak_memory_mb": memory,
            "memory_before_mb": memory_before,
            "one_quantile_call_per_hour_seconds": round(hour_by_hour(history[0]) * hours, 1),
        },
        "newest": {"entities": NEWEST_ENTITIES, "hours": WINDOW_HOURS, "seconds": round(newest_seconds, 3)},
    }


def hour_by_hour(values: Floats) -> float:
    """Seconds per hour of the straightforward way, quantiles only."""
    sample = range(WINDOW_HOURS, min(WINDOW_HOURS + SAMPLE, len(values)))
    started = time.perf_counter()
    for hour in sample:
        np.quantile(values[hour - WINDOW_HOURS : hour], QUANTILES)
    return (time.perf_counter() - started) / max(len(sample), 1)


def show(figures: dict[str, Any]) -> None:
    """As one table per method, rows are lengths of history."""
    console = Console()
    for method, by_history in figures.items():
        table = Table(
            "hours", "false", "×3", "×5", "×10", "masked", "as onset", "shift", "drift",
            title=f"{method.replace('_', ' ')}: % of the entities",
        )  # fmt: skip
        for n, row in by_history.items():
            table.add_row(n, *(f"{value:g}" for value in row.values()))
        console.print(table)


def show_speed(figures: dict[str, Any]) -> None:
    """As two sentences."""
    full, newest = figures["full_history"], figures["newest"]
    console = Console()
    console.print(
        f"{full['hours']:,} hours of {full['entities']} entities: scored in {full['scoring_seconds']} s, followed in"
        f" {full['following_seconds']} s ({full['episodes']:,} episodes), peak memory {full['peak_memory_mb']} MB"
        f" ({full['memory_before_mb']} MB before); one call of numpy.quantile per hour would take"
        f" {full['one_quantile_call_per_hour_seconds']} s"
    )
    console.print(
        f"the newest hour of {newest['entities']:,} entities with {newest['hours']} hours: {newest['seconds']} s"
    )


if __name__ == "__main__":
    main()
