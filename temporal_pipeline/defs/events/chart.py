"""The picture of an event: the hours around it, what was usual, and the episode."""

from datetime import timedelta

import dagster as dg
import numpy as np

from temporal_pipeline.charts import figure_to_markdown, new_figure
from temporal_pipeline.crawls.coverage import HOUR
from temporal_pipeline.defs.events.finding.series import VOLUME
from temporal_pipeline.defs.events.searching import Burst

BEFORE = timedelta(days=3)
AFTER = timedelta(days=1)


def burst_chart(burst: Burst) -> dg.MetadataValue:
    """The entity's posts per hour around a burst, with the baseline and the episode marked."""
    # Not at import: matplotlib then looks through the machine's fonts and writes a cache.
    from matplotlib.dates import ConciseDateFormatter, date2num  # noqa: PLC0415

    found, series = burst.finding, burst.watched.series[VOLUME.name]
    n, scored = len(series.values), len(burst.scores.usual)
    first = max((found.onset - BEFORE - series.first_hour) // HOUR, 0)
    last = min((found.last_breach + AFTER - series.first_hour) // HOUR, n)
    hours = date2num([series.hour(i) for i in range(first, last)])
    begin, end = date2num([found.onset, found.last_breach + HOUR])
    figure = new_figure()
    axes = figure.add_subplot()
    axes.axvspan(begin, end, color="tab:red", alpha=0.15, label=found.key.replace("_", " "))
    axes.step(hours, series.values[first:last], where="post", color="tab:blue", label="posts per hour")
    if found.metric == VOLUME.name:
        usual = np.concatenate((np.full(n - scored, np.nan), burst.scores.usual))
        axes.plot(hours, usual[first:last], color="tab:orange", label="usual")
    not_covered = np.isnan(series.values[first:last])
    if not_covered.any():
        axes.fill_between(
            hours,
            0,
            1,
            where=not_covered,
            step="post",
            transform=axes.get_xaxis_transform(),
            color="grey",
            alpha=0.2,
            label="not covered",
        )
    axes.xaxis_date()
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.set_ylim(bottom=0)
    # A name may contain dollars.
    axes.set_title(
        found.title if len(found.title) <= 90 else found.title[:89] + "…", parse_math=False, fontsize=9
    )
    axes.legend(loc="upper left", fontsize="small")
    return figure_to_markdown(figure, found.title)
