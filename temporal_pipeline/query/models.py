"""What the questions are answered with: plain models that turn into JSON, JSON Schemas and pandas frames.

Every item names two clocks: when something happened, and when the database came to know it (`recorded_at`).
Fields that were not asked for are unset and appear nowhere in the JSON.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from temporal_pipeline.entities import EntityType

if TYPE_CHECKING:
    import pandas as pd

Tool = Literal[
    "query_period_timeline",
    "compare_periods",
    "query_contents_by_timerange",
    "get_unresolved_events",
    "search_events",
    "query_effectiveness",
]
ErrorCode = Literal[
    "unknown_entity",
    "ambiguous_entity",
    "unknown_period",
    "invalid_time_range",
    "invalid_limit",
    "invalid_cursor",
    "invalid_argument",
    "no_periods",
    "schema_not_at_head",
    "database_unavailable",
]
NoticeCode = Literal[
    "partial_period",
    "crawl_gap",
    "stale_trend_view",
    "insufficient_history",
    "item_too_large",
    "sampled",
]


class Model(BaseModel):
    """A value that never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_dict(self) -> dict[str, Any]:
        """What JSON can say, without the fields that were not asked for."""
        return self.model_dump(mode="json", exclude_unset=True)

    def to_json(self) -> str:
        """The compact JSON that `max_chars` counts."""
        return self.model_dump_json(exclude_unset=True)


class ErrorValue(Model):
    """Why there is no answer, and what to ask instead. `choices`: names, ids or numbers that would do."""

    code: ErrorCode
    message: str
    hint: str
    choices: list[str]


class Failure(Model):
    """No answer."""

    ok: Literal[False]
    tool: Tool
    error: ErrorValue


class Notice(Model):
    """What to bear in mind when quoting the answer. `periods`: the numbers of the periods it is about."""

    code: NoticeCode
    message: str
    periods: list[int]


class EntityName(Model):
    """Whom the answer is about."""

    entity_type: EntityType
    entity_id: uuid.UUID
    name: str


class PeriodItem(Model):
    """A period. `coverage`: the share of it that crawls covered. `partial`: it was not wholly covered, or lasted
    less than a minute, or only a part of it lies in the asked window; its figures are those of all of it.
    `metrics_delta`: differences to the period before, as known at `as_of`; percentages under `pct`.
    """

    period_id: uuid.UUID
    period_number: int
    period_start: datetime
    period_end: datetime
    recorded_at: datetime
    status: Literal["active", "superseded", "archived"]
    superseded_by: uuid.UUID | None
    superseded_at: datetime | None
    coverage: float | None
    partial: bool
    age: str
    content_count: int | None = None
    summary_short: str | None = None
    summary: str | None = None
    insights: Any = None
    metrics: Any = None
    metrics_delta: dict[str, Any] | None = None
    duration_hours: float | None = None
    quality_score: float | None = None
    supersession_reason: str | None = None
    knowledge_version: int | None = None
    knowledge_doc: str | None = None
    knowledge_diff: Any = None
    tasks_summary: Any = None
    chat_summary: str | None = None


class ContentItem(Model):
    """A post as it was frozen in its period. `happened_at`: its publication, else its crawl; `found_by`: the
    query or timeline that found it; `engagement`: its latest reactions, unknown for an `as_of` in the past.
    """

    content_id: uuid.UUID
    happened_at: datetime
    recorded_at: datetime
    period_id: uuid.UUID
    period_number: int
    period_status: Literal["active", "superseded", "archived"]
    age: str
    published_at: datetime | None = None
    crawled_at: datetime | None = None
    platform: str | None = None
    author: str | None = None
    url: str | None = None
    text: str | None = None
    relevance: float | None = None
    contribution_type: str | None = None
    found_by: str | None = None
    lang: str | None = None
    hashtags: list[str] | None = None
    key_points: Any = None
    engagement: dict[str, Any] | None = None


class Evidence(Model):
    """A post that shows an event, with its weight in [0, 1] and its text in one short line."""

    content_id: uuid.UUID
    weight: float | None
    happened_at: datetime
    author: str | None
    excerpt: str | None


class EventItem(Model):
    """An event in the state that it was known to be in. `figures`: what its detector measured (metric, score,
    baseline, peak …). `description`, `figures` and `resolution_note` are null where they were written later than
    `as_of`.
    """

    event_id: uuid.UUID
    event_type: str
    severity: Literal["info", "warning", "critical"]
    title: str
    state: Literal["active", "recovering", "resolved", "dismissed", "expired"]
    first_detected_at: datetime
    onset: datetime | None
    resolved_at: datetime | None
    recorded_at: datetime
    age: str
    period_id: uuid.UUID
    period_number: int
    description: str | None = None
    evidence: list[Evidence] | None = None
    evidence_count: int | None = None
    resolution_note: str | None = None
    reopened_count: int | None = None
    figures: dict[str, Any] | None = None


class EffectivenessItem(Model):
    """What a query of a period was worth; scores and ratios lie in [0, 1], null is unknown."""

    effectiveness_id: uuid.UUID
    platform: str
    query: str
    period_id: uuid.UUID
    period_number: int
    period_start: datetime
    period_end: datetime
    recorded_at: datetime
    coverage: float | None
    age: str
    effectiveness_score: float | None = None
    total_found: int | None = None
    relevant_count: int | None = None
    high_value_count: int | None = None
    avg_relevance: float | None = None
    coverage_ratio: float | None = None
    recommendations: str | None = None


Item = TypeVar("Item", bound=Model)


class Page(Model, Generic[Item]):
    """Items, the newest first. `truncated`: there are more, behind `next_cursor`."""

    ok: Literal[True]
    tool: Tool
    entity: EntityName
    since: datetime | None
    until: datetime | None
    as_of: datetime | None
    items: list[Item]
    truncated: bool
    next_cursor: str | None
    warnings: list[Notice]

    def to_frame(self) -> "pd.DataFrame":
        """One row per item; figures of a nested object are columns such as `metrics.total_likes`."""
        return _frame(self.items)


class MetricChange(Model):
    """A metric in both periods. Without a baseline there is no percentage; rates per hour stand beside totals
    whose periods differ in length.
    """

    metric: str
    before: float | None
    after: float | None
    change: float | None
    change_pct: float | None
    before_per_hour: float | None
    after_per_hour: float | None
    rate_change_pct: float | None


class QueryChange(Model):
    """A query that was measured in both periods."""

    platform: str
    query: str
    score_before: float
    score_after: float
    found_before: int
    found_after: int


class TermChange(Model):
    """A term, and in how many of the posts read of each period it occurs."""

    term: str
    posts_before: int
    posts_after: int


class Counts(Model):
    """How much there is of each, whatever the lists show; of events 200 at the most, null if not asked for.

    Between two states of one period also how many posts left it, were kept, and were kept with another text; null
    between different periods.
    """

    contents_came: int
    contents_left: int | None
    contents_kept: int | None
    contents_reworded: int | None
    events_opened: int | None
    events_resolved: int | None


class Comparison(Model):
    """Two periods side by side. `before` is null where there is nothing to compare with."""

    ok: Literal[True]
    tool: Tool
    entity: EntityName
    as_of: datetime | None
    before: PeriodItem | None
    after: PeriodItem
    counts: Counts
    metrics: list[MetricChange]
    contents_came: list[ContentItem]
    events_opened: list[EventItem]
    events_resolved: list[EventItem]
    queries_better: list[QueryChange]
    queries_worse: list[QueryChange]
    terms_rising: list[TermChange]
    terms_falling: list[TermChange]
    truncated: bool
    warnings: list[Notice]

    def to_frame(self) -> "pd.DataFrame":
        """The metrics, one row each."""
        return _frame(self.metrics)


Timelines = Page[PeriodItem]
Contents = Page[ContentItem]
Events = Page[EventItem]
Effectiveness = Page[EffectivenessItem]


def _frame(items: Sequence[Model]) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - half a second, for those who want frames

    return pd.json_normalize([item.model_dump(exclude_unset=True) for item in items], max_level=1)
