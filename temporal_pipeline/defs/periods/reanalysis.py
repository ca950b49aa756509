"""Analysing a period again: a successor with the same number, bounds and members; nothing is destroyed."""

import uuid
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.events.successors import follow_successors
from temporal_pipeline.defs.periods.closing import SAMPLE, Draft, activate
from temporal_pipeline.defs.periods.cutting import STAGE
from temporal_pipeline.defs.periods.linking import finish_reanalyses
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.holding import hold

queries = Queries(__package__)

# PostgreSQL's integer holds each number of so many digits.
DIGITS = 9


def period_called(connection: Connection, entity: Entity, wanted: str) -> Row[Any]:
    """The active period of an entity with a number or an id: a row of the query `periods_called`.

    Raises PipelineError when there is none (exit code 2), and when it is not active (5), naming its successor.
    """
    identity, number = _id_or_number(wanted)
    parameters = {"entity_type": entity.type, "entity_id": entity.id, "period": identity, "number": number}
    row = connection.execute(queries["periods_called"], parameters).one_or_none()
    if row is None:
        raise PipelineError(
            f"{entity} has no periods", hint="`temporal-pipeline update` makes the first", exit_code=2
        )
    if not row.is_meant:
        raise PipelineError(
            f"{entity} has no period {wanted}",
            hint=f"its periods are numbered from {row.first_number} to {row.last_number}",
            exit_code=2,
        )
    if row.status != "active":
        raise _inactive(row.id, row.status, row.superseded_by)
    return row


def _id_or_number(wanted: str) -> tuple[uuid.UUID | None, int | None]:
    if wanted.isdecimal() and len(wanted) <= DIGITS:
        return None, int(wanted)
    try:
        return uuid.UUID(wanted), None
    except ValueError:
        raise PipelineError(
            f"{wanted!r} is neither a period's number nor its id",
            hint="`temporal-pipeline query timeline` lists numbers, with --json also ids",
            exit_code=2,
        ) from None


def reanalyse(
    database: Database, period: uuid.UUID, reason: str, run_id: str, *, max_wait: float = 30
) -> uuid.UUID:
    """Put a freshly computed successor in the place of an active period. Returns the successor's id.

    In one transaction the old period becomes `superseded` with the reason and its successor, the members are
    frozen anew with their present text, and tasks, messages and the events that people or the application
    recorded point to the successor; what the application said of the period stays what it said then. Then
    the contents follow in short transactions: killed among these, the next run of this or of a cut finishes
    them. Events of ours and effectiveness of the successor are derived by the next run of theirs, those of the
    old one stay readable. Only an active period has no successor, so the chain can neither branch nor cycle.

    A period that is itself the successor of a re-analysis for the same reason, and lacks what is derived of it
    yet, is not analysed once more: whoever calls again what was killed goes on with it.
    Raises PipelineError for a reason that no text can be (exit code 2), a period that is unknown (2), not active or
    not frozen yet (5), or when another run works on periods for more than `max_wait` seconds (5).
    """
    _require_text(reason)
    with hold(database, STAGE, max_wait) as held:
        with database.transaction(read_only=True) as connection:
            require_head(connection)
        finish_reanalyses(held, run_id)
        successor = held.write(lambda connection: _replace(connection, period, reason, run_id))
        finish_reanalyses(held, run_id)
    return successor


def _require_text(reason: str) -> None:
    try:
        is_storable = bool(reason.encode()) and "\x00" not in reason
    except UnicodeEncodeError:
        is_storable = False
    if not is_storable:
        raise PipelineError(
            f"the reason {reason!r} is no text that can be kept", hint="say why, in a few words", exit_code=2
        )


def _replace(connection: Connection, period: uuid.UUID, reason: str, run_id: str) -> uuid.UUID:
    asked = {"period": period, "reason": reason}
    old = _accepted(connection.execute(queries["period_to_reanalyse"], asked).one_or_none(), period)
    if old.is_half_done:
        return period
    cut = connection.execute(queries["open_reanalysis"], {"run_id": run_id}).one()
    successor: uuid.UUID = connection.execute(
        queries["insert_successor"], {"period": period, "cut": cut.id, "instant": cut.instant}
    ).scalar_one()
    change = {"period": period, "successor": successor, "reason": reason}
    for step in ("supersede", "refreeze_members", "mark_refrozen", "keep_hours"):
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
        queries["figures"],
        key | SAMPLE | {"linked_to": period, "ready": draft.ready, "instant": draft.instant},
    ).one()
    activate(connection, draft, run_id, key, figures, old=old)
    follow_successors(connection, entity.type, [entity.id])
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
        state = old.status if old.name is not None else "of an entity that is gone"
        raise _inactive(period, state, old.superseded_by)
    if old.is_unfrozen:
        raise PipelineError(
            f"the members of period {period} or of one cut together with it are not frozen yet",
            hint="run `temporal-pipeline update` first",
            exit_code=5,
        )
    return old


def _inactive(period: uuid.UUID, state: str, successor: uuid.UUID | None) -> PipelineError:
    hint = f"its successor is {successor}" if successor else "only active periods are analysed again"
    return PipelineError(f"period {period} is {state}", hint=hint, exit_code=5)
