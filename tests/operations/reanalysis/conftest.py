"""A world to analyse again, made once and cloned for each test."""

from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from temporal_pipeline.database import Database
from tests.conftest import temporary_database
from tests.operations.reanalysis.world import World, make_world


@pytest.fixture(scope="session")
def burst_template(server_url: str, migrated_template: str) -> Iterator[tuple[str, World]]:
    """The name of the database to clone, and what is in it."""
    with temporary_database(server_url, migrated_template) as database:
        world = make_world(database)
        database.dispose()
        name = make_url(database.url).database
        assert name is not None
        yield name, world


@pytest.fixture
def world(burst_template: tuple[str, World]) -> World:
    return burst_template[1]


@pytest.fixture
def database(server_url: str, burst_template: tuple[str, World]) -> Iterator[Database]:
    """A database in which two periods were cut, searched and measured."""
    with temporary_database(server_url, burst_template[0]) as database:
        yield database
