"""A migrated database to ask, dropped with what a test writes into it; and the demo, to be read only."""

from collections.abc import Iterator

import pytest

from temporal_pipeline.database import Database
from temporal_pipeline.query import Timeline
from tests.query.demo import Demo, played_demo


@pytest.fixture
def timeline(database: Database) -> Timeline:
    """The questions, on a database of the test's own."""
    return Timeline(database)


@pytest.fixture(scope="session")
def demo(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, played once for all who ask about it."""
    with played_demo(server_url, tmp_path_factory.mktemp("asked") / "home") as demo:
        yield demo
