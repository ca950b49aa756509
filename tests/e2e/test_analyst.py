"""A day of an analyst in the web interface: one browser, one scenario after the other."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from temporal_pipeline.crosshot.demo.loading import world
from temporal_pipeline.crosshot.demo.planted import TIDES
from temporal_pipeline.crosshot.demo.rounds import round_records
from temporal_pipeline.crosshot.demo.world import EXTRA_ROUNDS
from temporal_pipeline.database import Database
from tests.command_line import CommandLine
from tests.e2e.browser import Page
from tests.e2e.demo import correct_a_period
from tests.e2e.running import WebInterface

pytestmark = pytest.mark.slow

GROUP = "/locations/temporal_pipeline/asset-groups/trends"
# A sensor of 30 s, and the run that it starts.
SENSOR_SECONDS = 180
RUN_SECONDS = 120


@pytest.fixture(scope="module")
def correction(ui: WebInterface, database: Database) -> None:
    """The application corrects a period after all was analysed: the trend view is behind from then on."""
    correct_a_period(database)


def figure_in_the_view(database: Database) -> float | None:
    """How many posts the trend view claims for the only period of the tides."""
    statement = text("SELECT metrics->>'total_contents' FROM mv_period_metrics_trend WHERE entity_id = :id")
    with database.transaction(read_only=True) as connection:
        return float(connection.execute(statement, {"id": TIDES}).scalar_one())


def periods(database: Database) -> int:
    with database.transaction(read_only=True) as connection:
        return int(connection.execute(text("SELECT count(*) FROM analysis_periods")).scalar_one())


def test_the_lineage_leads_to_the_trend_asset_and_its_chart(ui: WebInterface, page: Page) -> None:
    page.open(ui.address)
    page.click("^Lineage$")
    page.click("^trends$", css="svg *")
    page.click("^mv_.*trend$", css="svg *")
    page.sees("^The metrics of every period")
    page.click("^View in Asset Catalog$")
    page.sees("^Latest materialization$")
    page.sees("^topic Solid-state batteries$", css="td")
    page.click("Show Markdown")
    page.until(
        "[...document.images].some(i => i.alt.includes('posts per hour') && i.naturalWidth > 600)",
        "the chart",
    )


@pytest.mark.usefixtures("correction")
def test_a_failing_check_tells_who_and_why(ui: WebInterface, page: Page) -> None:
    page.open(f"{ui.address}/assets/mv_period_metrics_trend?view=checks")
    page.sees("^Passed$")
    page.click("^Execute$", css="button")
    page.sees("^Failed$", seconds=RUN_SECONDS)
    page.click("Show Markdown")
    page.sees(str(TIDES), css="td")
    page.sees("^other figures in the view$", css="td")


@pytest.mark.usefixtures("correction")
def test_a_dry_run_shows_what_would_happen_and_writes_nothing(
    ui: WebInterface, page: Page, database: Database
) -> None:
    page.open(ui.address + GROUP)
    page.click("", css="button:has(>[aria-label=arrow_drop_down])")
    page.click("^Open launchpad$")
    page.click("dry_run: false", css=".CodeMirror-line")
    page.write("resources:\n  scope:\n    config:\n      dry_run: perhaps\n")
    page.sees("Invalid scalar at path root:resources:scope:config:dry_run")
    page.write("resources:\n  scope:\n    config:\n      dry_run: true\n")
    page.click("^Materialize$", css=".dagster-dialog button")
    page.sees("^Success$", seconds=RUN_SECONDS)
    # The last line: until then, the list scrolls away under the mouse.
    page.sees("^Process for run exited")
    page.click("Show Markdown")
    page.sees(str(TIDES), css="td")
    page.sees("^other figures in the view$", css="td")
    assert figure_in_the_view(database) == 90


@pytest.mark.usefixtures("correction")
def test_a_group_is_materialized_from_its_page(ui: WebInterface, page: Page, database: Database) -> None:
    page.open(ui.address + GROUP)
    page.click("^Materialize$", css="button")
    page.click("^View$", css="a, button")
    page.sees("^Success$", seconds=RUN_SECONDS)
    assert figure_in_the_view(database) == 91
    page.open(f"{ui.address}/assets/mv_period_metrics_trend?view=checks")
    page.sees("^Passed$")


def test_new_crawls_start_a_run_that_closes_new_periods(
    ui: WebInterface, page: Page, database: Database, command: CommandLine, tmp_path: Path
) -> None:
    before = periods(database)
    export = tmp_path / "crawls.jsonl"
    export.write_text(
        "".join(f"{json.dumps(record)}\n" for record in round_records(EXTRA_ROUNDS[0], world()))
    )
    loaded = command("replay", export)
    assert loaded.returncode == 0, loaded.stderr
    page.open(f"{ui.address}/locations/temporal_pipeline/sensors/new_crawls")
    page.click("^Runs$", css="button")
    page.click("^[0-9a-f]{8}$", css="a[href*='/runs/']", seconds=SENSOR_SECONDS)
    page.sees("^Success$", seconds=RUN_SECONDS)
    page.sees("new_crawls")
    assert periods(database) > before
    page.open(f"{ui.address}/assets/mv_period_metrics_trend")
    page.sees(r"^topic Solid-state batteries\s+1\s", css="tr")
