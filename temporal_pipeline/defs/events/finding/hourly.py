"""Episodes of the hourly metrics as findings: figures, severity and sentences."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from temporal_pipeline.crawls.coverage import HOUR
from temporal_pipeline.defs.events.finding.detection import WINDOW_HOURS, least_alarming
from temporal_pipeline.defs.events.finding.findings import Finding, Severity
from temporal_pipeline.defs.events.finding.lifecycle import (
    EXPIRY_HOURS,
    ONSET_HOURS,
    OPEN_SCORE,
    QUIET_HOURS,
    Episode,
    Series,
)
from temporal_pipeline.defs.events.finding.series import VOLUME, Metric, natural

TITLE_LENGTH = 256
NAME_LENGTH = 100
TERMS_IN_TITLE = 3
# Judged by posts beyond the usual as well, since in a quiet topic a handful is many times the usual.
CRITICAL_RATIO = 3.0
CRITICAL_EXCESS = 20.0
WARNING_EXCESS = 5.0
# One in a thousand hours.
STRONG_SCORE = 3.0

Terms = Sequence[tuple[str, int]]


def finding(name: str, metric: Metric, episode: Episode, series: Series, known_at: datetime) -> Finding:
    """What an episode in a `series` of the entity called `name` is, in figures and words."""
    figures = _figures(metric, episode, series)
    return Finding(
        key=f"{metric.name}_{episode.direction}",
        event_type=metric.event_type,
        metric=metric.name,
        direction=episode.direction,
        onset=episode.onset,
        last_breach=episode.last_breach,
        known_at=known_at,
        state=episode.state,
        resolved_at=episode.resolved_at,
        resolution_note=_resolution_note(metric, episode, figures),
        severity=_severity(metric, episode, figures),
        title=_cut(f"{short_name(name)}: {_headline(metric, episode, figures)}"),
        description=_description(metric, episode, figures),
        figures=figures,
        excess=_excess(metric, episode, series, figures["baseline"]),
        cites_posts_before=episode.direction == "down",
    )


def with_terms(one: Finding, terms: Terms) -> Finding:
    """The finding with the words that are on the rise in its posts, in its title and description."""
    if not terms:
        return one
    named = ", ".join(f"{term} ({n:,} posts)" for term, n in terms)
    return replace(
        one,
        title=_cut(f"{one.title} ({', '.join(term for term, _ in terms[:TERMS_IN_TITLE])})"),
        description=f"{one.description} More frequent than in the days before: {named}.",
        figures={**one.figures, "terms": [term for term, _ in terms]},
    )


def _figures(metric: Metric, episode: Episode, series: Series) -> dict[str, Any]:
    usual, peak = natural(metric, episode.usual), natural(metric, episode.peak_value)
    figures: dict[str, Any] = {
        "peak": {"hour": episode.peak.isoformat(), "value": round(peak, 3)},
        "score": round(episode.score, 3),
        "baseline": round(usual, 4),
        "n": episode.hours,
        "tier": episode.tier,
        "ratio": round(peak / usual, 2) if usual > 0 else None,
        "excess": round(peak - usual, 2),
        "breach_hours": len(episode.breaches),
        "reopened_count": len(episode.reopened),
        "reopened": [hour.isoformat() for hour in episode.reopened],
    }
    if metric is VOLUME and episode.direction == "up":
        position = (episode.onset - series.first_hour) // HOUR
        before = series.values[max(position - WINDOW_HOURS, 0) : position]
        day = before[-ONSET_HOURS:]
        floor = -1 if np.isnan(day).all() else int(np.nanmax(day))
        posts = int(series.values[position])
        figures["threshold_count"] = least_alarming(before, floor, posts, OPEN_SCORE)
    return figures


def _excess(metric: Metric, episode: Episode, series: Series, usual: float) -> dict[datetime, float]:
    if episode.direction == "down":
        return {}
    values = [
        natural(metric, float(series.values[(hour - series.first_hour) // HOUR])) for hour in episode.breaches
    ]
    return {hour: value - usual for hour, value in zip(episode.breaches, values, strict=True)}


def _severity(metric: Metric, episode: Episode, figures: dict[str, Any]) -> Severity:
    """By score and by size: a drop is never more than a warning, and rates have no size of their own."""
    excess, ratio = abs(figures["excess"]), figures["ratio"] or 0
    if metric is VOLUME and episode.direction == "up":
        if episode.score >= STRONG_SCORE and ratio >= CRITICAL_RATIO and excess >= CRITICAL_EXCESS:
            return "critical"
        return "warning" if excess >= WARNING_EXCESS else "info"
    if episode.direction == "down":
        return "warning"
    return "warning" if episode.score >= STRONG_SCORE else "info"


_UNITS = {
    "volume": "posts per hour",
    "engagement": "reactions per post",
    "controversy": "replies per like or repost",
}


def _headline(metric: Metric, episode: Episode, figures: dict[str, Any]) -> str:
    peak, usual = figures["peak"]["value"], figures["baseline"]
    when = f"{episode.peak:%Y-%m-%d %H:%M} UTC"
    if metric is VOLUME and episode.direction == "up":
        return f"{peak:,.0f} posts at {when}, {_times_usual(figures)}"
    if metric is VOLUME:
        said = "no posts" if peak == 0 else f"only {peak:,.0f} posts"
        return f"{said} at {when}, where {number(usual)} per hour are usual"
    few = "only " if episode.direction == "down" else ""
    return f"{few}{number(peak)} {_UNITS[metric.name]} at {when}, where {number(usual)} are usual"


def _times_usual(figures: dict[str, Any]) -> str:
    usual = figures["baseline"]
    if usual >= 1:
        return f"{figures['ratio']:.1f}× the usual {number(usual)} per hour"
    if usual * 24 >= 1:
        return f"where {number(usual * 24)} a day are usual"
    return "where hardly any are usual"


def _description(metric: Metric, episode: Episode, figures: dict[str, Any]) -> str:
    hours = len(episode.breaches)
    if hours == 1:
        first = f"One hour stands out: {episode.onset:%Y-%m-%d %H:%M} UTC."
    else:
        first = (
            f"{hours} hours stand out between {episode.onset:%Y-%m-%d %H:%M} and "
            f"{episode.last_breach + HOUR:%Y-%m-%d %H:%M} UTC; the furthest from the usual begins at "
            f"{episode.peak:%Y-%m-%d %H:%M}, with {number(figures['peak']['value'])} {_UNITS[metric.name]}."
        )
    sentences = [
        first,
        f"{number(figures['baseline'])} {_UNITS[metric.name]} were usual in the {episode.hours} covered hours "
        f"compared with; chance alone goes that far in one of {10 ** min(episode.score, 9):,.0f} hours "
        f"(score {episode.score:.1f}, an event begins at {OPEN_SCORE}).",
    ]
    if episode.reopened:
        times = ", ".join(f"{hour:%Y-%m-%d %H:%M}" for hour in episode.reopened)
        sentences.append(f"It flared up again at {times}.")
    return " ".join(sentences)


def _resolution_note(metric: Metric, episode: Episode, figures: dict[str, Any]) -> str | None:
    if episode.resolved_at is None:
        return None
    peak = (
        f"peak {episode.peak:%Y-%m-%d %H:%M} UTC"
        if episode.direction == "up"
        else f"low {episode.peak:%Y-%m-%d %H:%M} UTC"
    )
    usual = f"the usual {number(figures['baseline'])} {_UNITS[metric.name]}"
    size = (
        f"{figures['ratio']:.1f}× {usual}"
        if figures["ratio"]
        else f"{number(figures['peak']['value'])} against {usual}"
    )
    if episode.state == "expired":
        missing = "not covered by any crawl" if metric is VOLUME else "too few posts to judge"
        return f"{missing} for {EXPIRY_HOURS // 24} days; {peak}, {size}"
    return f"quiet for {QUIET_HOURS} h; {peak}, {size}"


def short_name(name: str) -> str:
    """An entity's name as titles have room for it."""
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"


def _cut(line: str) -> str:
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"


def number(value: float) -> str:
    """A figure as people say it: no more digits than mean something."""
    if value == 0 or abs(value) >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 0.1 else f"{value:.2f}"
