"""Two periods side by side: what changed between them."""

import operator
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.query import contents, events
from temporal_pipeline.query.asking import MOST_ITEMS, Question, Refusal, as_id, told
from temporal_pipeline.query.contents import content_item
from temporal_pipeline.query.events import as_text, event_item, event_rows, evidence_of
from temporal_pipeline.query.models import (
    Comparison,
    ContentItem,
    Counts,
    EventItem,
    MetricChange,
    Notice,
    QueryChange,
    TermChange,
)
from temporal_pipeline.query.periods import (
    SHORTEST,
    is_incomplete,
    numbers_in,
    percentage,
    period_item,
)
from temporal_pipeline.query.session import (
    Situation,
    general_notices,
    history_notices,
    notice,
    queries,
)
from temporal_pipeline.terms import document_frequencies, rising_terms

FIELDS = ("metrics", "contents", "events", "queries", "terms")
WhichPeriod = int | str | uuid.UUID | None
# Texts of each period whose terms are counted: enough for stable shares, few enough for 50 ms.
SAMPLE = {"limit": 300, "characters": 600}
TERMS = 10
# Metrics that grow with the time that they are counted over.
TOTALS = ("total_", "platforms.", "relevant_count")
# What two lengths must differ by before totals cannot be compared without rates.
SAME_LENGTH = 0.01
LISTS = (
    "contents_came",
    "events_opened",
    "events_resolved",
    "queries_better",
    "queries_worse",
    "terms_rising",
    "terms_falling",
    "metrics",
)


def compare(
    connection: Connection, there: Situation, asked: Question, a: WhichPeriod, b: WhichPeriod
) -> Comparison:
    """What changed from period `a` to period `b`; without them, from the one before the latest to the latest.

    Raises Refusal: `unknown_period`, and `invalid_argument` for a period against itself.
    """
    after, before = _two_periods(connection, there, asked, a, b)
    counts = _counts(connection, asked, before, after)
    new = _contents_that_came(connection, there, asked, before, after)
    opened, resolved = _events(connection, there, asked, before, after)
    better, worse = _queries(connection, asked, before, after)
    rising, falling, sampled = _terms(connection, asked, before, after)
    came = dict(counts._mapping)
    lists: dict[str, list[Any]] = {
        "metrics": metric_changes(before, after) if "metrics" in asked.fields else [],
        "contents_came": new,
        "events_opened": opened[: asked.limit],
        "events_resolved": resolved[: asked.limit],
        "queries_better": better[: asked.limit],
        "queries_worse": worse[: asked.limit],
        "terms_rising": rising,
        "terms_falling": falling,
    }
    is_again = before is not None and before.period_number == after.period_number
    known = Counts(
        contents_came=came["came"],
        contents_left=came["left"] if is_again else None,
        contents_kept=came["kept"] if is_again else None,
        contents_reworded=came["reworded"] if is_again else None,
        events_opened=len(opened) if "events" in asked.fields else None,
        events_resolved=len(resolved) if "events" in asked.fields else None,
    )
    found = {
        "contents_came": came["came"] if "contents" in asked.fields else 0,
        "events_opened": len(opened),
        "events_resolved": len(resolved),
        "queries_better": len(better),
        "queries_worse": len(worse),
    }
    is_cut = any(len(lists[name]) < count for name, count in found.items())
    notices = [
        *general_notices(there, asked),
        *history_notices(connection, there, asked),
        *_notices(there, before, after),
        *sampled,
    ]
    return _fitting(there, asked, before, after, counts=known, lists=lists, is_cut=is_cut, notices=notices)


def _two_periods(
    connection: Connection, there: Situation, asked: Question, a: WhichPeriod, b: WhichPeriod
) -> tuple[Row[Any], Row[Any] | None]:
    after = _period(connection, there, asked, b, "b")
    if a is None:
        wanted = {"period": None, "number": None, "below": after.period_number}
        return after, connection.execute(
            queries["period_to_compare"], _key(there, asked) | wanted
        ).one_or_none()
    before = _period(connection, there, asked, a, "a")
    if before.period_id == after.period_id:
        raise Refusal(
            "invalid_argument",
            f"a and b are the same period, number {after.period_number}",
            "an older state of a period has an id of its own; query_period_timeline with include_superseded tells it",
        )
    return after, before


def _period(
    connection: Connection, there: Situation, asked: Question, which: WhichPeriod, name: str
) -> Row[Any]:
    identity = as_id(which) if isinstance(which, str) else which
    wanted: dict[str, Any] = {"period": None, "number": None, "below": None}
    if isinstance(identity, uuid.UUID):
        wanted["period"] = identity
    elif which is not None and not isinstance(which, uuid.UUID):
        try:
            wanted["number"] = int(which) if isinstance(which, str) else operator.index(which)
        except (ValueError, TypeError):
            raise Refusal(
                "invalid_argument", f"{name} {told(which)} is neither a period's number nor its id"
            ) from None
        if not 0 <= wanted["number"] < 2**31:
            raise _unknown_period(there, which)
    row = connection.execute(queries["period_to_compare"], _key(there, asked) | wanted).one_or_none()
    if row is None:
        raise _unknown_period(there, which)
    return row


def _unknown_period(there: Situation, which: WhichPeriod) -> Refusal:
    name = which if isinstance(which, uuid.UUID) else told(which)
    return Refusal(
        "unknown_period",
        f"{there.entity.entity_type} {there.entity.name!r} has no period {name} that was known",
        f"its periods are numbered from {there.first_number} to {there.last_number}",
        [str(there.first_number), str(there.last_number)],
    )


def _key(there: Situation, asked: Question) -> dict[str, Any]:
    return there.key | {"as_of": asked.as_of, "fields": ["metrics"]}


def _counts(connection: Connection, asked: Question, before: Row[Any] | None, after: Row[Any]) -> Row[Any]:
    return connection.execute(queries["shared_contents"], _pair(asked, before, after)).one()


def _pair(asked: Question, before: Row[Any] | None, after: Row[Any]) -> dict[str, Any]:
    return {"before": before and before.period_id, "after": after.period_id, "as_of": asked.as_of}


def _contents_that_came(
    connection: Connection, there: Situation, asked: Question, before: Row[Any] | None, after: Row[Any]
) -> list[ContentItem]:
    if "contents" not in asked.fields:
        return []
    rows = connection.execute(
        queries["contents_that_came"], _pair(asked, before, after) | {"limit": asked.limit}
    )
    known = {"period_number": after.period_number, "period_status": after.status}
    return [content_item(row, there, _with(asked, *contents.DEFAULT_FIELDS), **known) for row in rows]


def _events(
    connection: Connection, there: Situation, asked: Question, before: Row[Any] | None, after: Row[Any]
) -> tuple[list[EventItem], list[EventItem]]:
    """Those that opened, and those that were resolved, after the end of `a` (else the start of `b`) until the
    end of `b`.
    """
    if "events" not in asked.fields:
        return [], []
    follows = before is not None and before.period_end < after.period_end
    start = before.period_end if before is not None and follows else after.period_start
    end = after.period_end
    between = {
        "changed_after": start,
        "changed_until": end,
        "changed_after_text": as_text(start),
        "changed_until_text": as_text(end),
    }
    asked = _with(asked, *events.DEFAULT_FIELDS)
    rows = event_rows(connection, there, asked, {**between, "limit": MOST_ITEMS})
    evidence = evidence_of(connection, there, asked, rows)
    changed = [event_item(row, there, asked, evidence) for row in rows]
    opened = [event for event in changed if start < event.first_detected_at <= end]
    resolved = [
        event for event in changed if event.resolved_at is not None and start < event.resolved_at <= end
    ]
    return opened, resolved


def _queries(
    connection: Connection, asked: Question, before: Row[Any] | None, after: Row[Any]
) -> tuple[list[QueryChange], list[QueryChange]]:
    if before is None or "queries" not in asked.fields:
        return [], []
    rows = connection.execute(queries["queries_of_two_periods"], _pair(asked, before, after))
    changes = [QueryChange(**row._mapping) for row in rows]
    better = [change for change in changes if change.score_after > change.score_before]
    worse = [change for change in changes if change.score_after < change.score_before]
    return better, worse


def _terms(
    connection: Connection, asked: Question, before: Row[Any] | None, after: Row[Any]
) -> tuple[list[TermChange], list[TermChange], list[Notice]]:
    if before is None or "terms" not in asked.fields:
        return [], [], []
    earlier, later = (_texts(connection, asked, period) for period in (before, after))
    sampled = [
        notice(
            "sampled", f"terms are counted in {SAMPLE['limit']} posts of this period", period.period_number
        )
        for period, texts in ((before, earlier), (after, later))
        if len(texts) == SAMPLE["limit"] < period.content_count
    ]
    rising, falling = term_changes(earlier, later)
    return rising, falling, sampled


def _texts(connection: Connection, asked: Question, period: Row[Any]) -> list[str]:
    parameters = SAMPLE | {"period": period.period_id, "as_of": asked.as_of}
    return list(connection.scalars(queries["texts_of_period"], parameters))


def term_changes(earlier: Sequence[str], later: Sequence[str]) -> tuple[list[TermChange], list[TermChange]]:
    """The terms whose share of posts rose most, and those whose share fell most."""
    before, _ = document_frequencies(earlier)
    after, _ = document_frequencies(later)

    def change(term: str) -> TermChange:
        return TermChange(term=term, posts_before=before[term], posts_after=after[term])

    rising = [change(term) for term, _ in rising_terms(later, earlier, TERMS)]
    falling = [change(term) for term, _ in rising_terms(earlier, later, TERMS)]
    return rising, falling


def metric_changes(before: Any, after: Any) -> list[MetricChange]:
    """Every metric that either period has, by name."""
    lengths = [None if p is None else p.period_end - p.period_start for p in (before, after)]
    old, new = numbers_in(before.metrics if before is not None else None), numbers_in(after.metrics)
    return [
        _metric_change(name, old.get(name), new.get(name), lengths[0], lengths[1])
        for name in sorted(old.keys() | new.keys())
    ]


def _metric_change(
    name: str, old: float | None, new: float | None, earlier: timedelta | None, later: timedelta | None
) -> MetricChange:
    rates: tuple[float | None, float | None] = (None, None)
    if name.startswith(TOTALS) and earlier and later and abs(later / earlier - 1) > SAME_LENGTH:
        rates = (_per_hour(old, earlier), _per_hour(new, later))
    return MetricChange(
        metric=name,
        before=old,
        after=new,
        change=round(new - old, 6) if old is not None and new is not None else None,
        change_pct=percentage(old, new) if old is not None and new is not None else None,
        before_per_hour=rates[0],
        after_per_hour=rates[1],
        rate_change_pct=(
            percentage(rates[0], rates[1]) if rates[0] is not None and rates[1] is not None else None
        ),
    )


def _per_hour(total: float | None, length: timedelta) -> float | None:
    """A rate; none over less than a minute."""
    if total is None or length < SHORTEST:
        return None
    return round(total / (length / timedelta(hours=1)), 4)


def _notices(there: Situation, before: Row[Any] | None, after: Row[Any]) -> list[Notice]:
    notices = []
    if before is None:
        notices.append(
            notice("insufficient_history", "there is no earlier period to compare with", after.period_number)
        )
    partial = [p.period_number for p in (before, after) if p is not None and is_incomplete(p)]
    if partial:
        notices.append(
            notice(
                "partial_period",
                "crawls missed a part of these periods, or they last less than a minute: compare with care",
                *partial,
            )
        )
    return notices


def _fitting(
    there: Situation,
    asked: Question,
    before: Row[Any] | None,
    after: Row[Any],
    *,
    counts: Counts,
    lists: dict[str, list[Any]],
    is_cut: bool,
    notices: list[Notice],
) -> Comparison:
    """The answer, without the last items of its longest lists where all of it has no room in `max_chars`.

    `is_cut`: the lists are shorter than what there is, by the limit, already.
    """

    sides = _with(asked, "content_count", "summary_short")

    def answer(truncated: bool) -> Comparison:
        return Comparison(
            ok=True,
            tool="compare_periods",
            entity=there.entity,
            as_of=asked.as_of,
            before=None if before is None else period_item(before, there, sides),
            after=period_item(after, there, sides),
            counts=counts,
            truncated=truncated,
            warnings=notices,
            **lists,
        )

    whole = answer(is_cut)
    excess = len(whole.to_json()) - asked.max_chars
    if excess <= 0:
        return whole
    sizes = {name: [len(item.to_json()) for item in lists[name]] for name in LISTS}
    while excess > 0 and any(sizes.values()):
        longest = max(LISTS, key=lambda name: sum(sizes[name]))
        # With every item but the last one of a list goes a comma.
        excess -= sizes[longest].pop() + bool(sizes[longest])
        lists[longest] = lists[longest][: len(sizes[longest])]
    return answer(True)


def _with(asked: Question, *fields: str) -> Question:
    return replace(asked, fields=frozenset(fields))
