"""From rows to a page: whole items only, within the limit and within the characters."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, TypeVar

from sqlalchemy import Row

from temporal_pipeline.query.asking import Cursors, Question
from temporal_pipeline.query.models import Model, Notice, Page, Tool
from temporal_pipeline.query.session import Situation, notice

Item = TypeVar("Item", bound=Model)

UNITS = ((31_557_600, "year"), (2_629_800, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


def page(
    answer: type[Page[Item]],
    tool: Tool,
    there: Situation,
    asked: Question,
    *,
    rows: Sequence[Row[Any]],
    make: Callable[[Row[Any]], Item],
    place: Callable[[Row[Any]], Sequence[object]],
    cursors: Cursors,
    warnings: Callable[[Sequence[Item]], list[Notice]],
) -> Page[Item]:
    """At most `limit` of the rows (of which there may be one more), as items, in at most `max_chars` of JSON.

    The envelope always comes whole. An item that alone has no room is left out, and named in a warning: the
    next page begins behind it.
    """
    items = [make(row) for row in rows[: asked.limit]]

    def envelope(shown: Sequence[Item], taken: int, notices: list[Notice]) -> Page[Item]:
        has_more = taken < len(rows)
        return answer(
            ok=True,
            tool=tool,
            entity=there.entity,
            since=asked.since,
            until=asked.until,
            as_of=asked.as_of,
            items=list(shown),
            truncated=has_more or len(shown) < taken,
            next_cursor=cursors.write(place(rows[taken - 1])) if has_more else None,
            warnings=notices,
        )

    def size(count: int) -> int:
        return len(envelope((), count, warnings(items[:count])).to_json()) + ends[count - 1]

    whole = envelope(items, len(items), warnings(items))
    if not items or len(whole.to_json()) <= asked.max_chars:
        return whole
    # Where each item ends in the list of them, with the commas between them.
    ends = [end - 1 for end in accumulate(len(item.to_json()) + 1 for item in items)]
    taken = bisect_right(range(1, len(items)), asked.max_chars, key=size)
    if not taken:
        too_large = notice(
            "item_too_large",
            f"an item of {len(items[0].to_json()):,} characters has no room in max_chars {asked.max_chars:,} and is "
            f"left out: {_identity(items[0])}; ask again with a larger max_chars or fewer fields",
        )
        return envelope((), 1, [*warnings(()), too_large])
    return envelope(items[:taken], taken, warnings(items[:taken]))


def _identity(item: Model) -> str:
    name, value = next(iter(item))
    return f"{name} {value}"


def chosen(asked: Question, always: Sequence[str], values: dict[str, Any]) -> dict[str, Any]:
    """Those values that every item has, and those that were asked for."""
    return {name: value for name, value in values.items() if name in always or name in asked.fields}


def age_in_words(then: datetime, now: datetime) -> str:
    """How long ago something was, in one unit: `3 days ago`, `just now`, `in 2 hours`."""
    seconds = (now - then).total_seconds()
    for length, unit in UNITS:
        count = int(abs(seconds) // length)
        if count:
            words = f"{count} {unit}" if count == 1 else f"{count} {unit}s"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "just now"


def always_shown(model: type[Model]) -> list[str]:
    """The fields that every item has."""
    return [name for name, field in model.model_fields.items() if field.is_required()]


def to_choose_from(model: type[Model]) -> list[str]:
    """The fields that may be asked for."""
    return [name for name, field in model.model_fields.items() if not field.is_required()]
