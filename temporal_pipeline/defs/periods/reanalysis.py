"""Analysing a period again: a successor with the same number, bounds and members; nothing is destroyed."""

import uuid
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.periods.closing import SAMPLE, Draft, activate
from temporal_pipeline.defs.periods.cutting import STAGE
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity
from temporal_pipeline.errors import PipelineError

queries = Queries(__package__)


def reanalyse(database: Database, period: uuid.UUID, reason: str, run_id: str) -> uuid.UUID:
    """Put a freshly computed successor in the place of an active period. Returns the successor's id.

    One transaction: the old period becomes `superseded` with the reason and its successor, the contents,
    tasks and messages point to the successor, its members are frozen anew with their present text; what the
    application said of it stays what it said then. Events
    and effectiveness of the successor are derived by the next run, those of the old one stay readable. Only
    an active period has no successor, so the chain can neither branch nor cycle.
    Raises PipelineError for a period that is unknown, not active, or not frozen yet.
    """
    with database.exclusive(STAGE):
        return database.write(lambda connection: _replace(connection, period, reason, run_id))


def _replace(connection: Connection, period: uuid.UUID, reason: str, run_id: str) -> uuid.UUID:
    require_head(connection)
    old = connection.execute(queries["period_to_reanalyse"], {"period": period}).one_or_none()
    old = _accepted(old, period)
    cut = connection.execute(queries["open_reanalysis"], {"run_id": run_id}).one()
    successor: uuid.UUID = connection.execute(
        queries["insert_successor"], {"period": period, "cut": cut.id, "instant": cut.instant}
    ).scalar_one()
    change = {"period": period, "successor": successor, "reason": reason}
    for step in (
        "supersede",
        "refreeze_members",
        "mark_refrozen",
        "keep_hours",
        "move_contents",
        "move_tasks",
        "move_chat_messages",
    ):
        connection.execute(queries[step], change)
    key = {
        "period": successor,
        "entity_type": old.entity_type,
        "entity_id": old.entity_id,
        "number": old.period_number,
        "period_start": old.period_start,
        "period_end": old.period_end,
    }
    entity = Entity(old.entity_type, old.entity_id, old.name)
    draft = Draft(cut.id, cut.instant, entity, successor, ready=True)
    figures = connection.execute(
        queries["figures"], key | SAMPLE | {"ready": draft.ready, "instant": draft.instant}
    ).one()
    activate(connection, draft, run_id, key, figures, old=old)
    following = connection.scalar(queries["following_period"], key)
    if following is not None:
        connection.execute(queries["store_delta"], {"period": following})
    return successor


def _accepted(old: Row[Any] | None, period: uuid.UUID) -> Row[Any]:
    if old is None:
        raise PipelineError(
            f"there is no period {period}", hint="take an id from v_period_timeline", exit_code=2
        )
    if old.status != "active" or old.name is None:
        hint = (
            f"its successor is {old.superseded_by}"
            if old.superseded_by
            else "only active periods are analysed again"
        )
        state = old.status if old.name is not None else "of an entity that is gone"
        raise PipelineError(f"period {period} is {state}", hint=hint, exit_code=5)
    if old.is_unfrozen:
        raise PipelineError(
            f"the members of period {period} or of one cut together with it are not frozen yet",
            hint="run `temporal-pipeline update` first",
            exit_code=5,
        )
    return old
