"""What hours do not show: a total that passes a round number, a gap in the crawls, a query that falls silent."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from temporal_pipeline.crawls.coverage import Interval
from temporal_pipeline.defs.events.finding.findings import Finding
from temporal_pipeline.defs.events.finding.hourly import number, short_name
from temporal_pipeline.defs.events.finding.lifecycle import EXPIRY_HOURS, OPEN_SCORE, REOPEN_HOURS

SMALLEST_MILESTONE = 100
EXPIRY = timedelta(hours=EXPIRY_HOURS)
SAME_GAP = timedelta(hours=REOPEN_HOURS)
LONG_GAP = timedelta(days=1)
# With fewer runs before it an empty one is no surprise.
LEAST_RUNS = 10
RUNS_COMPARED = 30
LEAST_EMPTY_RUNS = 2
CRAWL_GAP = "crawl_gap"
MILESTONE = "milestone_"
SILENT_QUERY = "query_silent:"
LONGEST_KEY = 120


@dataclass(frozen=True)
class PeriodTotal:
    """How many posts a period brought, and how many the entity had before it."""

    number: int
    end: datetime
    known_at: datetime
    posts: int
    before: int


@dataclass(frozen=True)
class Run:
    """A finished run of a search query."""

    began: datetime
    ended: datetime
    found: int


def milestones(name: str, periods: Sequence[PeriodTotal]) -> list[Finding]:
    """The highest power of ten, from 100 up, that the total passes in each of `periods`; Period 0 passes none."""
    found = []
    for period in periods:
        total = period.before + period.posts
        if period.number == 0 or total < SMALLEST_MILESTONE:
            continue
        passed = 10 ** (len(str(total)) - 1)
        if passed <= period.before:
            continue
        found.append(
            Finding(
                key=f"{MILESTONE}{passed}",
                event_type="milestone",
                metric="total",
                direction="up",
                onset=period.end,
                last_breach=period.end,
                known_at=period.known_at,
                state="resolved",
                resolved_at=period.end,
                resolution_note=f"{passed:,} posts reached",
                severity="info",
                title=f"{short_name(name)}: {passed:,} posts collected",
                description=(
                    f"Period {period.number} brought {period.posts:,} posts; with the {period.before:,} before it "
                    f"the total is {total:,}."
                ),
                figures={"total": total, "period_number": period.number},
            )
        )
    return found


def crawl_gaps(name: str, covered: Sequence[Interval], begin: datetime | None) -> list[Finding]:
    """Times between `covered` intervals (disjoint, sorted) that end after `begin`: no crawl covers them.

    Those are the pauses of more than 1.5 schedule intervals. Gaps less than a day apart are one finding, which is
    known when the coverage first goes on.
    """
    groups: list[list[Interval]] = []
    for (_, start), (end, _) in pairwise(covered):
        if groups and start - groups[-1][-1][1] < SAME_GAP:
            groups[-1].append((start, end))
        else:
            groups.append([(start, end)])
    return [_gap(name, group) for group in groups if begin is None or group[-1][1] > begin]


def _gap(name: str, gaps: Sequence[Interval]) -> Finding:
    missing = sum((end - start for start, end in gaps), timedelta())
    hours = missing.total_seconds() / 3600
    (onset, _), (latest, resumed) = gaps[0], gaps[-1]
    there = "there is one gap" if len(gaps) == 1 else f"there are {len(gaps)} gaps"
    return Finding(
        key=CRAWL_GAP,
        event_type="risk",
        metric="coverage",
        direction="down",
        onset=onset,
        last_breach=latest,
        known_at=gaps[0][1],
        state="resolved",
        resolved_at=resumed,
        resolution_note=f"crawled again from {resumed:%Y-%m-%d %H:%M} UTC on",
        severity="warning" if missing > LONG_GAP else "info",
        title=f"{short_name(name)}: {number(hours)} hours from {onset:%Y-%m-%d %H:%M} UTC on that no crawl covers",
        description=(
            f"Between {onset:%Y-%m-%d %H:%M} and {resumed:%Y-%m-%d %H:%M} UTC {there} of "
            f"{number(hours)} hours in all that no crawl covers: pauses of more than one and a half schedule "
            "intervals. Nothing is said of these hours."
        ),
        figures={"gaps": len(gaps), "hours": round(hours, 2)},
        cites_posts_before=True,
    )


def silent_queries(
    name: str, query: str, runs: Sequence[Run], begin: datetime | None, closed: datetime | None = None
) -> list[Finding]:
    """When a query suddenly returned nothing: so many empty runs in a row as chance would not bring.

    p = (empty + 0.5)/(n + 1) over the n ≤ 30 runs before the first empty one, at least ten; after c empty runs
    in a row the score is -c log10 p. Of `runs`, in the order of time, streaks whose last empty run began by
    `begin` are history; for a silence that is open then, `begin` must be its onset or earlier. A query that was
    not run for a week by `closed` is not asked any more: its silence expires.
    """
    found = []
    position = 0
    while position < len(runs):
        first = position
        while position < len(runs) and runs[position].found == 0:
            position += 1
        empty = runs[first:position]
        if empty and (begin is None or empty[-1].began > begin):
            one = _silence(
                name, query, runs[max(first - RUNS_COMPARED, 0) : first], empty, runs[position : position + 1]
            )
            if one is not None and one.is_open and closed is not None and closed - empty[-1].ended >= EXPIRY:
                one = replace(
                    one,
                    state="expired",
                    resolved_at=empty[-1].ended + EXPIRY,
                    resolution_note=f"not run for {EXPIRY.days} days",
                )
            found += [] if one is None else [one]
        position += 1
    return found


def _silence(
    name: str, query: str, before: Sequence[Run], empty: Sequence[Run], after: Sequence[Run]
) -> Finding | None:
    if len(before) < LEAST_RUNS or not any(run.found for run in before):
        return None
    p = (sum(run.found == 0 for run in before) + 0.5) / (len(before) + 1)
    needed = max(math.ceil(OPEN_SCORE / -math.log10(p)), LEAST_EMPTY_RUNS)
    if len(empty) < needed:
        return None
    usual = sum(run.found for run in before) / len(before)
    shown = query if len(query) <= 80 else query[:79] + "…"
    return Finding(
        key=silent_key(query),
        event_type="risk",
        metric="found",
        direction="down",
        onset=empty[0].began,
        last_breach=empty[-1].began,
        known_at=empty[needed - 1].ended,
        state="resolved" if after else "active",
        resolved_at=after[0].ended if after else None,
        resolution_note=f"found {after[0].found:,} posts again after {len(empty)} empty runs"
        if after
        else None,
        severity="warning",
        title=f"{short_name(name)}: the query {shown} returns nothing, {len(empty)} runs in a row",
        description=(
            f"Since {empty[0].began:%Y-%m-%d %H:%M} UTC {len(empty)} runs in a row found nothing. In the "
            f"{len(before)} runs before it found {number(usual)} posts on average, and "
            f"{sum(run.found == 0 for run in before)} were empty."
        ),
        figures={
            "query": query,
            "score": round(-len(empty) * math.log10(p), 3),
            "baseline": round(usual, 3),
            "n": len(before),
            "empty_runs": len(empty),
        },
        cites_posts_before=True,
    )


def silent_key(query: str) -> str:
    """The key of a query's silence; a long one is cut and told apart by a fingerprint."""
    key = SILENT_QUERY + query
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 9]}~{hashlib.sha256(query.encode()).hexdigest()[:8]}"
