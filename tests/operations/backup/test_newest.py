"""Which of the dumps in a folder is the newest whole one of a database."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.definition.model import LEGACY_TABLES
from temporal_pipeline.operations.backup import newest
from temporal_pipeline.operations.backup.archive import Archive, read_archive
from temporal_pipeline.operations.backup.dump import (
    take_backup,
)
from temporal_pipeline.operations.backup.losses import TEMPORAL_TABLES
from temporal_pipeline.operations.backup.newest import newest_backup
from temporal_pipeline.operations.backup.programs import Programs, find_programs, newest_programs
from tests.migrations.tools import rows
from tests.operations.backup.tools import (
    populate,
)


def _server_version(database: Database) -> int:
    return int(rows(database, "SELECT current_setting('server_version_num')::int")[0][0])


def _touch(path: Path, when: datetime) -> None:
    os.utime(path, (when.timestamp(), when.timestamp()))


def test_the_newest_backup_is_found_by_what_the_dumps_say(
    legacy_database: Database,
    database: Database,
    folder: Path,
) -> None:
    assert newest_backup(folder, legacy_database) is None
    first = take_backup(legacy_database, folder).path
    renamed = first.rename(folder / "a_name_of_its_own.dump")
    second = take_backup(legacy_database, folder).path
    # The latest by name, written before the other: pg_dump's own time has no zone, that of the file has.
    written = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    _touch(second, written)
    assert read_archive(newest_programs(), second).created_at == written
    (folder / "nonsense.dump").write_text("no dump")
    (folder / "unfinished.dump.partial").write_bytes(renamed.read_bytes())
    take_backup(database, folder)
    found = newest_backup(folder, legacy_database)
    assert found is not None
    assert found.path == renamed
    # Touched later, as by a copy: what the dump says counts.
    assert newest_backup(folder, legacy_database, prove=False) == found
    said = found.created_at
    _touch(renamed, datetime(2999, 1, 1, tzinfo=UTC))
    assert read_archive(newest_programs(), renamed).created_at == said


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose table of contents was read, in that order."""
    paths: list[Path] = []

    def read(found: Programs, path: Path) -> Archive:
        paths.append(path)
        return read_archive(found, path)

    monkeypatch.setattr(newest, "read_archive", read)
    return paths


def test_no_more_files_are_read_than_need_be(
    legacy_database: Database, database: Database, folder: Path, reads: list[Path]
) -> None:
    old = take_backup(legacy_database, folder).path
    recent, other = old.with_name("recent.dump"), take_backup(database, folder).path
    shutil.copyfile(old, recent)
    _touch(old, datetime(2026, 1, 1, tzinfo=UTC))
    found = newest_backup(folder, legacy_database, prove=False)
    assert found is not None
    assert found.path == recent
    assert set(reads) == {recent, other}


def test_a_newer_file_that_lacks_something_is_no_backup(database: Database, folder: Path) -> None:
    populate(database, 200)
    whole = take_backup(database, folder).path
    pg_dump = find_programs(_server_version(database)).pg_dump
    wanted = (*LEGACY_TABLES, *TEMPORAL_TABLES)
    for number, option in enumerate(
        ("--schema-only", "--exclude-table-data=analysis_periods", "--exclude-table=temporal_events")
    ):
        dump = folder / f"part_{number}.dump"
        subprocess.run([pg_dump, "-Fc", option, f"--file={dump}", libpq_url(database)], check=True)
    cut = folder / "cut.dump"
    cut.write_bytes(whole.read_bytes()[:-1])
    assert read_archive(newest_programs(), cut), "its list alone does not show that its end is missing"
    _touch(whole, datetime(2026, 1, 1, tzinfo=UTC))
    found = newest_backup(folder, database, wanted)
    assert found is not None
    assert found.path == whole
    whole.unlink()
    assert newest_backup(folder, database, wanted) is None
