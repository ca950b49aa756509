"""The benchmarks in small: on the server of the tests."""

from collections.abc import Iterator

import pytest

from benchmarks.live import legacy_database
from temporal_pipeline.database import Database

ROWS = 2_000
ENTITIES = 40


@pytest.fixture(scope="session")
def application(server_url: str) -> Iterator[Database]:
    """A legacy database with synthetic contents; to be copied, not to be changed."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", server_url)
        with legacy_database(ROWS, ENTITIES) as database:
            yield database
