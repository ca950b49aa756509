"""Dagster's own history, which grows without end: old runs and events go, what the UI shows of each asset stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select

# Enough to compare with the same season of the quarter before; some 50 runs a day are 300 MB in that time.
KEPT = timedelta(days=90)
EVENTS_AT_ONCE = 1000
# Events that belong to no run: reports of the sensor, changes of freshness.
RUNLESS = ""


@dataclass(frozen=True)
class Pruned:
    """How many runs and events without a run went, or would go; and how many old runs stay for what they hold."""

    runs: int
    events: int
    kept: int


def prune(instance: dg.DagsterInstance, older_than: timedelta = KEPT, *, dry_run: bool = False) -> Pruned:
    """Delete finished runs that ended longer ago, with their events and checks, and as old events without a run.

    Whatever is the latest of its kind stays, and its run with it: of each asset and partition the latest event of
    every type (materialization, observation, freshness), of each check the latest evaluation and the latest
    with another outcome. Killed at any point, the next call goes on.
    """
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    before = datetime.now(UTC) - older_than
    needed = _needed(storage)
    old = instance.get_run_ids(dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=before))
    going = [run for run in old if run not in needed]
    if not dry_run:
        _delete(instance, storage, going)
    return Pruned(len(going), _prune_runless(storage, before, dry_run), len(old) - len(going))


def _latest_events() -> Select[tuple[int]]:
    events = SqlEventLogStorageTable.c
    return (
        select(func.max(events.id))
        .where(events.asset_key.is_not(None))
        .group_by(events.asset_key, events.dagster_event_type, events.partition)
    )


def _needed(storage: SqlEventLogStorage) -> set[str]:
    """Ids of runs that hold something that is the latest of its kind."""
    events, checks = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
    latest_checks = select(func.max(checks.id)).group_by(
        checks.asset_key, checks.check_name, checks.partition, checks.execution_status
    )
    with storage.index_connection() as connection:
        holders = [
            *connection.scalars(select(events.run_id).where(events.id.in_(_latest_events()))),
            *connection.scalars(select(checks.run_id).where(checks.id.in_(latest_checks))),
            *connection.scalars(select(AssetKeyTable.c.last_run_id)),
        ]
    return {run for run in holders if run}


def _delete(instance: dg.DagsterInstance, storage: SqlEventLogStorage, runs: Sequence[str]) -> None:
    for run in runs:
        # First what Dagster leaves behind: a run that is there is found again by the next call.
        with storage.index_connection() as connection:
            connection.execute(
                delete(AssetCheckExecutionsTable).where(AssetCheckExecutionsTable.c.run_id == run)
            )
        storage.delete_events(run)
        instance.delete_run(run)


def _prune_runless(storage: SqlEventLogStorage, before: datetime, dry_run: bool) -> int:
    events = SqlEventLogStorageTable.c
    # Dagster writes times of UTC without saying so.
    old: ColumnElement[bool] = and_(
        events.run_id == RUNLESS,
        events.timestamp < before.replace(tzinfo=None),
        or_(events.asset_key.is_(None), events.id.not_in(_latest_events())),
    )
    with storage.index_connection() as connection:
        ids = list(connection.scalars(select(events.id).where(old)))
        if dry_run:
            return len(ids)
        for begin in range(0, len(ids), EVENTS_AT_ONCE):
            some = ids[begin : begin + EVENTS_AT_ONCE]
            connection.execute(delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(some)))
            connection.execute(delete(SqlEventLogStorageTable).where(events.id.in_(some)))
    return len(ids)
