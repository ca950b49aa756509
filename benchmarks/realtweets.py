"""How well are labelled events found? `python -m benchmarks.realtweets --data DIR [--json]`.

DIR has one CSV file per series (columns timestamp, value: posts per five minutes) and a windows.json with the
labelled windows of each. Counts are summed to hours; what is judged are the ends of the hours at which an episode
opens or opens again, each known from the hours up to then only. Beside it in the same run: the original's rule (a
z-score over all history with the hour itself in it), a z-score over the trailing fortnight, and silence.

Left one out: the two scores that open and keep an episode are chosen on all other series, then judged on this one.
"""

import csv
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.nab import Tally, Window, summary, tally
from temporal_pipeline.defs.events.finding.detection import WINDOW_HOURS, Floats, Scores, score
from temporal_pipeline.defs.events.finding.lifecycle import (
    KEEP_SCORE,
    OPEN_SCORE,
    Episode,
    Series,
    follow,
)

HOUR = timedelta(hours=1)
# From one in 63 hours to one in 500, and from one in 10 to one in 40.
GRID = tuple(product((1.8, 2.0, 2.2, 2.4, 2.7), (1.0, 1.3, 1.6)))
# The original's; a usual choice where each hour is tested.
ORIGINAL_Z, ROLLING_Z = 2.0, 3.0
ROLLING_LEAST = 24


@dataclass(frozen=True)
class Labelled:
    """A series with the times of its readings and its labelled windows."""

    name: str
    readings: Sequence[datetime]
    windows: Sequence[Window]
    hourly: Series

    @cached_property
    def scores(self) -> Scores:
        """Ours, of every hour."""
        return score([self.hourly.values])[0]

    def episodes(self, open_score: float = OPEN_SCORE, keep_score: float = KEEP_SCORE) -> list[Episode]:
        """Upward episodes of volume, as the product follows them."""
        return follow(self.hourly, self.scores, 0, "up", open_score=open_score, keep_score=keep_score)

    def ends(self, hours: Sequence[datetime]) -> list[datetime]:
        """When hours that begin at those times were over."""
        return [hour + HOUR for hour in hours]

    def tally(self, detections: Sequence[datetime]) -> Tally:
        """Judge detections in it."""
        return tally(self.readings, self.windows, detections)


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(data: Path, as_json: bool) -> None:
    """Judge our detector and three others on labelled series."""
    figures = judge(load(data))
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        show(figures)


def load(data: Path) -> list[Labelled]:
    """The series of a folder that have labels."""
    labels = json.loads((data / "windows.json").read_text(encoding="utf-8"))
    return [
        labelled(name, read(data / f"{name}.csv"), [(time_of(a), time_of(b)) for a, b in windows])
        for name, windows in labels.items()
    ]


def read(file: Path) -> list[tuple[datetime, float]]:
    """The readings of a series, oldest first."""
    if not file.is_file():
        raise click.BadParameter(
            f"windows.json names a series that has no file {file.name}", param_hint="--data"
        )
    with file.open(encoding="utf-8", newline="") as rows:
        return sorted((time_of(row["timestamp"]), float(row["value"])) for row in csv.DictReader(rows))


def time_of(text: str) -> datetime:
    """A time as these files write it, with or without fractions; all are UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=None)


def labelled(name: str, readings: Sequence[tuple[datetime, float]], windows: Sequence[Window]) -> Labelled:
    """Readings summed to hours: a first that is not whole and those without any were not covered, and a last that
    is not whole was not over.
    """
    if not readings:
        raise click.BadParameter(f"{name} has no readings", param_hint="--data")
    times = [time for time, _ in readings]
    first_hour = times[0].replace(minute=0, second=0, microsecond=0)
    n = (times[-1] - first_hour) // HOUR
    counts, covered = np.zeros(n), np.zeros(n, dtype=np.bool_)
    for time, value in readings:
        hour = (time - first_hour) // HOUR
        if hour < n:
            counts[hour] += value
            covered[hour] = True
    if n and len(times) > 1 and times[0] - first_hour >= times[1] - times[0]:
        covered[0] = False
    return Labelled(name, times, windows, Series(first_hour, np.where(covered, counts, np.nan)))


def judge(series: Sequence[Labelled]) -> dict[str, Any]:
    """One object per method, ours first."""
    ours = {one.name: one.episodes() for one in series}

    def summed(detect: Callable[[Labelled], Sequence[datetime]]) -> dict[str, Any]:
        return summary([one.tally(one.ends(detect(one))) for one in series])

    def alerts(one: Labelled) -> list[datetime]:
        return [hour for episode in ours[one.name] for hour in episode.alerts]

    return {
        "ours": {
            **summed(alerts),
            "lifecycle": lifecycle(series, ours),
            "series": {one.name: summary([one.tally(one.ends(alerts(one)))]) for one in series},
            "left_one_out": left_one_out(series) if len(series) > 1 else None,
        },
        "z_over_all_history": summed(lambda one: hours_of(one, z_over_all_history(one.hourly.values))),
        "rolling_z": summed(lambda one: hours_of(one, rolling_z(one.hourly.values))),
        "silence": summed(lambda one: []),
    }


def lifecycle(series: Sequence[Labelled], found: Mapping[str, Sequence[Episode]]) -> dict[str, Any]:
    """Rows per window that was hit, how often one was opened again, and how long they lasted."""
    per_window = []
    for one in series:
        for begin, end in one.windows:
            within = [e for e in found[one.name] if any(begin <= hour + HOUR <= end for hour in e.alerts)]
            if within:
                per_window.append(len(within))
    episodes = [episode for episodes in found.values() for episode in episodes]
    hours = [(episode.last_breach - episode.onset) / HOUR + 1 for episode in episodes]
    return {
        "rows": len(episodes),
        "rows_per_hit_window": round(statistics.mean(per_window), 2) if per_window else 0.0,
        "reopened": sum(len(episode.reopened) for episode in episodes),
        "median_hours": statistics.median(hours) if hours else 0.0,
        "longest_hours": max(hours, default=0.0),
    }


def left_one_out(series: Sequence[Labelled]) -> dict[str, Any]:
    """Ours with the scores chosen on the other series, and what was chosen for each."""
    tallies = {
        (one.name, chosen): one.tally(one.ends([hour for e in one.episodes(*chosen) for hour in e.alerts]))
        for one in series
        for chosen in GRID
    }
    chosen = {
        left.name: max(
            GRID,
            key=lambda scores: summary([tallies[one.name, scores] for one in series if one is not left])[
                "nab"
            ],
        )
        for left in series
    }
    return {
        **summary([tallies[one.name, chosen[one.name]] for one in series]),
        "chosen": {
            name: {"open": open_score, "keep": keep_score}
            for name, (open_score, keep_score) in chosen.items()
        },
    }


def hours_of(one: Labelled, found: Sequence[int]) -> list[datetime]:
    """The begins of hours at positions."""
    return [one.hourly.hour(position) for position in found]


def z_over_all_history(values: Floats) -> list[int]:
    """Hours more than two standard deviations off the mean of all hours so far, they themselves among them."""
    found = []
    for hour in range(2, len(values)):
        so_far = values[: hour + 1][~np.isnan(values[: hour + 1])]
        if len(so_far) > 1 and abs(values[hour] - so_far.mean()) > ORIGINAL_Z * so_far.std(ddof=1):
            found.append(hour)
    return found


def rolling_z(values: Floats) -> list[int]:
    """Hours more than three standard deviations above the mean of the fortnight before."""
    found = []
    for hour in range(ROLLING_LEAST, len(values)):
        before = values[max(hour - WINDOW_HOURS, 0) : hour]
        before = before[~np.isnan(before)]
        if len(before) >= ROLLING_LEAST and values[hour] > before.mean() + ROLLING_Z * before.std(ddof=1):
            found.append(hour)
    return found


def show(figures: dict[str, Any]) -> None:
    """As tables: the methods, ours per series, and the rest in sentences."""
    console = Console()
    left_out = figures["ours"]["left_one_out"]
    methods = {"ours": figures["ours"], **({"left one out": left_out} if left_out else {}), **figures}
    for title, rows in (("method", methods), ("ours", figures["ours"]["series"])):
        table = Table(title, "NAB", "F1", "precision", "recall", "false/week", "hit")
        for name, row in rows.items():
            table.add_row(
                name.replace("_", " "),
                *(f"{row[column]:g}" for column in ("nab", "f1", "precision", "recall", "false_per_week")),
                f"{row['hit']}/{row['windows']}",
            )
        console.print(table)
    if left_out:
        chosen = (f"{name} {one['open']}/{one['keep']}" for name, one in left_out["chosen"].items())
        console.print(f"opening and keeping scores chosen without: {', '.join(chosen)}")
    of = figures["ours"]["lifecycle"]
    console.print(
        f"{of['rows']} events, {of['rows_per_hit_window']} per window hit, opened again {of['reopened']} times, "
        f"median duration {of['median_hours']:g} h, longest {of['longest_hours']:g} h"
    )


if __name__ == "__main__":
    main()
