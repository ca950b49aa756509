"""Dagster's job `reanalyse`: one run is one re-analysis."""

from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events import checks as of_events
from temporal_pipeline.defs.periods import checks as of_periods
from temporal_pipeline.defs.periods.jobs import CHANGED, reanalyse
from temporal_pipeline.defs.snapshots import checks as of_snapshots
from tests.defs.periods.world import periods_of
from tests.operations.reanalysis.world import World

CHECKS = (
    of_periods.active_periods_do_not_overlap,
    of_periods.entity_counters_agree_with_periods,
    of_snapshots.content_count_equals_members,
    of_events.every_upward_volume_event_has_evidence,
    of_events.evidence_is_no_older_than_its_event,
    of_events.one_open_event_per_key,
)


def run(database: Database, *, expects_success: bool = True, **config: Any) -> dg.ExecuteInProcessResult:
    return reanalyse.execute_in_process(
        run_config={"ops": {"analyse_again": {"config": config}}},
        resources={"database": database},
        raise_on_error=expects_success,
    )


def test_a_run_tells_the_old_period_against_the_new_one(database: Database, world: World) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE contents SET text = 'edited', metrics = '{\"like_count\": 7}'"))
    result = run(database, entity="AI agents", period=0, reason=" posts were edited ")
    old, new = sorted(
        (p for p in periods_of(database, world.topic.id) if p.period_number == 0), key=lambda p: p.analyzed_at
    )
    observations = {
        event.asset_key.to_user_string(): event for event in result.get_asset_observation_events()
    }
    assert set(observations) == set(CHANGED)
    told = {
        key: value.value
        for key, value in observations[
            "analysis_periods"
        ].asset_observation_data.asset_observation.metadata.items()
    }
    assert (told["old"], told["new"], told["reason"]) == (str(old.id), str(new.id), "posts were edited")
    assert told["members"] == new.content_count == old.content_count
    assert "| posts with another text |  | 73 |" in told["old_against_new"]
    assert "| events found | 1 | 1 |" in told["old_against_new"]
    assert (
        f"| total_likes | {old.metrics['total_likes']} | {7 * new.content_count} |" in told["old_against_new"]
    )
    assert broken_checks(database) == set()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"entity": "AI agents", "period": 0, "reason": " "}, "it is empty"),
        ({"entity": "AI agents", "period": -1, "reason": "x"}, "greater than or equal to 0"),
        ({"entity": "AI agent", "period": 0, "reason": "x"}, "there is no topic or user 'AI agent'"),
        ({"entity": "AI agents", "period": 2, "reason": "x"}, "has no period 2"),
    ],
)
def test_what_cannot_be_is_said(database: Database, world: World, config: dict[str, Any], said: str) -> None:
    result = run(database, expects_success=False, **config)
    [failure] = result.get_step_failure_events()
    assert said in str(failure.step_failure_data.error)
    assert {p.status for p in periods_of(database, world.topic.id)} == {"active"}


def test_what_is_missing_is_asked_for_before_it_runs(database: Database) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="reason"):
        run(database, entity="AI agents", period=0)


def broken_checks(database: Database) -> set[str]:
    """The checks of periods, snapshots and events that do not hold."""
    job = dg.Definitions(
        asset_checks=list(CHECKS),
        resources={"database": database},
        jobs=[dg.define_asset_job("check", selection=dg.AssetSelection.all_asset_checks())],
    ).resolve_job_def("check")
    result = job.execute_in_process()
    evaluations = result.get_asset_check_evaluations()
    assert len(evaluations) == len(CHECKS)
    return {evaluation.check_name for evaluation in evaluations if not evaluation.passed}
