"""Periods: what was known of an entity, stretch by stretch."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.query.asking import Cursors, Question, moment, number
from temporal_pipeline.query.models import Notice, PeriodItem, Timelines
from temporal_pipeline.query.pages import age_in_words, always_shown, chosen, page, to_choose_from
from temporal_pipeline.query.session import (
    Situation,
    general_notices,
    history_notices,
    notice,
    queries,
)

ALWAYS = always_shown(PeriodItem)
FIELDS = to_choose_from(PeriodItem)
DEFAULT_FIELDS = ("content_count", "summary_short", "metrics")
# Below it the narrative of a period says so too.
WHOLE_COVERAGE = 0.95
# Rates over less say more about the crawler than about the world.
SHORTEST = timedelta(minutes=1)
# No count comes near it; of what lies beyond, differences and percentages may be more than a number can be.
TOO_LARGE = 1e100


def timeline(
    connection: Connection, there: Situation, asked: Question, cursor: str | None, include_superseded: bool
) -> Timelines:
    """Periods that overlap the window, the newest first. Raises Refusal for a cursor of another question."""
    cursors = Cursors(
        ("timeline", there.entity.entity_id, asked.since, asked.until, asked.as_of, include_superseded),
        (number, moment, uuid.UUID),
    )
    after_number, after_time, after_id = cursors.read(cursor) or (None, None, None)
    rows = connection.execute(
        queries["periods"],
        there.key
        | asked.window
        | {
            "fields": sorted(asked.fields),
            "include_superseded": include_superseded,
            "after_number": after_number,
            "after_time": after_time,
            "after_id": after_id,
            "limit": asked.limit + 1,
        },
    ).all()
    general = [*general_notices(there, asked), *history_notices(connection, there, asked)]
    return page(
        Timelines,
        "query_period_timeline",
        there,
        asked,
        rows=rows,
        make=lambda row: period_item(row, there, asked),
        place=lambda row: (row.period_number, row.recorded_at, row.period_id),
        cursors=cursors,
        warnings=lambda items: [*general, *_notices(items)],
    )


def period_item(row: Row[Any], there: Situation, asked: Question) -> PeriodItem:
    """A period as a value."""
    values = dict(row._mapping)
    straddles = (asked.since is not None and row.period_start < asked.since) or (
        asked.until is not None and row.period_end > asked.until
    )
    values["partial"] = straddles or is_incomplete(row)
    values["age"] = age_in_words(row.period_end, there.now)
    if "metrics_delta" in asked.fields:
        values["metrics_delta"] = metrics_delta(row.own_metrics, row.previous_metrics)
    return PeriodItem(**chosen(asked, ALWAYS, values))


def is_incomplete(period: Any) -> bool:
    """Whether crawls missed a part of it, or it is too short to be compared."""
    gap = period.coverage is not None and period.coverage < WHOLE_COVERAGE
    return bool(gap or period.period_end - period.period_start < SHORTEST)


def _notices(items: Sequence[PeriodItem]) -> list[Notice]:
    gaps = [
        item.period_number for item in items if item.coverage is not None and item.coverage < WHOLE_COVERAGE
    ]
    partial = [item.period_number for item in items if item.partial and item.period_number not in gaps]
    notices = []
    if gaps:
        notices.append(
            notice("crawl_gap", "crawls missed a part of these periods: no posts there is no silence", *gaps)
        )
    if partial:
        notices.append(
            notice(
                "partial_period",
                "these periods reach beyond the asked time, or last less than a minute; figures are of all of each",
                *partial,
            )
        )
    return notices


def numbers_in(metrics: Any) -> dict[str, float]:
    """Those metrics that are numbers of a sensible size, or strings of such; what is nested under `platforms` as
    `platforms.x`. Anything else is no metric.
    """
    if not isinstance(metrics, dict):
        return {}
    flat = dict(metrics)
    platforms = flat.pop("platforms", None)
    if isinstance(platforms, dict):
        flat |= {f"platforms.{name}": value for name, value in platforms.items()}
    found = {name: _number(value) for name, value in flat.items()}
    return {name: value for name, value in found.items() if value is not None}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    if not abs(read) < TOO_LARGE:
        return None
    return int(read) if read.is_integer() else read


def percentage(before: float, after: float) -> float | None:
    """The change in per cent of what was before; nothing before, no percentage."""
    return round(100 * (after - before) / abs(before), 2) if before else None


def metrics_delta(metrics: Any, previous: Any) -> dict[str, Any]:
    """Differences to the period before, rounded to six digits, and percentages under `pct`."""
    now, before = numbers_in(metrics), numbers_in(previous)
    shared = [name for name in now if name in before]
    delta: dict[str, Any] = {name: round(now[name] - before[name], 6) for name in shared}
    changes = {name: percentage(before[name], now[name]) for name in shared}
    known = {name: change for name, change in changes.items() if change is not None}
    return delta | ({"pct": known} if known else {})
