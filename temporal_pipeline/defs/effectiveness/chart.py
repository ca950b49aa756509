"""The scores of the best queries against time."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporal_pipeline.charts import new_figure
from temporal_pipeline.defs.effectiveness.ranking import RankedQuery

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 2
PANEL_INCHES = (4.6, 2.4)
# More lines than these cannot be told apart.
LINES = 5
LONGEST_LABEL = 28


def draw(panels: Sequence[tuple[str, Sequence[RankedQuery]]]) -> "Figure":
    """One small chart per entity (title, queries, best first): a line per query, the present interval at its end."""
    columns = min(COLUMNS, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    figure = new_figure(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows)
    for position, (title, queries) in enumerate(panels, start=1):
        _draw_panel(figure.add_subplot(rows, columns, position), title, queries[:LINES])
    return figure


def _draw_panel(axes: "Axes", title: str, queries: Sequence[RankedQuery]) -> None:
    # Not at import: matplotlib then looks through the machine's fonts and writes a cache.
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num  # noqa: PLC0415

    for query in queries:
        if not query.course:
            continue
        standing = query.judgement.standing
        times = [float(date2num(time)) for time, _ in query.course]
        label = _plain(f"{query.query[:LONGEST_LABEL]} ({query.platform})")
        (line,) = axes.plot(
            times, [score for _, score in query.course], marker="o", markersize=3, label=label
        )
        axes.vlines(times[-1], standing.lower, standing.upper, colors=line.get_color(), alpha=0.4)
    axes.set_ylim(0, 1)
    axes.set_title(_plain(title), fontsize=9, loc="left")
    axes.set_ylabel("score", fontsize=7)
    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_fontsize(7)
    axes.tick_params(labelsize=7)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=6, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _plain(text: str) -> str:
    """A dollar sign would begin a formula, an underscore hide a line from the legend."""
    return text.replace("$", r"\$").lstrip("_")
