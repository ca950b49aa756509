"""A Dagster instance as the command line and deployments have it: dagster.yaml, its tables in PostgreSQL."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from temporal_pipeline.dagster_home import dagster_instance
from temporal_pipeline.database import Database
from tests.conftest import temporary_database


@contextmanager
def stored_instance(server_url: str, database: Database, home: Path) -> Iterator[dg.DagsterInstance]:
    """An instance for `database`, its own tables empty, and gone at the end."""
    with temporary_database(server_url) as storage, pytest.MonkeyPatch.context() as patch:
        # It is found through the environment, which is put back afterwards.
        own = {"DAGSTER_DATABASE_URL": storage.url, "TEMPORAL_PIPELINE_HOME": str(home)}
        patch.setattr(os, "environ", dict(os.environ) | own)
        with dagster_instance(database) as instance:
            yield instance
