"""The table of contents: everything that Dagster is given, by name; and nothing happens when it is loaded."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from temporal_pipeline.automation import DAILY, WRITES
from temporal_pipeline.definitions import definitions
from temporal_pipeline.settings import PROJECT_ROOT

# group → assets
ASSETS = {
    "crosshot": {"topics", "users", "contents", "tasks", "chat_messages"},
    "schema": {"temporal_schema"},
    "contents": {"content_relevance"},
    "periods": {"period_zero", "analysis_periods"},
    "snapshots": {"period_content_snapshots"},
    "events": {"temporal_events"},
    "effectiveness": {"crawl_effectiveness"},
    "trends": {"mv_period_metrics_trend"},
}
# asset → checks; a star marks a check that stops what is downstream of the asset.
CHECKS = {
    "temporal_schema": {"*schema_is_at_head", "trigrams_work_for_chinese"},
    "content_relevance": {
        "*relevance_scores_are_in_range",
        "every_prepared_content_has_an_answer_or_a_reason",
    },
    "analysis_periods": {
        "*every_due_content_is_linked",
        "*active_periods_do_not_overlap",
        "entity_counters_agree_with_periods",
        "every_period_could_be_closed",
    },
    "period_content_snapshots": {
        "*content_count_equals_members",
        "application_periods_count_their_members",
        "every_period_could_be_frozen",
    },
    "temporal_events": {
        "every_upward_volume_event_has_evidence",
        "evidence_is_no_older_than_its_event",
        "one_open_event_per_key",
        "events_are_rare",
        "event_weights_are_in_range",
        "every_entity_was_searched_for_events",
    },
    "crawl_effectiveness": {
        "*effectiveness_scores_are_in_range",
        "every_closed_period_with_contents_has_its_queries",
        "every_crawl_task_with_contents_in_a_closed_period_is_linked",
        "every_period_could_be_measured",
    },
    "mv_period_metrics_trend": {"trend_view_agrees_with_periods"},
}
# job → the longest time that a run of it may take, in seconds.
JOBS = {
    "migrate": 14400,
    "update": 14400,
    "refresh": 900,
    "reanalyse": 3600,
    "verify": 3600,
    "maintain": 7200,
}
SENSORS = {"new_crawls", "alerts"}
# schedule → job and time (UTC).
SCHEDULES = {
    "refresh_trends_daily": ("refresh", "0 5 * * *"),
    "maintain_weekly": ("maintain", "0 3 * * 0"),
    "maintain_monthly": ("maintain", "0 4 1 * *"),
}
RESOURCES = {"database", "scope"}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return definitions()


def test_every_asset_is_in_its_group(defs: dg.Definitions) -> None:
    found: dict[str | None, set[str]] = {}
    for spec in defs.resolve_all_asset_specs():
        found.setdefault(spec.group_name, set()).add(spec.key.to_user_string())
    assert found == ASSETS


def test_every_check_guards_its_asset(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    found: dict[str, set[str]] = {}
    for key in graph.asset_check_keys:
        star = "*" if graph.get(key).blocking else ""
        found.setdefault(key.asset_key.to_user_string(), set()).add(star + key.name)
    assert found == CHECKS


def test_jobs_sensors_schedules_and_resources(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    implicit = "__ASSET_JOB"
    limits = {job.name: job.tags.get("dagster/max_runtime") for job in repository.get_all_jobs()}
    assert limits == {implicit: None} | {job: str(seconds) for job, seconds in JOBS.items()}
    assert {sensor.name for sensor in repository.sensor_defs} == SENSORS
    assert {s.name: (s.job_name, s.cron_schedule) for s in repository.schedule_defs} == SCHEDULES
    for started in (*repository.sensor_defs, *repository.schedule_defs):
        assert started.default_status.value == "RUNNING", started.name
    assert set(repository.get_top_level_resources()) == RESOURCES


def test_every_asset_says_what_it_is(defs: dg.Definitions) -> None:
    for spec in defs.resolve_all_asset_specs():
        assert len(spec.description or "") > 40, spec.key
        assert spec.kinds, spec.key
        assert spec.owners, spec.key
        assert spec.group_name != "default", spec.key


def test_every_asset_leads_to_a_page_of_the_docs(defs: dg.Definitions) -> None:
    for spec in defs.resolve_all_asset_specs():
        page = spec.metadata["docs"]
        assert isinstance(page, dg.PathMetadataValue)
        assert (PROJECT_ROOT / str(page.value)).is_file(), spec.key


def test_what_writes_takes_turns_and_shows_how_old_it_is(defs: dg.Definitions) -> None:
    written = set().union(*ASSETS.values()) - ASSETS["crosshot"]
    jobs = {name: defs.resolve_job_def(name) for name in JOBS}
    pools = {node.name: node.pool for job in jobs.values() for node in job.all_node_defs if node.pool}
    ops = {"finish_old_drafts", "vacuum_our_tables", "archive_superseded_periods", "analyse_again"}
    assert pools == dict.fromkeys(written | ops, WRITES)
    policies = {spec.key.to_user_string(): spec.freshness_policy for spec in defs.resolve_all_asset_specs()}
    # It is only materialized where there is something to migrate.
    followed = (written | {"contents"}) - {"temporal_schema"}
    assert {name for name, policy in policies.items() if policy is not None} == followed
    assert policies["mv_period_metrics_trend"] == DAILY


def test_every_check_job_sensor_and_schedule_says_what_it_is(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    graph = defs.resolve_asset_graph()
    told = {
        **{key.to_user_string(): graph.get(key).description for key in graph.asset_check_keys},
        **{name: defs.resolve_job_def(name).description for name in JOBS},
        **{sensor.name: sensor.description for sensor in repository.sensor_defs},
        **{schedule.name: schedule.description for schedule in repository.schedule_defs},
    }
    assert {name for name, description in told.items() if len(description or "") < 40} == set()


def test_the_sensor_runs_everything_and_the_schedule_the_trends(defs: dg.Definitions) -> None:
    materialized = set().union(*ASSETS.values()) - ASSETS["crosshot"]
    assert _assets_of(defs, "update") == materialized
    assert _assets_of(defs, "refresh") == {"mv_period_metrics_trend"}
    assert defs.resolve_sensor_def("new_crawls").job_name == "update"


def _assets_of(defs: dg.Definitions, job: str) -> set[str]:
    layer = defs.resolve_job_def(job).asset_layer
    return {key.to_user_string() for key in layer.executable_asset_keys}


def test_loading_touches_neither_database_nor_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(stat.S_IRUSR | stat.S_IXUSR)
    # An audit hook sees what is written and connected to, whoever the user is: root may write anywhere.
    program = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "os.mkdir"):
        raise SystemExit(f"{event} {arguments}")
    if event == "open" and isinstance(arguments[0], str) and arguments[0] != "/dev/null":
        if isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            raise SystemExit(f"writes {arguments[0]}")
sys.dont_write_bytecode = True
sys.addaudithook(watch)
from temporal_pipeline.automation import DAILY, WRITES
from temporal_pipeline.definitions import definitions
from temporal_pipeline.settings import PROJECT_ROOT
print(len(definitions().resolve_all_asset_keys()))
"""
    nowhere = "postgresql://nobody@host.invalid:1/nothing"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TEMPORAL_PIPELINE_HOME": str(home / "pipeline"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "DATABASE_URL": nowhere,
        "DAGSTER_DATABASE_URL": nowhere,
    }
    for missing in ((), ("DATABASE_URL", "DAGSTER_DATABASE_URL")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={key: value for key, value in environment.items() if key not in missing},
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout.strip()) == (0, str(sum(map(len, ASSETS.values())))), done.stderr
    assert list(home.iterdir()) == []
