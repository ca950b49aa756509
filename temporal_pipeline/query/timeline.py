"""The questions: read-only functions with typed answers. Errors are values; only mistakes of ours are raised."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection

from temporal_pipeline.database import Database
from temporal_pipeline.query import comparing, contents, effectiveness, events, periods
from temporal_pipeline.query.asking import (
    DEFAULT_CHARACTERS,
    DEFAULT_LIMIT,
    Question,
    Refusal,
    When,
    flag,
    optional_text,
    question,
)
from temporal_pipeline.query.models import (
    Comparison,
    Contents,
    Effectiveness,
    Events,
    Failure,
    Timelines,
    Tool,
)
from temporal_pipeline.query.session import Situation, reading, situation

Answer = TypeVar("Answer")
Fields = Sequence[str] | None


@dataclass(frozen=True)
class _Whom:
    """An entity as it was asked for."""

    entity: str | uuid.UUID
    entity_type: str | None


class Timeline:
    """Asks a database what it knows, and what it knew.

    All questions take `entity` (id, exact name, or `topic:NAME`), `entity_type` where a name is ambiguous,
    `since` and `until` (ISO 8601; a date is that whole UTC day, a time without a zone is UTC) about when things
    happened, `as_of` for what was recorded by then (nothing later is shown), `limit` (1 to 200), `cursor` (the
    `next_cursor` of the page before), `fields` beside those that every item has, and `max_chars` of JSON.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def from_environment(cls) -> Self:
        """Of the database that DATABASE_URL names, else the embedded one.

        Raises PipelineError where there is no such thing.
        """
        return cls(Database.from_environment())

    def close(self) -> None:
        """Close the connections."""
        self._database.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def query_period_timeline(
        self,
        entity: str | uuid.UUID,
        *,
        entity_type: str | None = None,
        since: When = None,
        until: When = None,
        as_of: When = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        fields: Fields = None,
        max_chars: int = DEFAULT_CHARACTERS,
        include_superseded: bool = False,
    ) -> Timelines | Failure:
        """How an entity developed: its periods that overlap the window, the newest first.

        `include_superseded`: also periods that were analysed again, after what took their place.
        """

        def ask(connection: Connection, there: Situation, asked: Question) -> Timelines:
            wants_superseded = flag(include_superseded, "include_superseded")
            return periods.timeline(connection, there, asked, cursor, wants_superseded)

        return self._answer(
            "query_period_timeline",
            _Whom(entity, entity_type),
            ask,
            since=since,
            until=until,
            as_of=as_of,
            limit=limit,
            max_chars=max_chars,
            fields=fields,
            known_fields=periods.FIELDS,
            default_fields=periods.DEFAULT_FIELDS,
        )

    def compare_periods(
        self,
        entity: str | uuid.UUID,
        a: comparing.WhichPeriod = None,
        b: comparing.WhichPeriod = None,
        *,
        entity_type: str | None = None,
        as_of: When = None,
        limit: int = DEFAULT_LIMIT,
        fields: Fields = None,
        max_chars: int = DEFAULT_CHARACTERS,
    ) -> Comparison | Failure:
        """What changed from period `a` to period `b` (numbers or ids).

        Without `b` the latest, without `a` the one before `b`. An id may be that of a superseded period.
        `fields`: which of metrics, contents, events, queries, terms; `limit` of each list.
        """

        def ask(connection: Connection, there: Situation, asked: Question) -> Comparison:
            return comparing.compare(connection, there, asked, a, b)

        return self._answer(
            "compare_periods",
            _Whom(entity, entity_type),
            ask,
            as_of=as_of,
            limit=limit,
            max_chars=max_chars,
            fields=fields,
            known_fields=comparing.FIELDS,
            default_fields=comparing.FIELDS,
        )

    def query_contents_by_timerange(
        self,
        entity: str | uuid.UUID,
        *,
        entity_type: str | None = None,
        since: When = None,
        until: When = None,
        as_of: When = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        fields: Fields = None,
        max_chars: int = DEFAULT_CHARACTERS,
    ) -> Contents | Failure:
        """What was posted: an entity's posts published (else crawled) in the window, the newest first, with the
        texts that were frozen.
        """

        def ask(connection: Connection, there: Situation, asked: Question) -> Contents:
            return contents.contents(connection, there, asked, cursor)

        return self._answer(
            "query_contents_by_timerange",
            _Whom(entity, entity_type),
            ask,
            since=since,
            until=until,
            as_of=as_of,
            limit=limit,
            max_chars=max_chars,
            fields=fields,
            known_fields=contents.FIELDS,
            default_fields=contents.DEFAULT_FIELDS,
        )

    def get_unresolved_events(
        self,
        entity: str | uuid.UUID,
        *,
        entity_type: str | None = None,
        since: When = None,
        until: When = None,
        as_of: When = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        fields: Fields = None,
        max_chars: int = DEFAULT_CHARACTERS,
    ) -> Events | Failure:
        """What is going on: events that are not over, or were not as far as was known at `as_of`."""

        def ask(connection: Connection, there: Situation, asked: Question) -> Events:
            return events.events(
                connection, there, asked, cursor, tool="get_unresolved_events", filters={"only_open": True}
            )

        return self._answer(
            "get_unresolved_events",
            _Whom(entity, entity_type),
            ask,
            since=since,
            until=until,
            as_of=as_of,
            limit=limit,
            max_chars=max_chars,
            fields=fields,
            known_fields=events.FIELDS,
            default_fields=events.DEFAULT_FIELDS,
        )

    def search_events(
        self,
        entity: str | uuid.UUID,
        *,
        text: str | None = None,
        event_type: str | None = None,
        severity: str | None = None,
        entity_type: str | None = None,
        since: When = None,
        until: When = None,
        as_of: When = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        fields: Fields = None,
        max_chars: int = DEFAULT_CHARACTERS,
    ) -> Events | Failure:
        """What happened: events that overlap the window, open or over, by words of their title and description,
        type (such as `anomaly`) and severity (`info`, `warning`, `critical`).
        """

        def ask(connection: Connection, there: Situation, asked: Question) -> Events:
            filters = {
                "text": optional_text(text, "text"),
                "event_type": optional_text(event_type, "event_type"),
                "severity": optional_text(severity, "severity"),
            }
            return events.events(connection, there, asked, cursor, tool="search_events", filters=filters)

        return self._answer(
            "search_events",
            _Whom(entity, entity_type),
            ask,
            since=since,
            until=until,
            as_of=as_of,
            limit=limit,
            max_chars=max_chars,
            fields=fields,
            known_fields=events.FIELDS,
            default_fields=events.DEFAULT_FIELDS,
        )

    def query_effectiveness(
        self,
        entity: str | uuid.UUID,
        *,
        text: str | None = None,
        entity_type: str | None = None,
        since: When = None,
        until: When = None,
        as_of: When = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        fields: Fields = None,
        max_chars: int = DEFAULT_CHARACTERS,
    ) -> Effectiveness | Failure:
        """What crawl queries were worth, newest period first, in each the best first; `text`: words of a query."""

        def ask(connection: Connection, there: Situation, asked: Question) -> Effectiveness:
            return effectiveness.effectiveness(connection, there, asked, cursor, optional_text(text, "text"))

        return self._answer(
            "query_effectiveness",
            _Whom(entity, entity_type),
            ask,
            since=since,
            until=until,
            as_of=as_of,
            limit=limit,
            max_chars=max_chars,
            fields=fields,
            known_fields=effectiveness.FIELDS,
            default_fields=effectiveness.DEFAULT_FIELDS,
        )

    def _answer(
        self,
        tool: Tool,
        whom: _Whom,
        ask: Callable[[Connection, Situation, Question], Answer],
        **arguments: Any,
    ) -> Answer | Failure:
        try:
            asked = question(**arguments)
            with reading(self._database) as connection:
                return ask(connection, situation(connection, whom.entity, whom.entity_type, asked), asked)
        except Refusal as refusal:
            return Failure(ok=False, tool=tool, error=refusal.error)
