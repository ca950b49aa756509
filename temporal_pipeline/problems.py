"""Entities that a stage could not process: recorded with the reason until the stage succeeds for them."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Row, text

from temporal_pipeline.database import Database
from temporal_pipeline.entities import Entity
from temporal_pipeline.transient import is_transient

_RECORD = text("""
    INSERT INTO temporal_pipeline.problem (stage, entity_type, entity_id, reason, run_id)
    VALUES (CAST(:stage AS text), CAST(:type AS text), CAST(:id AS uuid), CAST(:reason AS text),
            CAST(:run_id AS text))
    ON CONFLICT (stage, entity_type, entity_id)
    DO UPDATE SET reason = excluded.reason, run_id = excluded.run_id
""")
_CLEAR = text("""
    DELETE FROM temporal_pipeline.problem p
    USING unnest(CAST(:types AS text[]), CAST(:ids AS uuid[])) AS done (entity_type, entity_id)
    WHERE p.stage = CAST(:stage AS text) AND p.entity_type = done.entity_type AND p.entity_id = done.entity_id
""")
_KEEP_ONLY = text("""
    DELETE FROM temporal_pipeline.problem p
    WHERE p.stage = CAST(:stage AS text) AND NOT EXISTS (
        SELECT FROM unnest(CAST(:types AS text[]), CAST(:ids AS uuid[])) AS kept (entity_type, entity_id)
        WHERE kept.entity_type = p.entity_type AND kept.entity_id = p.entity_id
    )
""")
_OF_STAGE = text("""
    SELECT p.stage, p.entity_type, p.entity_id, coalesce(t.name, u.name, '(gone)') AS name, p.reason, p.run_id,
           p.since
    FROM temporal_pipeline.problem p
    LEFT JOIN topics t ON p.entity_type = 'topic' AND t.id = p.entity_id
    LEFT JOIN users u ON p.entity_type = 'user' AND u.id = p.entity_id
    WHERE p.stage = coalesce(CAST(:stage AS text), p.stage)
    ORDER BY p.stage, p.since, p.entity_id
""")


def record(database: Database, stage: str, entity: Entity, error: Exception, run_id: str) -> str:
    """Remember why `entity` failed in `stage`, in a transaction of its own. Returns the reason in one line.

    Raises `error` again when it will pass by itself: that was the server, and no fault of the entity.
    """
    if is_transient(error):
        raise error
    reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:500]
    with database.transaction() as connection:
        connection.execute(
            _RECORD,
            {"stage": stage, "type": entity.type, "id": entity.id, "reason": reason, "run_id": run_id},
        )
    return reason


def clear(connection: Connection, stage: str, *entities: Entity) -> None:
    """Forget what was wrong with `entities` in `stage`, in the transaction that does their work."""
    connection.execute(_CLEAR, {"stage": stage, **_columns(entities)})


def keep_only(connection: Connection, stage: str, entities: Collection[Entity]) -> None:
    """Forget the problems of a stage except those of `entities`, which still wait for it.

    What has succeeded meanwhile goes, and so does what no longer exists.
    """
    connection.execute(
        _KEEP_ONLY,
        {"stage": stage, **_columns(entities)},
    )


def _columns(entities: Collection[Entity]) -> dict[str, list[object]]:
    return {"types": [entity.type for entity in entities], "ids": [entity.id for entity in entities]}


def of_stage(connection: Connection, stage: str | None = None) -> Sequence[Row[tuple[object, ...]]]:
    """Rows (stage, entity_type, entity_id, name, reason, run_id, since) that wait for a successful run."""
    return connection.execute(_OF_STAGE, {"stage": stage}).all()
