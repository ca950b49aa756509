"""Folders for backups, and databases that have one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from temporal_pipeline.database import Database
from temporal_pipeline.operations.backup.dump import take_backup
from tests.operations.backup.tools import (
    drop_beside,
    populate,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def database_with_backup(legacy_database: Database, folder: Path) -> Iterator[tuple[Database, Path]]:
    """A legacy database with five contents, and its backup; what restoring it leaves is dropped."""
    populate(legacy_database)
    yield legacy_database, take_backup(legacy_database, folder).path
    drop_beside(legacy_database)
