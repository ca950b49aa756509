"""Bringing the trend view up to date, if anything changed since it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.schema.upgrade import require_head

queries = Queries(__package__)

STAGE = "trends"


@dataclass(frozen=True)
class Refresh:
    """The view after a refresh, or as it was found: its rows and what identifies its content."""

    refreshed: bool
    rows: int
    digest: str


def refresh_view(database: Database) -> Refresh:
    """Refresh `mv_period_metrics_trend` when it does not say what the active periods say.

    Readers of the view are never blocked. Only one process at a time does this; another one waits, then
    raises PipelineError with exit code 5.
    """
    with database.exclusive(STAGE):
        with database.transaction(read_only=True) as connection:
            require_head(connection)
            populated = is_populated(connection)
            state = connection.execute(queries["digests"]).one() if populated else None
        if state is not None and state.view == state.periods:
            return Refresh(False, state.rows, state.view)
        with database.transaction() as connection:
            connection.execute(queries["refresh_concurrently" if populated else "fill"])
        with database.transaction(read_only=True) as connection:
            state = connection.execute(queries["digests"]).one()
    return Refresh(True, state.rows, state.view)


def is_populated(connection: Connection) -> bool:
    """Whether the view was ever filled; reading it before that is an error."""
    return bool(connection.scalar(queries["view_is_populated"]))


def disagreements(connection: Connection) -> Sequence[Row[Any]]:
    """Where view and active periods differ: rows (entity_type, entity_id, period_number, reason), or the view
    itself as (view, reason) when it was never filled.
    """
    return connection.execute(
        queries["disagreements" if is_populated(connection) else "never_populated"]
    ).all()
