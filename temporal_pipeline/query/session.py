"""Asking the database: one read-only transaction per question, whose failures are error values."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

import psycopg
from sqlalchemy import Connection, Row
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.crawls.coverage import REACH_IN_INTERVALS
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.entities import all_entities
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.query.asking import Question, Refusal, as_id, text_argument, told
from temporal_pipeline.query.models import EntityName, Notice

queries = Queries(__package__)

# Fewer periods than this, and "more than usual" has no meaning yet: baselines want three before the tested one.
SHORT_HISTORY = 4
_NOT_AT_HEAD = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
)


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """A transaction that cannot write, sees one state of the database and takes 5 s per statement at the most.

    Raises Refusal when the database cannot be asked; errors of this package stay what they are.
    """
    try:
        with database.transaction(read_only=True) as connection:
            connection.execute(queries["one_snapshot"])
            connection.execute(queries["limits_of_a_question"])
            yield connection
    except PipelineError as error:
        raise Refusal("database_unavailable", error.message, error.hint) from error
    except DBAPIError as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        raise refusal from error


def _refusal(error: DBAPIError) -> Refusal | None:
    cause = error.orig
    if isinstance(cause, _NOT_AT_HEAD):
        return Refusal(
            "schema_not_at_head",
            "the temporal schema is not complete in this database",
            "run `temporal-pipeline migrate`, then `temporal-pipeline update`",
        )
    if isinstance(cause, psycopg.errors.QueryCanceled):
        return Refusal(
            "database_unavailable",
            "the answer took longer than 5 seconds",
            "ask for less time, or try again later",
        )
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return Refusal(
            "database_unavailable",
            (str(cause).splitlines() or ["permission denied"])[0],
            "grant this role what docs/configuration.md says of a role that only looks",
        )
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        reason = (str(cause).splitlines() or ["the connection was lost"])[0]
        return Refusal("database_unavailable", reason, "check that the server is up, and ask again")
    return None


@dataclass(frozen=True)
class Situation:
    """An entity and what is known of it as a whole at the asked time. `now`: that time."""

    entity: EntityName
    crawl_interval: timedelta
    now: datetime
    first_number: int
    last_number: int
    periods: int
    first_start: datetime
    last_end: datetime
    draft_is_open: bool
    trend_view_is_filled: bool

    @property
    def key(self) -> dict[str, Any]:
        """The entity, as parameters of the queries."""
        return {"entity_type": self.entity.entity_type, "entity_id": self.entity.entity_id}


def situation(
    connection: Connection, wanted: str | uuid.UUID, entity_type: str | None, asked: Question
) -> Situation:
    """Find the entity and look at its periods.

    Raises Refusal: `unknown_entity`, `ambiguous_entity`, `no_periods`.
    """
    found = _entity(connection, wanted, entity_type)
    entity = EntityName(entity_type=found.entity_type, entity_id=found.entity_id, name=found.name)
    key = {"entity_type": entity.entity_type, "entity_id": entity.entity_id}
    row = connection.execute(queries["situation"], key | {"as_of": asked.as_of}).one()
    if not row.periods:
        then = "" if asked.as_of is None else f" known at {asked.as_of.isoformat()}"
        raise Refusal(
            "no_periods",
            f"{entity.entity_type} {entity.name!r} has no period{then}",
            "run `temporal-pipeline update`"
            if asked.as_of is None
            else "ask for a later as_of, or without one",
        )
    return Situation(
        entity=entity,
        crawl_interval=found.crawl_interval,
        now=row.now if asked.as_of is None else min(asked.as_of, row.now),
        first_number=row.first_number,
        last_number=row.last_number,
        periods=row.periods,
        first_start=row.first_start,
        last_end=row.last_end,
        draft_is_open=row.draft_is_open,
        trend_view_is_filled=bool(row.trend_view_is_filled),
    )


def _entity(connection: Connection, wanted: str | uuid.UUID, entity_type: str | None) -> Row[Any]:
    if entity_type not in (None, "topic", "user"):
        raise Refusal(
            "invalid_argument", f"there is no entity_type {told(entity_type)}", "", ["topic", "user"]
        )
    name = text_argument(str(wanted) if isinstance(wanted, uuid.UUID) else wanted, "entity")
    kind, mark, rest = name.partition(":")
    rows = _called(connection, name, entity_type)
    if not rows and mark and kind in ("topic", "user") and entity_type in (None, kind):
        rows = _called(connection, rest, kind)
    if len(rows) == 1:
        return rows[0]
    if rows:
        raise Refusal(
            "ambiguous_entity",
            f"{told(name)} names {len(rows)} topics and users",
            "give entity_type, or one of the ids in choices",
            [f"{row.entity_type}:{row.entity_id}" for row in rows],
        )
    known = {e.name.casefold(): e.name for e in all_entities(connection) if entity_type in (None, e.type)}
    nearest = get_close_matches(name.casefold(), known, n=3, cutoff=0)
    raise Refusal(
        "unknown_entity",
        f"there is no {entity_type or 'topic or user'} {told(name)}",
        "take one of choices, the nearest names" if nearest else "there are no topics and users yet",
        [known[match] for match in nearest],
    )


def _called(connection: Connection, name: str, entity_type: str | None) -> list[Row[Any]]:
    wanted = {"id": as_id(name), "name": name, "entity_type": entity_type}
    return list(connection.execute(queries["entities_called"], wanted).all())


def general_notices(there: Situation, asked: Question) -> list[Notice]:
    """What to bear in mind of every answer about an entity."""
    notices = []
    if there.draft_is_open:
        notices.append(
            notice(
                "partial_period", "a further period is being made; what belongs to it is not in this answer"
            )
        )
    end = there.now if asked.until is None else min(asked.until, there.now)
    if end - there.last_end > there.crawl_interval * REACH_IN_INTERVALS:
        notices.append(
            notice(
                "crawl_gap",
                f"the last period ends at {there.last_end:%Y-%m-%d %H:%M} UTC: of later time nothing is known",
                there.last_number,
            )
        )
    return notices


def history_notices(connection: Connection, there: Situation, asked: Question) -> list[Notice]:
    """What to bear in mind of an answer about how periods develop."""
    notices = []
    if there.periods < SHORT_HISTORY:
        notices.append(
            notice(
                "insufficient_history",
                f"{there.periods} periods are too few to tell what is usual",
            )
        )
    if asked.as_of is None and (
        not there.trend_view_is_filled or connection.scalar(queries["trend_view_lags"], there.key)
    ):
        notices.append(
            notice(
                "stale_trend_view",
                "mv_period_metrics_trend says less than this answer; `update` refreshes it",
            )
        )
    return notices


def notice(code: Any, message: str, *periods: int) -> Notice:
    """A warning about some periods."""
    return Notice(code=code, message=message, periods=list(periods))
