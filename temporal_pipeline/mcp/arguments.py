"""What the tools take: the arguments of the functions in `temporal_pipeline.query`, as JSON Schemas.

Here only shapes are judged (names, types); what a value means, and whether it will do, the questions know.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from temporal_pipeline.query import comparing, contents, effectiveness, events, periods
from temporal_pipeline.query.asking import DEFAULT_CHARACTERS, DEFAULT_LIMIT, MOST_ITEMS

Cursor = Annotated[
    str | None,
    Field(description="The next page: next_cursor of the answer before, with otherwise the same arguments."),
]
Since = Annotated[
    str | None,
    Field(
        description="What happened at this time or later; ISO 8601, a date is its first moment, without a zone: UTC.",
        examples=["2026-03-01", "2026-03-01T06:00:00Z"],
    ),
]
Until = Annotated[
    str | None,
    Field(
        description="What happened before this time; of a date, until its end: since = until is that whole UTC day.",
        examples=["2026-03-01", "2026-03-01T12:00:00Z"],
    ),
]
WhichPeriod = int | str | None


def _some_of(names: Sequence[str]) -> WithJsonSchema:
    """The names in the schema; which name is unknown is told by the question, with the choices."""
    return WithJsonSchema({"type": "string", "enum": list(names)})


def _fields(default: Sequence[str]) -> Any:
    return Field(
        description=f"Which of these each item has, beside the ids and times; without it: {', '.join(default)}."
    )


class Arguments(BaseModel):
    """What every tool takes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    entity: Annotated[
        str,
        Field(
            description="Whom it is about: an id, an exact name, or topic:NAME / user:NAME. "
            "Of a name that does not exist the answer has the nearest ones."
        ),
    ]
    entity_type: Annotated[
        Literal["topic", "user"] | None, Field(description="Where a topic and a user have the same name.")
    ] = None
    as_of: Annotated[
        str | None,
        Field(
            description="Answer with what was recorded by this time and nothing later, to tell what was known then; "
            "a date is its last moment. Not about when things happened.",
            examples=["2026-03-01T06:00:00Z"],
        ),
    ] = None
    limit: Annotated[
        int,
        Field(
            description="How many items at the most.",
            json_schema_extra={"minimum": 1, "maximum": MOST_ITEMS},
        ),
    ] = DEFAULT_LIMIT
    max_chars: Annotated[
        int,
        Field(
            description="How many characters of JSON at the most; whole items are left for the next page.",
            json_schema_extra={"minimum": 1},
        ),
    ] = DEFAULT_CHARACTERS


class TimelineArguments(Arguments):
    """Of query_period_timeline."""

    since: Since = None
    until: Until = None
    cursor: Cursor = None
    fields: Annotated[
        list[Annotated[str, _some_of(periods.FIELDS)]] | None, _fields(periods.DEFAULT_FIELDS)
    ] = None
    include_superseded: Annotated[
        bool, Field(description="Also periods that were analysed again, each after what took its place.")
    ] = False


class CompareArguments(Arguments):
    """Of compare_periods."""

    a: Annotated[
        WhichPeriod,
        Field(description="The earlier period: its number or id; without it the one before the other."),
    ] = None
    b: Annotated[
        WhichPeriod,
        Field(
            description="The later period: its number or id (also of a superseded one); without it the latest."
        ),
    ] = None
    fields: Annotated[
        list[Annotated[str, _some_of(comparing.FIELDS)]] | None,
        Field(description="Which parts of the comparison; without it all. limit counts in each."),
    ] = None


class ContentsArguments(Arguments):
    """Of query_contents_by_timerange."""

    since: Since = None
    until: Until = None
    cursor: Cursor = None
    fields: Annotated[
        list[Annotated[str, _some_of(contents.FIELDS)]] | None, _fields(contents.DEFAULT_FIELDS)
    ] = None


class UnresolvedArguments(Arguments):
    """Of get_unresolved_events."""

    since: Since = None
    until: Until = None
    cursor: Cursor = None
    fields: Annotated[
        list[Annotated[str, _some_of(events.FIELDS)]] | None, _fields(events.DEFAULT_FIELDS)
    ] = None


class SearchArguments(UnresolvedArguments):
    """Of search_events."""

    text: Annotated[str | None, Field(description="Words of the title or description.")] = None
    event_type: Annotated[str | None, Field(description="Such as anomaly, trend_shift, milestone, risk.")] = (
        None
    )
    severity: Annotated[
        Literal["info", "warning", "critical"] | None, Field(description="Only events of this severity.")
    ] = None


class EffectivenessArguments(Arguments):
    """Of query_effectiveness."""

    since: Since = None
    until: Until = None
    cursor: Cursor = None
    fields: Annotated[
        list[Annotated[str, _some_of(effectiveness.FIELDS)]] | None, _fields(effectiveness.DEFAULT_FIELDS)
    ] = None
    text: Annotated[str | None, Field(description="Words of the crawl query.")] = None
