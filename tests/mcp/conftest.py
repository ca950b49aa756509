"""One database of known content, one server over each transport, for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from temporal_pipeline.database import Database
from tests.command_line import CommandLine
from tests.conftest import temporary_database
from tests.mcp.clients import Asking, http_server, over_http, over_stdio
from tests.mcp.world import make_world

# The servers of tests trust everybody, and ask nobody for it, unless DATABASE_URL says it.
PASSWORD = "hush-no-one-needs-to-know"


@pytest.fixture(scope="package")
def world(server_url: str, migrated_template: str) -> Iterator[Database]:
    """The database with the world in it."""
    with temporary_database(server_url, migrated_template) as database:
        with database.transaction() as connection:
            make_world(connection)
        yield database


@pytest.fixture(scope="package")
def command(world: Database, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The command line on the world, with a password in its URL."""
    url = make_url(world.url)
    if url.password is None:
        url = url.set(username=url.username or "postgres", password=PASSWORD)
    home = tmp_path_factory.mktemp("mcp")
    return CommandLine(home, DATABASE_URL=url.render_as_string(hide_password=False))


@pytest.fixture(scope="package")
def stdio(command: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """A client that shakes hands as all did before 2026, and its server."""
    with over_stdio(command, tmp_path_factory.mktemp("stdio") / "log", "legacy") as asking:
        yield asking


@pytest.fixture(scope="package")
def place(command: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Where a server over HTTP is, and what it prints."""
    log = tmp_path_factory.mktemp("http") / "log"
    with http_server(command, log) as url:
        yield url, log


@pytest.fixture(scope="package")
def http(place: tuple[str, Path]) -> Iterator[Asking]:
    """A client of today."""
    with over_http(*place) as asking:
        yield asking


@pytest.fixture(scope="package")
def old_http(place: tuple[str, Path]) -> Iterator[Asking]:
    """A client of the same server that shakes hands as all did before 2026."""
    with over_http(*place, "legacy") as asking:
        yield asking


@pytest.fixture(params=["stdio", "http", "old_http"])
def asking(request: pytest.FixtureRequest) -> Asking:
    """Each of them."""
    client: Asking = request.getfixturevalue(request.param)
    return client
