"""The schema at head as text, to which every way there must lead."""

import pytest

from tests.conftest import temporary_database
from tests.migrations.tools import schema_of


@pytest.fixture(scope="session")
def head(server_url: str, migrated_template: str) -> str:
    """The schema of a legacy database after a plain upgrade."""
    with temporary_database(server_url, migrated_template) as database:
        return schema_of(database)


@pytest.fixture(scope="session")
def legacy(server_url: str, legacy_template: str) -> str:
    """The schema of the application alone."""
    with temporary_database(server_url, legacy_template) as database:
        return schema_of(database)
