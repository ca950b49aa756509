"""The sensor against a real database: every answer, and a tick followed by its run."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy import make_url, text, update

from temporal_pipeline.abandoned_runs import process_tags
from temporal_pipeline.database import Database
from temporal_pipeline.definitions import definitions
from temporal_pipeline.defs.crosshot.sensors import TRIED
from temporal_pipeline.defs.events.searching import detect_events
from tests.crosshot_rows import add_content, add_task, add_topic, at
from tests.defs.events.world import add_period, crawl_hour
from tests.defs.periods.world import cut, periods_of, rows

DRY = {"resources": {"scope": {"config": {"dry_run": True}}}}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return definitions()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: object, cursor: str | None = None
) -> Any:
    """One evaluation of the sensor, as the daemon gets it."""
    with dg.build_sensor_context(
        instance, cursor, definitions=defs, resources={"database": database}
    ) as context:
        return defs.resolve_sensor_def("new_crawls").evaluate_tick(context)


def add_run(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    job: str = "update",
    tags: dict[str, str] | None = None,
    run_config: dict[str, Any] | None = None,
) -> str:
    location = RegisteredCodeLocationOrigin("temporal_pipeline")
    run = dg.DagsterRun(
        job_name=job,
        run_id=str(uuid.uuid4()),
        status=status,
        tags=tags,
        run_config=run_config,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job),
    )
    return instance.add_run(run).run_id


def ended(instance: dg.DagsterInstance, run: str, minutes_ago: float) -> None:
    """As if the run had ended so long ago."""
    storage = instance.run_storage
    assert isinstance(storage, SqlRunStorage)
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    with storage.connect() as connection:
        connection.execute(
            update(RunsTable)
            .where(RunsTable.c.run_id == run)
            .values(end_time=at.timestamp(), update_timestamp=at)
        )


def add_due_content(database: Database) -> uuid.UUID:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_content(connection, topic=topic)
    return topic


def test_due_contents_request_a_run_of_everything_but_the_migration(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    add_due_content(database)
    [request] = tick(defs, instance, database).run_requests
    assert request.run_config == {"resources": {"scope": {"config": {"automatic": True}}}}
    every_asset = defs.resolve_asset_graph().materializable_asset_keys
    assert set(request.asset_selection) == every_asset - {dg.AssetKey("temporal_schema")}
    assert {dg.AssetKey("content_relevance"), dg.AssetKey("mv_period_metrics_trend")} < every_asset


def test_nothing_waits(defs: dg.Definitions, instance: dg.DagsterInstance, database: Database) -> None:
    answer = tick(defs, instance, database)
    assert answer.run_requests == []
    assert "nothing waits" in answer.skip_message
    assert answer.asset_events == []


def test_an_entity_whose_crawl_is_running_waits(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    topic = add_due_content(database)
    with database.transaction() as connection:
        add_task(connection, topic=topic, started_at=at(0), status="running")
        connection.execute(text("UPDATE contents SET discovered_at = now(), crawled_at = now()"))
    answer = tick(defs, instance, database)
    assert answer.run_requests == []
    assert "1 because its crawl is running" in answer.skip_message


def test_a_sensors_run_waits_until_half_an_interval_has_passed(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    topic = add_due_content(database)
    cut(database)
    with database.transaction() as connection:
        content = add_content(connection, topic=topic, crawled_at=at(1))
        connection.execute(text("UPDATE contents SET discovered_at = now()"))
    assert "too little time since its last period" in tick(defs, instance, database).skip_message
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE contents SET crawled_at = crawled_at + :more WHERE id = :id"),
            {"id": content, "more": timedelta(hours=3)},
        )
    assert len(tick(defs, instance, database).run_requests) == 1


def test_an_unfinished_run_of_any_job_is_waited_for(defs: dg.Definitions, database: Database) -> None:
    add_due_content(database)
    for status, job in product(("QUEUED", "STARTING", "STARTED", "CANCELING"), ("update", "__ASSET_JOB")):
        with dg.DagsterInstance.ephemeral() as instance:
            run = add_run(instance, dg.DagsterRunStatus[status], job)
            answer = tick(defs, instance, database)
            assert answer.run_requests == []
            assert f"run {run} is not finished yet" in answer.skip_message


def test_a_run_whose_process_was_killed_is_not_waited_for(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    add_due_content(database)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    tags = {"temporal_pipeline/process": str(process.pid)}
    started = dg.DagsterRunStatus.STARTED
    elsewhere = add_run(instance, started, tags={**tags, "temporal_pipeline/host": "another machine"})
    killed = add_run(instance, started, tags={**tags, "temporal_pipeline/host": socket.gethostname()})
    assert f"run {elsewhere} is not finished yet" in tick(defs, instance, database).skip_message
    run = instance.get_run_by_id(killed)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    instance.delete_run(elsewhere)
    assert "the last run did not succeed; the next try is" in tick(defs, instance, database).skip_message
    ended(instance, killed, minutes_ago=2)
    assert len(tick(defs, instance, database).run_requests) == 1


def test_another_process_that_was_given_the_same_number_is_not_waited_for(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    add_due_content(database)
    before = {**process_tags(), "temporal_pipeline/process": f"{os.getpid()}:12"}
    run = add_run(instance, dg.DagsterRunStatus.STARTED, tags=before)
    tick(defs, instance, database)
    ended_run = instance.get_run_by_id(run)
    assert ended_run is not None
    assert ended_run.status == dg.DagsterRunStatus.FAILURE


def test_a_run_whose_process_is_a_zombie_is_not_waited_for(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    add_due_content(database)
    # Reaped at the end of the block only.
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        tags = process_tags() | {"temporal_pipeline/process": str(process.pid)}
        add_run(instance, dg.DagsterRunStatus.STARTED, tags=tags)
        assert "the last run did not succeed" in tick(defs, instance, database).skip_message


def test_a_run_in_a_process_that_lives_is_waited_for(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    add_due_content(database)
    run = add_run(instance, dg.DagsterRunStatus.STARTED, tags=process_tags())
    assert f"run {run} is not finished yet" in tick(defs, instance, database).skip_message


def test_a_run_that_left_contents_waiting_is_followed_by_another(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    add_due_content(database)
    [first] = tick(defs, instance, database).run_requests
    [again] = tick(defs, instance, database).run_requests
    assert again.run_key == first.run_key
    keys = {first.run_key}
    for status in ("FAILURE", "CANCELED", "SUCCESS"):
        ended(instance, add_run(instance, dg.DagsterRunStatus[status]), minutes_ago=2)
        [next_request] = tick(defs, instance, database).run_requests
        assert next_request.run_key not in keys
        keys.add(next_request.run_key)


def test_a_run_that_failed_is_followed_by_another_though_nothing_waits(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    ended(instance, add_run(instance, dg.DagsterRunStatus.SUCCESS), minutes_ago=30)
    assert "nothing waits" in tick(defs, instance, database).skip_message
    for _ in range(3):
        ended(instance, add_run(instance, dg.DagsterRunStatus.FAILURE), minutes_ago=3)
    answer = tick(defs, instance, database)
    assert answer.run_requests == []
    assert "the last 3 runs did not succeed; the next try is at 20" in answer.skip_message
    last = add_run(instance, dg.DagsterRunStatus.FAILURE)
    ended(instance, last, minutes_ago=9)
    [request] = tick(defs, instance, database, cursor="whatever").run_requests
    assert request.run_key.endswith(last)
    # A dry run and other jobs have done nothing about it.
    dry = add_run(instance, dg.DagsterRunStatus.SUCCESS, run_config=DRY)
    ended(instance, dry, minutes_ago=1)
    ended(instance, add_run(instance, dg.DagsterRunStatus.SUCCESS, job="maintain"), minutes_ago=1)
    [same] = tick(defs, instance, database).run_requests
    assert same.run_key == request.run_key
    ended(instance, add_run(instance, dg.DagsterRunStatus.SUCCESS), minutes_ago=0)
    assert "nothing waits" in tick(defs, instance, database).skip_message


def test_a_launched_run_says_in_which_process_it_is(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.url)
    result = defs.resolve_job_def("verify").execute_in_process(instance=instance)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert process_tags().items() <= run.tags.items()


def test_a_schema_that_is_not_at_head_is_named_with_the_remedy(
    defs: dg.Definitions, instance: dg.DagsterInstance, legacy_database: Database
) -> None:
    answer = tick(defs, instance, legacy_database, cursor="kept")
    assert answer.run_requests == []
    assert "not at head; run `temporal-pipeline update` or the job `migrate`" in answer.skip_message
    assert answer.cursor == "kept"


def test_a_database_that_is_down_is_no_failing_tick(
    defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    unreachable = Database("postgresql://somebody:secret@127.0.0.1:1/crosshot")
    answer = tick(defs, instance, unreachable)
    assert answer.run_requests == []
    assert "cannot connect to" in answer.skip_message
    assert "secret" not in answer.skip_message


def test_contents_are_reported_when_there_is_new_work_and_only_then(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    topic = add_due_content(database)
    first = tick(defs, instance, database)
    [report] = first.asset_events
    assert report.asset_key == dg.AssetKey("contents")
    assert report.metadata["contents_ready"].value == 1
    assert report.metadata["entities_waiting"].value == 1
    assert tick(defs, instance, database, first.cursor).asset_events == []
    with database.transaction() as connection:
        add_content(connection, topic=topic)
    second = tick(defs, instance, database, first.cursor)
    [other] = second.asset_events
    assert other.tags["dagster/data_version"] != report.tags["dagster/data_version"]
    cut(database)
    third = tick(defs, instance, database, second.cursor)
    assert third.asset_events == []
    assert third.cursor == second.cursor


def test_a_cursor_that_cannot_be_read_starts_afresh(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    add_due_content(database)
    fresh = tick(defs, instance, database)
    for cursor in ("", "{not json", "\x00\N{SNOWMAN}", "x" * 100_000):
        answer = tick(defs, instance, database, cursor)
        assert len(answer.run_requests) == 1
        assert len(answer.asset_events) == 1
        assert answer.cursor == fresh.cursor


def test_a_tick_leaves_no_connection_behind(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    database: Database,
    server_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_due_content(database)
    database.engine.dispose()
    monkeypatch.setenv("DATABASE_URL", database.url)
    resource = defs.get_repository_def().get_top_level_resources()["database"]
    assert len(tick(defs, instance, resource).run_requests) == 1
    observer = Database(server_url)
    try:
        [row] = rows(
            observer,
            "SELECT count(*) AS connections FROM pg_stat_activity WHERE datname = :name",
            name=make_url(database.url).database,
        )
    finally:
        observer.dispose()
    assert row.connections == 0


def run_requested(
    defs: dg.Definitions, instance: dg.DagsterInstance, request: dg.RunRequest
) -> dg.ExecuteInProcessResult:
    """What the daemon's launcher does with a request, in this process."""
    return defs.resolve_job_def("update").execute_in_process(
        run_config=request.run_config,
        asset_selection=request.asset_selection,
        instance=instance,
        raise_on_error=False,
    )


def unsynced(defs: dg.Definitions, instance: dg.DagsterInstance) -> set[str]:
    """The assets that the UI shows as unsynced."""
    graph = defs.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    stale = {key for key in graph.materializable_asset_keys if resolver.get_status(key) == StaleStatus.STALE}
    return {key.to_user_string() for key in stale}


@pytest.mark.slow
def test_a_tick_and_its_run_bring_new_crawls_into_periods(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic = add_due_content(database)
    monkeypatch.setenv("DATABASE_URL", database.url)
    cursor = None
    for number in range(2):
        answer = tick(defs, instance, database, cursor)
        cursor = answer.cursor
        for report in answer.asset_events:
            instance.report_runless_asset_event(report)
        [request] = answer.run_requests
        assert unsynced(defs, instance) == ({"content_relevance"} if number else set())
        result = run_requested(defs, instance, request)
        assert result.success
        ran = {event.asset_key for event in result.get_asset_materialization_events()}
        assert ran == set(request.asset_selection)
        checked = {evaluation.asset_key for evaluation in result.get_asset_check_evaluations()}
        assert dg.AssetKey("analysis_periods") in checked
        assert dg.AssetKey("temporal_schema") not in checked
        assert unsynced(defs, instance) == set()
        assert "nothing waits" in tick(defs, instance, database, cursor).skip_message
        with database.transaction() as connection:
            add_content(connection, topic=topic, crawled_at=at(6))
    periods = periods_of(database, topic)
    assert [(period.status, period.content_count) for period in periods] == [("active", 1), ("active", 1)]


def test_a_crawl_without_contents_asks_for_another_look_at_an_open_event(
    defs: dg.Definitions, instance: dg.DagsterInstance, database: Database
) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for hour in range(10):
            crawl_hour(connection, hour, 30 if hour == 9 else 2, topic=topic)
        add_period(connection, "topic", topic, 0, at(0), at(10.5))
    detect_events(database, "burst")
    assert "nothing waits" in tick(defs, instance, database).skip_message
    with database.transaction() as connection:
        add_task(connection, topic=topic, started_at=at(11), found=0)
    [request] = tick(defs, instance, database).run_requests
    [again] = tick(defs, instance, database).run_requests
    assert again.run_key == request.run_key
    run = add_run(instance, dg.DagsterRunStatus.SUCCESS, tags={"dagster/run_key": request.run_key})
    answer = tick(defs, instance, database)
    assert (answer.run_requests, answer.skip_message.partition(":")[0]) == ([], TRIED)
    instance.delete_run(run)
    detect_events(database, "quiet")
    assert "nothing waits" in tick(defs, instance, database).skip_message


def test_a_run_of_the_sensor_never_migrates(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    legacy_database: Database,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_due_content(database)
    [request] = tick(defs, instance, database).run_requests
    monkeypatch.setenv("DATABASE_URL", legacy_database.url)
    result = run_requested(defs, instance, request)
    assert not result.success
    failed = [event for event in result.all_events if event.is_step_failure]
    [failure] = [event.step_failure_data for event in failed if event.step_key == "content_relevance"]
    told = str(failure.error)
    assert "the schema is not at 20260301_0300 but at no revision" in told
    assert "remedy: run `temporal-pipeline migrate`" in told
    assert rows(legacy_database, "SELECT to_regclass('analysis_periods') AS found")[0].found is None
