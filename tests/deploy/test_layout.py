"""The same layout as docker-compose.yml, without containers: from a new crawl to a run that succeeded."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from temporal_pipeline.database import Database
from tests.crosshot_rows import add_content, add_task, add_topic, at
from tests.deploy.stack import Stack

# A minute and more, most of which is starting Dagster's programs one after the other.
pytestmark = pytest.mark.acceptance

RUNS = "{ runsOrError { ... on Runs { results { jobName status tags { key value } } } } }"
LAUNCH = """
mutation Launch($job: String!) {
  launchRun(executionParams: {
    selector: {
      repositoryLocationName: "temporal_pipeline", repositoryName: "__repository__", pipelineName: $job
    },
    runConfigData: "{}"
  }) { __typename ... on PythonError { message } ... on UnauthorizedError { message } }
}
"""
RUN_SECONDS = 240


@pytest.fixture(scope="module")
def layout(migrated: Stack) -> Iterator[Stack]:
    """A crawl that nobody has analysed yet, and every service up."""
    application = Database(migrated.url("crosshot"))
    with application.transaction() as connection:
        topic = add_topic(connection, "Night trains")
        task = add_task(connection, topic=topic, started_at=at(0))
        for hour in range(3):
            add_content(connection, topic=topic, task=task, crawled_at=at(hour / 10))
    application.dispose()
    with ExitStack() as services:
        for name in ("code", "webserver", "viewer", "daemon"):
            services.enter_context(migrated.service(name))
        yield migrated


def ended_runs(stack: Stack, service: str, job: str) -> list[dict[str, object]]:
    """The runs of a job, when none of them is under way any more."""
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        runs = [r for r in stack.graphql(service, RUNS)["runsOrError"]["results"] if r["jobName"] == job]
        if runs and all(run["status"] in ("SUCCESS", "FAILURE", "CANCELED") for run in runs):
            return runs
        time.sleep(0.3)
    raise AssertionError((stack.folder / "daemon.log").read_text()[-3000:])


def test_a_run_that_the_sensor_started_comes_through(layout: Stack) -> None:
    runs = ended_runs(layout, "viewer", "update")
    assert [run["status"] for run in runs] == ["SUCCESS"], (layout.folder / "code.log").read_text()[-3000:]
    assert {"key": "dagster/sensor_name", "value": "new_crawls"} in runs[0]["tags"]  # type: ignore[operator]
    with psycopg.connect(layout.url("analyst")) as analyst:
        query = "SELECT count(*), count(analysis_period_id), count(published_at) FROM contents"
        assert analyst.execute(query).fetchone() == (3, 3, 0)
        assert analyst.execute("SELECT count(*) FROM mv_period_metrics_trend").fetchone() == (1,)


def test_the_read_only_server_refuses_a_launch(layout: Stack) -> None:
    refusal = layout.graphql("viewer", LAUNCH, job="refresh")["launchRun"]
    assert refusal["__typename"] == "UnauthorizedError"
    # What is refused there is nothing that would fail anyway.
    allowed = layout.graphql("webserver", LAUNCH, job="refresh")["launchRun"]
    assert allowed["__typename"] == "LaunchRunSuccess", allowed
    assert [run["status"] for run in ended_runs(layout, "webserver", "refresh")] == ["SUCCESS"]


def test_the_viewers_role_could_not_launch_either(layout: Stack) -> None:
    with psycopg.connect(layout.url("analyst", "dagster")) as analyst:
        assert analyst.execute("SELECT count(*) FROM runs").fetchone()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute("DELETE FROM runs")


def test_every_service_says_that_it_is_healthy(layout: Stack) -> None:
    for service in ("code", "webserver", "viewer", "daemon"):
        assert layout.is_healthy(service), service


def test_a_verb_in_a_container_finds_its_databases(layout: Stack) -> None:
    done = layout.run("code", "temporal-pipeline", "status", "--json")
    assert done.returncode == 0, done.stderr
    assert '"status": "SUCCESS"' in done.stdout
