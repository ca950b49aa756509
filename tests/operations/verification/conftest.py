"""A world in which every claim holds, made once and cloned for each test."""

from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from temporal_pipeline.database import Database
from tests.conftest import temporary_database
from tests.operations.verification.world import World, make_world


@pytest.fixture(scope="session")
def verified_template(server_url: str, migrated_template: str) -> Iterator[tuple[str, World]]:
    with temporary_database(server_url, migrated_template) as database:
        world = make_world(database)
        database.dispose()
        name = make_url(database.url).database
        assert name is not None
        yield name, world


@pytest.fixture
def world(verified_template: tuple[str, World]) -> World:
    return verified_template[1]


@pytest.fixture
def verified(server_url: str, verified_template: tuple[str, World]) -> Iterator[Database]:
    """A database after Periods 0 and 1 and a re-analysis, with contents of every kind."""
    with temporary_database(server_url, verified_template[0]) as database:
        yield database
