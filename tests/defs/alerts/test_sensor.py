"""What Dagster knows gets into the outbox and out of it, whatever is down meanwhile; each thing once."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from sqlalchemy import Row

from temporal_pipeline.alerts.outbox import KEPT
from temporal_pipeline.database import Database
from temporal_pipeline.definitions import definitions
from temporal_pipeline.defs.alerts import event_log
from temporal_pipeline.defs.contents.assets import content_relevance
from temporal_pipeline.scope import Scope
from tests.alerts.receiver import SECRET, Receiver, receiving, rows


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return definitions()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as receiver:
        monkeypatch.setenv("TEMPORAL_PIPELINE_ALERT_WEBHOOKS", f"ops=json+{receiver.url}")
        yield receiver


def tick(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database, cursor: str | None = None
) -> Any:
    """One evaluation of the sensor, as the daemon gets it."""
    with dg.build_sensor_context(
        instance, cursor, definitions=defs, resources={"database": database}
    ) as context:
        return defs.resolve_sensor_def("alerts").evaluate_tick(context)


@dg.op
def fails() -> None:
    raise ValueError("hush")


@dg.job
def nightly() -> None:
    fails()


def fail_a_run(instance: dg.DagsterInstance) -> str:
    return nightly.execute_in_process(instance=instance, raise_on_error=False).run_id


def report_freshness(instance: dg.DagsterInstance, state: FreshnessState, at: datetime) -> None:
    """As Dagster's daemon does for an asset that has a policy."""
    instance.report_runless_asset_event(
        FreshnessStateChange(
            key=dg.AssetKey("trends"),
            new_state=state,
            previous_state=FreshnessState.PASS,
            state_change_timestamp=at.timestamp(),
        )
    )


def alerts(database: Database) -> Sequence[Row[Any]]:
    return rows(database, "alert")


def test_a_failed_run_is_told_once(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database, receiver: Receiver
) -> None:
    run = fail_a_run(instance)
    answer = tick(defs, instance, database)
    assert answer.skip_message == "1 recorded; ops: 1 delivered"
    assert answer.run_requests == []
    [document] = receiver.documents
    [told] = document["alerts"]
    assert (told["subject"], told["state"], told["severity"]) == (f"run:{run}", "failed", "critical")
    assert told["title"] == f"Run {run[:8]} of job nightly failed in step fails"
    assert "hush" not in str(document)
    for cursor in (answer.cursor, None, "nonsense"):
        assert tick(defs, instance, database, cursor).skip_message == "0 recorded"
    assert len(receiver.received) == 1


def test_of_a_failed_run_an_error_of_ours_is_told(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    for dry_run in (True, False):
        dg.materialize(
            [content_relevance],
            resources={"database": database, "scope": Scope(entities=["Nobody"])},
            run_config={"resources": {"scope": {"config": {"entities": ["Nobody"], "dry_run": dry_run}}}},
            instance=instance,
            raise_on_error=False,
        )
    tick(defs, instance, database)
    [told] = alerts(database)
    assert told.title.endswith(" failed in step content_relevance: " + told.details["reason"])
    assert told.details["reason"].startswith("there is no topic or user 'Nobody'")


def test_a_run_that_others_ended_is_told_and_holds_up_nothing(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    killed = instance.create_run_for_job(nightly, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(killed, "its process ended before the run did")
    later = fail_a_run(instance)
    assert tick(defs, instance, database).skip_message.startswith("2 recorded")
    assert [one.details["run_id"] for one in alerts(database)] == [killed.run_id, later]
    title = f"Run {killed.run_id[:8]} of job nightly failed and was ended from outside"
    assert alerts(database)[0].title == title


def test_of_checks_only_those_that_fail_and_block(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    @dg.asset
    def periods() -> None:
        return None

    def check(name: str, *, blocking: bool, passed: bool, severity: dg.AssetCheckSeverity) -> Any:
        @dg.asset_check(asset=periods, name=name, blocking=blocking)
        def checked() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=passed, severity=severity)

        return checked

    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    checks = [
        check("holds", blocking=True, passed=True, severity=error),
        check("does_not_block", blocking=False, passed=False, severity=error),
        check("warns", blocking=True, passed=False, severity=warn),
        check("stops", blocking=True, passed=False, severity=error),
    ]
    dg.materialize([periods, *checks], instance=instance, raise_on_error=False)
    tick(defs, instance, database)
    [told] = [one for one in alerts(database) if one.details["kind"] == "check"]
    assert (told.about, told.details["check"], told.severity) == ("periods", "stops", "critical")
    assert told.title.startswith("Check stops of periods failed and stopped what follows, in run ")


def test_freshness_that_is_missed_is_told_each_time(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    now = datetime.now(UTC)
    cursor = None
    for state in (FreshnessState.WARN, FreshnessState.FAIL, FreshnessState.PASS, FreshnessState.FAIL):
        now += timedelta(minutes=1)
        report_freshness(instance, state, now)
        for _ in range(2):
            cursor = tick(defs, instance, database, cursor).cursor
    assert [(one.subject, one.state) for one in alerts(database)] == [("freshness:trends", "missed")] * 2
    assert alerts(database)[1].since == now


def test_what_cannot_be_recorded_is_recorded_later(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database, legacy_database: Database
) -> None:
    cursor = tick(defs, instance, database).cursor
    first = fail_a_run(instance)
    down = Database("postgresql://somebody:secret@127.0.0.1:1/crosshot")
    for unusable, reason in ((down, "cannot connect"), (legacy_database, "not at head")):
        answer = tick(defs, instance, unusable, cursor)
        assert reason in answer.skip_message
        assert "secret" not in answer.skip_message
        assert answer.cursor == cursor
    second = fail_a_run(instance)
    assert tick(defs, instance, database, cursor).skip_message.startswith("2 recorded")
    assert {one.details["run_id"] for one in alerts(database)} == {first, second}


def test_a_receiver_that_fails_holds_up_no_recording(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database, receiver: Receiver
) -> None:
    receiver.answers = [(500, {})]
    fail_a_run(instance)
    answer = tick(defs, instance, database)
    assert (
        "1 recorded; ops: 1 not delivered (HTTP 500 Internal Server Error), next attempt "
        in answer.skip_message
    )
    assert SECRET not in answer.skip_message
    fail_a_run(instance)
    assert tick(defs, instance, database, answer.cursor).skip_message == "1 recorded"
    assert len(alerts(database)) == 2


def test_without_a_channel_it_says_so(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEMPORAL_PIPELINE_ALERT_WEBHOOKS", raising=False)
    told = "0 recorded; no channel: TEMPORAL_PIPELINE_ALERT_WEBHOOKS is not set"
    assert tick(defs, instance, database).skip_message == told
    monkeypatch.setenv("TEMPORAL_PIPELINE_ALERT_WEBHOOKS", "https://hooks.example.org/hush1")
    fail_a_run(instance)
    answer = tick(defs, instance, database)
    assert "entry 1 is not a webhook" in answer.skip_message
    assert "hush1" not in answer.skip_message
    # What there is to tell is in the outbox all the same.
    assert len(alerts(database)) == 1


def test_what_the_outbox_has_forgotten_is_not_told_again(instance: dg.DagsterInstance) -> None:
    fail_a_run(instance)
    now = datetime.now(UTC)
    told, cursor = event_log.alerts_since(instance, None, now)
    assert len(told) == 1
    # A number that was given before, committed late.
    assert len(event_log.alerts_since(instance, cursor, now)[0]) == 1
    assert event_log.alerts_since(instance, cursor, now + KEPT) == ([], cursor)
    assert event_log.alerts_since(instance, None, now + KEPT) == ([], cursor)


def test_a_long_pause_is_caught_up_with_in_steps(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor: str | None = "0"
    monkeypatch.setattr(event_log, "AT_ONCE", 2)
    monkeypatch.setattr(event_log, "LOOKED_AT_AGAIN", 0)
    runs = [fail_a_run(instance) for _ in range(3)]
    now, told = datetime.now(UTC), []
    for _ in range(3):
        some, cursor = event_log.alerts_since(instance, cursor, now + timedelta(days=2))
        told += [alert.details["run_id"] for alert in some]
    assert told == runs
