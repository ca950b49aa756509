"""One demo, one web interface and one browser for all scenarios."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from temporal_pipeline.database import Database
from temporal_pipeline.embedded import attach
from temporal_pipeline.errors import PipelineError
from tests.command_line import CommandLine
from tests.e2e.browser import Page, find_chromium, open_browser
from tests.e2e.demo import play_month
from tests.e2e.running import WebInterface, web_interface
from tests.embedded.users import remove_state

# Set by `make e2e`.
REQUIRED = "CHROMIUM_REQUIRED"


@pytest.fixture(scope="package")
def chromium() -> str:
    """The browser's program; without one the scenarios are skipped, and fail under `make e2e`."""
    try:
        return find_chromium()
    except PipelineError as missing:
        if os.environ.get(REQUIRED):
            pytest.exit(str(missing), returncode=missing.exit_code)
        pytest.skip(str(missing))


@pytest.fixture(scope="package")
def command(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line with a server of its own."""
    home = tmp_path_factory.mktemp("e2e") / "home"
    yield CommandLine(home)
    remove_state(home)


@pytest.fixture(scope="package")
def database(command: CommandLine) -> Iterator[Database]:
    """The demo's thirty days, and what the graph made of them."""
    with attach(Path(command.variables["TEMPORAL_PIPELINE_HOME"])) as attachment:
        database = Database(attachment.url())
        play_month(database, command)
        yield database
        database.dispose()


@pytest.fixture(scope="package")
def ui(
    command: CommandLine, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebInterface]:
    """Webserver and daemon beside it."""
    with web_interface(command, tmp_path_factory.mktemp("ui")) as served:
        yield served


@pytest.fixture(scope="package")
def page(ui: WebInterface) -> Iterator[Page]:
    """The browser's one tab."""
    with open_browser() as page:
        yield page
