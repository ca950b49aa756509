"""The trend chart: posts per hour of the busiest entities, period by period, and when something happened."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from temporal_pipeline.charts import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 2
PANEL_INCHES = (4.6, 1.9)
BAR_COLOUR = "#7a9cc6"
SEVERITY_COLOURS = {"critical": "#c0392b", "warning": "#e08e0b", "info": "#4a4a4a"}


@dataclass(frozen=True)
class Rate:
    """Posts per hour over a period."""

    start: datetime
    end: datetime
    posts_per_hour: float


@dataclass(frozen=True)
class Happening:
    """An event: when it was first detected, how severe it is, whether it goes on."""

    at: datetime
    severity: str
    is_open: bool


@dataclass(frozen=True)
class Panel:
    """One entity's periods, oldest first, and its events. At least one period."""

    title: str
    rates: Sequence[Rate]
    happenings: Sequence[Happening]


def draw(panels: Sequence[Panel]) -> "Figure":
    """One small chart per panel with a scale of its own. A bar spans its period, so that its area is the
    number of posts; a triangle marks an event, filled while it goes on.
    """
    columns = min(COLUMNS, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    figure = new_figure(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows)
    for position, panel in enumerate(panels, start=1):
        _draw_panel(figure.add_subplot(rows, columns, position), panel)
    return figure


def _draw_panel(axes: "Axes", panel: Panel) -> None:
    # Not at import: matplotlib then looks through the machine's fonts and writes a cache.
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num  # noqa: PLC0415

    starts = [float(date2num(rate.start)) for rate in panel.rates]
    ends = [float(date2num(rate.end)) for rate in panel.rates]
    highest = max(rate.posts_per_hour for rate in panel.rates)
    axes.bar(
        starts,
        [rate.posts_per_hour for rate in panel.rates],
        width=[end - start for start, end in zip(starts, ends, strict=True)],
        align="edge",
        color=BAR_COLOUR,
        # A period that is short on this scale must still be seen.
        edgecolor=BAR_COLOUR,
        linewidth=0.8,
    )
    for happening in panel.happenings:
        colour = SEVERITY_COLOURS.get(happening.severity, SEVERITY_COLOURS["info"])
        axes.plot(
            [date2num(happening.at)],
            [highest * 1.12 or 1.0],
            marker="v",
            markersize=6,
            color=colour,
            markerfacecolor=colour if happening.is_open else "none",
        )
    margin = (ends[-1] - starts[0]) * 0.02
    axes.set_xlim(starts[0] - margin, ends[-1] + margin)
    axes.set_ylim(0, highest * 1.25 or 1.0)
    # A dollar sign would begin a formula.
    axes.set_title(panel.title.replace("$", r"\$"), fontsize=9, loc="left")
    axes.set_ylabel("posts/hour", fontsize=7)
    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_fontsize(7)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
