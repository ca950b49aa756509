"""Dagster's history is pruned on a real storage, and what the UI shows of each asset and check survives."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.upkeep.history import KEPT, Pruned, prune
from tests.dagster_storage import stored_instance

OFTEN, SELDOM = dg.AssetKey("often"), dg.AssetKey("seldom")
REPORTED = dg.AssetKey("reported")


@dg.asset
def often() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(data_version=dg.DataVersion(uuid.uuid4().hex))


@dg.asset_check(asset=often)
def holds_often() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def seldom() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(data_version=dg.DataVersion("once"))


@dg.asset_check(asset=seldom)
def held_once() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False)


DEFS = dg.Definitions(assets=[often, seldom], asset_checks=[holds_often, held_once])


@pytest.fixture
def instance(server_url: str, database: Database, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with stored_instance(server_url, database, tmp_path / "home") as instance:
        yield instance


def run(instance: dg.DagsterInstance, *assets: str) -> str:
    job = DEFS.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(name) for name in assets]
    return job.execute_in_process(instance=instance, asset_selection=keys).run_id


def grow_old(instance: dg.DagsterInstance, *runs: str) -> None:
    """As if these runs, and all that belongs to no run by now, were four months old."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:
        connection.execute(
            text(
                "UPDATE runs SET update_timestamp = update_timestamp - interval '120 days' WHERE run_id = ANY (:r)"
            ),
            {"r": list(runs)},
        )
        connection.execute(
            text("UPDATE event_logs SET timestamp = timestamp - interval '120 days' WHERE run_id = ''")
        )


def count(instance: dg.DagsterInstance, table: str, where: str) -> int:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table} WHERE {where}")).scalar_one())


def shown(instance: dg.DagsterInstance) -> list[Any]:
    """What the UI says of assets and checks now: versions, checks, freshness, reports."""
    keys = [OFTEN, SELDOM, REPORTED]
    checks = [dg.AssetCheckKey(OFTEN, "holds_often"), dg.AssetCheckKey(SELDOM, "held_once")]
    storage = instance.event_log_storage
    events = [instance.get_latest_materialization_event(key) for key in keys]
    freshness = storage.get_freshness_state_records(keys)
    return [
        [(e.run_id, e.asset_materialization, dict(e.tags or {})) if e else None for e in events],
        [instance.get_latest_data_version_record(key) for key in keys],
        {key: r.event for key, r in storage.get_latest_asset_check_execution_by_key(checks).items()},
        {key: record.freshness_state for key, record in freshness.items()},
    ]


def test_old_runs_go_and_the_latest_of_everything_stays(instance: dg.DagsterInstance) -> None:
    first = run(instance, "often", "seldom")
    middle = [run(instance, "often") for _ in range(3)]
    for state in (FreshnessState.PASS, FreshnessState.FAIL):
        instance._report_runless_asset_event(
            FreshnessStateChange(
                key=OFTEN, new_state=state, previous_state=FreshnessState.UNKNOWN, state_change_timestamp=1.0
            )
        )
    for version in ("1", "2", "3"):
        instance.report_runless_asset_event(
            dg.AssetMaterialization("reported", tags={"dagster/data_version": version})
        )
    grow_old(instance, first, *middle)
    last = run(instance, "often")
    before = shown(instance)
    # Of the old ones the first holds the only materialization of an asset and its check.
    foretold = prune(instance, dry_run=True)
    assert len(instance.get_run_ids()) == 5
    assert prune(instance) == foretold == Pruned(runs=3, events=3, kept=1)
    assert set(instance.get_run_ids()) == {first, last}
    assert shown(instance) == before
    for table in ("event_logs", "run_tags", "asset_check_executions"):
        assert count(instance, table, f"run_id NOT IN ('', '{first}', '{last}')") == 0, table
    assert count(instance, "asset_event_tags", "event_id NOT IN (SELECT id FROM event_logs)") == 0
    assert prune(instance) == Pruned(runs=0, events=0, kept=1)


def test_young_runs_stay(instance: dg.DagsterInstance) -> None:
    runs = {run(instance, "often") for _ in range(2)}
    assert prune(instance) == Pruned(0, 0, 0)
    assert set(instance.get_run_ids()) == runs
    assert timedelta(days=30) < KEPT
