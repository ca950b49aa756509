"""The jobs `maintain` and `verify` as Dagster runs them: what they show, what they leave alone, when they fail."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.definitions import definitions
from tests.crosshot_rows import add_content, add_topic, at
from tests.defs.periods.world import cut, digest, rows
from tests.defs.upkeep.test_tidying import killed_while_closing

PUT_AWAY = ("archive_superseded_periods", "prune_run_history")


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return definitions()


@pytest.fixture
def instance(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DATABASE_URL", database.url)
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(
    defs: dg.Definitions, instance: dg.DagsterInstance, job: str, config: dict[str, Any] | None = None
) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(job).execute_in_process(
        run_config=config or {}, instance=instance, raise_on_error=False
    )


def shown(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """What each step has told."""
    return {
        event.step_key: {key: value.value for key, value in event.step_output_data.metadata.items()}
        for event in result.all_events
        if event.is_successful_output and event.step_key is not None
    }


def test_maintain_does_everything_and_tells_it(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    killed_while_closing(database, days_ago=True)
    result = run(defs, instance, "maintain")
    assert result.success
    told = shown(result)
    assert told["finish_old_drafts"]["found"] == 1
    assert told["finish_old_drafts"]["left"] == 0
    assert told["name_forgotten_events"]["events"] == 0
    assert told["vacuum_our_tables"]["left_out"] == 0
    assert "| analysis_periods |" in told["vacuum_our_tables"]["table"]
    assert told["archive_superseded_periods"]["periods"] == 0
    assert told["prune_run_history"]["runs"] == 0


def test_a_dry_run_shows_it_and_writes_nothing(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    killed_while_closing(database, days_ago=True)
    before = digest(database)
    result = run(defs, instance, "maintain", {"resources": {"scope": {"config": {"dry_run": True}}}})
    assert result.success
    assert digest(database) == before
    told = shown(result)
    assert all(step["dry_run"] for step in told.values())
    assert told["finish_old_drafts"]["found"] == 1
    assert "| AI agents |" in told["finish_old_drafts"]["table"]
    [state] = rows(database, "SELECT reltuples FROM pg_class WHERE relname = 'analysis_periods'")
    assert state.reltuples != 1


def test_the_weekly_schedule_leaves_the_rest_to_the_monthly_one(
    defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    for name, silent in (("maintain_weekly", True), ("maintain_monthly", False)):
        schedule = defs.resolve_schedule_def(name)
        with dg.build_schedule_context(instance, scheduled_execution_time=datetime(2026, 3, 1)) as context:
            [request] = schedule.evaluate_tick(context).run_requests
        result = run(defs, instance, "maintain", dict(request.run_config))
        assert result.success
        told = shown(result)
        assert [("table" in told.get(step, {})) for step in PUT_AWAY] == [not silent] * 2
        assert "table" in told["vacuum_our_tables"]


def test_a_step_that_fails_stops_no_other(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    impatient = {"resources": {"scope": {"config": {"max_wait": 0}}}}
    with database.exclusive("periods"):
        result = run(defs, instance, "maintain", impatient)
    assert not result.success
    assert [event.step_key for event in result.all_events if event.is_step_failure] == ["finish_old_drafts"]
    assert set(shown(result)) == {"name_forgotten_events", "vacuum_our_tables", *PUT_AWAY}


def test_verify_shows_every_claim_and_fails_for_one_that_does_not_hold(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    result = run(defs, instance, "verify")
    assert result.success
    told = shown(result)["examine_claims"]
    assert told["do_not_hold"] == 0
    assert told["claims"] > 20
    with database.transaction() as connection:
        topic, other = add_topic(connection), add_topic(connection, name="other")
        add_content(connection, topic=topic, crawled_at=at(1))
        add_content(connection, topic=other, crawled_at=at(1))
    cut(database)
    with database.transaction() as connection:
        # Each points to the other's period.
        connection.execute(
            text(
                "UPDATE contents c SET analysis_period_id = p.id FROM analysis_periods p "
                "WHERE p.entity_id <> c.topic_id"
            )
        )
    before = digest(database)
    result = run(defs, instance, "verify")
    assert not result.success
    assert digest(database) == before
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data is not None
    assert failure.user_failure_data.metadata["do_not_hold"].value >= 1
    assert "does not hold" in str(failure.user_failure_data.description)
    assert "| does not hold |" in str(failure.user_failure_data.metadata["table"].value)
    assert [event for event in result.all_events if event.is_step_up_for_retry] == []
