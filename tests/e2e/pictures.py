"""The pictures of README.md and docs/: `python -m tests.e2e.pictures` takes them anew, on the demo."""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from temporal_pipeline.crosshot.demo.loading import play_round
from temporal_pipeline.database import Database
from temporal_pipeline.embedded import attach
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import PROJECT_ROOT
from tests.command_line import CommandLine
from tests.e2e.browser import Page, open_browser
from tests.e2e.demo import correct_a_period, play_month, update
from tests.e2e.running import web_interface
from tests.embedded.users import remove_state

FOLDER = PROJECT_ROOT / "docs" / "pictures"
GROUPS = ("contents", "crosshot", "effectiveness", "events", "periods", "schema", "snapshots", "trends")
DIALOG = ".dagster-dialog"
WINDOW = (1200, 750)
LARGEST_BYTES = 150_000


def main() -> None:
    """Take all of them. Raises PipelineError (exit code 5) when there is no Chromium."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="temporal_pipeline-") as name, ExitStack() as stack:
        folder = Path(name)
        home = folder / "home"
        stack.callback(remove_state, home)
        command = CommandLine(home)
        database = Database(stack.enter_context(attach(home)).url())
        stack.callback(database.dispose)
        page = stack.enter_context(open_browser(*WINDOW))
        play_month(database, command)
        # Before the daemon can see new crawls, whose run would find no burst and have no chart of one.
        with web_interface(command, folder) as served:
            event(page, served.address)
        play_round(database, 1)
        update(command)
        play_round(database, 2)
        update(command)
        with web_interface(command, folder) as served:
            for take in (lineage, asset, launchpad):
                take(page, served.address)
            correct_a_period(database)
            check(page, served.address)


def event(page: Page, address: str) -> None:
    """The chart that the search for events shows."""
    page.open(f"{address}/assets/temporal_events")
    page.sees("^chart$", css="td *")
    page.value(
        "[...document.querySelectorAll('tr')].find(row => row.innerText.trim().startsWith('chart'))"
        ".setAttribute('data-wanted', '')"
    )
    page.click("Show Markdown", css="[data-wanted] *")
    page.sees("^chart$", css=f"{DIALOG} *")
    save("event", page, DIALOG)


def lineage(page: Page, address: str) -> None:
    """The graph with all groups unfolded."""
    page.resize(1400, 600)
    page.open(f"{address}/asset-groups")
    page.click("^Hide navigation$")
    page.open(f"{address}/asset-groups?expanded={'%2C'.join(f'global%40global%3A{name}' for name in GROUPS)}")
    page.until(
        "document.querySelectorAll('[style*=\"--minimal-bg: var(--color-background-green)\"]').length >= 8",
        "every asset materialized",
    )
    page.click("", css="button:has([aria-label=panel_show_right])")
    save("lineage", page)
    page.resize(*WINDOW)


def asset(page: Page, address: str) -> None:
    """The page of an asset: what it counted run by run."""
    page.open(f"{address}/assets/period_content_snapshots")
    page.click("^Plots$")
    page.until("document.querySelectorAll('canvas').length >= 4", "plots")
    page.value(
        "[...document.querySelectorAll('*')].find(e => e.innerText?.trim() === 'Metadata').scrollIntoView()"
    )
    save("asset", page)


def check(page: Page, address: str) -> None:
    """A check that fails, and whom it names."""
    page.open(f"{address}/assets/mv_period_metrics_trend?view=checks")
    page.click("^Execute$", css="button")
    page.sees("^Failed$", seconds=120)
    page.click("Show Markdown")
    page.sees("^other figures in the view$", css="td")
    save("check", page)


def launchpad(page: Page, address: str) -> None:
    """A run is configured: one topic, nothing written."""
    page.open(f"{address}/locations/temporal_pipeline/jobs/update")
    page.click("", css="button:has(>[aria-label=arrow_drop_down])")
    page.click("^Open launchpad$")
    page.click("dry_run: false", css=".CodeMirror-line")
    page.write(
        "resources:\n  scope:\n    config:\n      entities: [Solid-state batteries]\n      dry_run: true\n"
    )
    page.sees("^No errors$")
    save("launchpad", page, DIALOG)


def save(name: str, page: Page, css: str | None = None) -> None:
    """What the page shows, or one element of it, as a small file. Raises PipelineError when it is a large one."""
    place = page.comes_to_rest(css or "body")
    part = place if css else {}
    file = FOLDER / f"{name}.png"
    file.write_bytes(page.picture(**part))
    if file.stat().st_size > LARGEST_BYTES:
        raise PipelineError(f"{file} has {file.stat().st_size:,} bytes", hint="show less of the page")
    print(f"{file.relative_to(PROJECT_ROOT)}  {file.stat().st_size:,} bytes")  # noqa: T201


if __name__ == "__main__":
    try:
        main()
    except PipelineError as refused:
        print(f"error: {refused}", file=sys.stderr)  # noqa: T201
        sys.exit(refused.exit_code)
