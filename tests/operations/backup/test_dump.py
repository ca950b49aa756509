"""Backups: proven before they get their name, and nothing half-made, half-read or readable by others."""

import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import uuid
from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup import programs
from temporal_pipeline.operations.backup.archive import prove_archive, read_archive
from temporal_pipeline.operations.backup.databases import SCRATCH
from temporal_pipeline.operations.backup.dump import (
    LEAST_SHARE,
    _verify,
    take_backup,
)
from temporal_pipeline.operations.backup.programs import find_programs, newest_programs
from temporal_pipeline.settings import PROJECT_ROOT
from tests.migrations.tools import execute, rows
from tests.operations.backup.tools import (
    databases_like,
    name,
    populate,
    running_arguments,
    server_of,
    wait_until,
)
from tests.operations.doctor.pooling_proxy import PoolingProxy

LOCK = "LOCK TABLE contents IN ACCESS EXCLUSIVE MODE"


@pytest.fixture
def with_password(legacy_database: Database) -> Iterator[Database]:
    """The same database with a password in its URL."""
    url = make_url(legacy_database.url)
    database = Database(url.update_query_dict({"password": "hush"}).render_as_string(hide_password=False))
    yield database
    database.dispose()


def _server_version(database: Database) -> int:
    return int(rows(database, "SELECT current_setting('server_version_num')::int")[0][0])


def test_a_backup_is_a_proven_dump_that_only_we_can_read(legacy_database: Database, folder: Path) -> None:
    populate(legacy_database)
    before = datetime.now(UTC).replace(microsecond=0)
    backup = take_backup(legacy_database, folder)
    assert re.fullmatch(r"pre_temporal_\d{8}_\d{6}\.dump", backup.path.name)
    assert list(folder.iterdir()) == [backup.path]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(backup.path.stat().st_mode) == 0o600
    assert backup.bytes == backup.path.stat().st_size > 0
    assert not backup.verified
    archive = prove_archive(newest_programs(), backup.path)
    assert archive.database == name(legacy_database)
    assert before <= archive.created_at <= datetime.now(UTC)
    assert f"pg_dump {archive.dumped_by}" == backup.program
    assert {"public.contents", "public.alerts"} <= archive.tables_with_data


def test_nothing_is_ever_overwritten(legacy_database: Database, folder: Path) -> None:
    taken: list[Path] = []
    threads = [
        threading.Thread(target=lambda: taken.append(take_backup(legacy_database, folder).path))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 3
    assert sorted(folder.iterdir()) == sorted(taken)


def test_a_dump_with_any_part_missing_is_refused(legacy_database: Database, folder: Path) -> None:
    populate(legacy_database, 200)
    whole = take_backup(legacy_database, folder).path
    content = whole.read_bytes()
    cut = folder / "cut.dump"
    listed = 0
    for length in (0, 100, len(content) // 2, int(len(content) * 0.9), len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(PipelineError, match="cannot be read"):
            prove_archive(newest_programs(), cut)
        try:
            read_archive(newest_programs(), cut)
            listed += 1
        except PipelineError:
            pass
    assert listed > 0, "what its list alone does not show was not among the cuts"


def test_a_dump_without_the_rows_of_a_table_is_refused(legacy_database: Database, tmp_path: Path) -> None:
    populate(legacy_database)
    pg_dump = find_programs(_server_version(legacy_database)).pg_dump
    for option in ("--schema-only", "--exclude-table-data=contents", "--exclude-table=contents"):
        dump = tmp_path / "part.dump"
        subprocess.run(
            [pg_dump, "-Fc", option, f"--file={dump}", libpq_url(legacy_database)],
            check=True,
            capture_output=True,
        )
        with pytest.raises(PipelineError, match="no rows of .*contents"):
            prove_archive(newest_programs(), dump)


def test_a_database_that_is_not_the_applications_is_refused(empty_database: Database, folder: Path) -> None:
    with pytest.raises(PipelineError, match="not a Crosshot database"):
        take_backup(empty_database, folder)
    assert not folder.exists()


def test_a_verified_backup_has_every_row_although_the_application_writes_on(
    legacy_database: Database, folder: Path
) -> None:
    populate(legacy_database)
    written = 0
    done = threading.Event()

    def write() -> None:
        nonlocal written
        with psycopg.connect(libpq_url(legacy_database), autocommit=True) as connection:
            while not done.is_set():
                connection.execute(
                    "INSERT INTO tasks (id, label, payload) VALUES (%s, 'crawler:x', '{}')", [uuid.uuid4()]
                )
                written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: written > 10)
        at_start = written
        said: list[str] = []
        backup = take_backup(legacy_database, folder, verify=True, on_progress=said.append)
        assert written > at_start
    finally:
        done.set()
        writer.join()
    assert backup.verified
    assert len(said) == 3
    assert databases_like(legacy_database, f"{name(legacy_database)}{SCRATCH}%") == []


def test_a_restored_table_that_lacks_rows_is_found(legacy_database: Database, folder: Path) -> None:
    populate(legacy_database)
    backup = take_backup(legacy_database, folder)
    found = find_programs(_server_version(legacy_database))
    archive = read_archive(found, backup.path)
    counts = dict.fromkeys(archive.tables, 0) | {"public.contents": 6, "public.tasks": 5}
    counts |= {"public.topics": 1, "public.chat_messages": 1}
    with pytest.raises(PipelineError, match=r": public.contents: 5 of 6\n") as broken:
        _verify(found, legacy_database, archive, counts)
    assert broken.value.exit_code == 3
    assert databases_like(legacy_database, f"{name(legacy_database)}{SCRATCH}%") == []


def test_scratch_databases_of_the_dead_are_dropped_and_those_of_the_living_are_not(
    legacy_database: Database, folder: Path
) -> None:
    dead, living = (
        f"{name(legacy_database)}{SCRATCH}{stamp}" for stamp in ("20200101_000000", "20200102_000000")
    )
    server_url = make_url(legacy_database.url).set(database="postgres")
    owner = Database(server_url.render_as_string(hide_password=False))
    with server_of(legacy_database) as server:
        for scratch in (dead, living):
            server.execute(f'CREATE DATABASE "{scratch}"')
        try:
            with owner.exclusive(living):
                take_backup(legacy_database, folder, verify=True)
                assert databases_like(legacy_database, f"{name(legacy_database)}{SCRATCH}%") == [living]
            take_backup(legacy_database, folder, verify=True)
            assert databases_like(legacy_database, f"{name(legacy_database)}{SCRATCH}%") == []
        finally:
            owner.dispose()
            for scratch in (dead, living):
                server.execute(f'DROP DATABASE IF EXISTS "{scratch}"')


def test_no_patience_is_not_patience_without_end(legacy_database: Database, folder: Path) -> None:
    with psycopg.connect(libpq_url(legacy_database)) as holder:
        holder.execute(LOCK)
        for verify in (False, True):
            with pytest.raises(PipelineError, match="could not read a table for 0 s"):
                take_backup(legacy_database, folder, verify=verify, max_wait=0)


def test_a_password_in_the_query_of_whoever_holds_a_table_is_not_shown(
    legacy_database: Database, folder: Path
) -> None:
    with psycopg.connect(libpq_url(legacy_database)) as holder:
        holder.execute(f"/* PASSWORD 'hush' */ {LOCK}")
        with pytest.raises(PipelineError, match="PASSWORD …") as refused:
            take_backup(legacy_database, folder, max_wait=0.1)
    assert "hush" not in refused.value.message


def test_shared_sessions_are_refused(legacy_database: Database, folder: Path) -> None:
    with PoolingProxy(legacy_database) as proxy:
        with pytest.raises(PipelineError, match="a pooler in transaction or statement mode") as refused:
            take_backup(proxy.database, folder)
        proxy.database.dispose()
    assert refused.value.exit_code == 5
    assert not folder.exists()


@pytest.mark.parametrize("verify", [False, True])
def test_a_lock_is_not_waited_for_for_ever_and_its_holder_is_named(
    with_password: Database, folder: Path, verify: bool
) -> None:
    seen: list[str] = []
    watching = threading.Event()

    def watch() -> None:
        while not watching.wait(0.02):
            seen.extend(running_arguments("pg_dump", name(with_password)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with psycopg.connect(libpq_url(with_password)) as holder:
            holder.execute(LOCK)
            with pytest.raises(PipelineError) as refused:
                take_backup(with_password, folder, verify=verify, max_wait=0.5)
            pid = holder.info.backend_pid
    finally:
        watching.set()
        watcher.join()
    assert refused.value.exit_code == 5
    assert "for 0.5 s" in refused.value.message
    assert f"pid {pid} (" in refused.value.message
    assert LOCK in refused.value.message
    assert list(folder.iterdir()) == []
    assert seen, "pg_dump was never seen at work"
    assert "hush" not in str(refused.value) + " ".join(seen)


def test_what_a_killed_backup_leaves_is_removed_when_nobody_writes_it_any_more(
    legacy_database: Database, folder: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from temporal_pipeline.database import Database; "
        "from temporal_pipeline.operations.backup.dump import take_backup; "
        "take_backup(Database(sys.argv[1]), Path(sys.argv[2]))"
    )
    with psycopg.connect(libpq_url(legacy_database)) as holder:
        holder.execute(LOCK)
        process = subprocess.Popen(
            [sys.executable, "-c", code, legacy_database.url, str(folder)],
            cwd=PROJECT_ROOT,
            start_new_session=True,
        )
        wait_until(lambda: running_arguments("pg_dump", name(legacy_database)))
        process.kill()
        process.wait()
        [partial] = folder.iterdir()
        assert partial.name.endswith(".dump.partial")
        holder.rollback()
        # Its pg_dump goes on: until that ends, the file is in use.
        os.killpg(process.pid, signal.SIGKILL)
        wait_until(lambda: not running_arguments("pg_dump", name(legacy_database)))
    in_use = folder / "pre_temporal_20200101_000000.dump.partial"
    with in_use.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        backup = take_backup(legacy_database, folder)
        assert sorted(folder.iterdir()) == sorted([in_use, backup.path])
    second = take_backup(legacy_database, folder)
    assert sorted(folder.iterdir()) == sorted([backup.path, second.path])


def test_without_the_right_to_make_databases_verifying_is_refused_before_anything_is_done(
    legacy_database: Database, folder: Path
) -> None:
    role = f"role_{uuid.uuid4().hex[:8]}"
    execute(legacy_database, f"CREATE ROLE {role} LOGIN PASSWORD 'hush' IN ROLE pg_read_all_data")
    try:
        url = make_url(legacy_database.url).set(username=role, password="hush")
        limited = Database(url.render_as_string(hide_password=False))
        with pytest.raises(PipelineError) as refused:
            take_backup(limited, folder, verify=True)
        assert take_backup(limited, folder).path.exists(), "without verifying it needs no such right"
        # Nor the one to see what others do.
        with psycopg.connect(libpq_url(legacy_database)) as holder:
            holder.execute(LOCK)
            with pytest.raises(PipelineError, match=f"held by pid {holder.info.backend_pid} "):
                take_backup(limited, folder, max_wait=0.1)
        limited.dispose()
    finally:
        execute(legacy_database, f"DROP ROLE {role}")
    assert refused.value.exit_code == 5
    assert refused.value.hint == f'as a superuser: ALTER ROLE "{role}" CREATEDB'


def test_a_failing_pg_dump_leaves_nothing_and_tells_why_without_the_password(
    legacy_database: Database, folder: Path
) -> None:
    role = f"role_{uuid.uuid4().hex[:8]}"
    execute(legacy_database, f"CREATE ROLE {role} LOGIN PASSWORD 'hush'")
    try:
        url = make_url(legacy_database.url).set(username=role, password="hush")
        limited = Database(url.render_as_string(hide_password=False))
        with pytest.raises(PipelineError, match="permission denied for table") as failed:
            take_backup(limited, folder)
        limited.dispose()
    finally:
        execute(legacy_database, f"DROP ROLE {role}")
    assert "owner of the application's tables" in failed.value.hint
    assert "hush" not in str(failed.value)
    assert list(folder.iterdir()) == []


def test_no_pg_dump_is_refused_with_what_to_install(
    legacy_database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(programs, "SYSTEM_BINARIES", ())
    monkeypatch.setattr(programs, "WHEEL", "no_such_wheel")
    with pytest.raises(PipelineError) as refused:
        take_backup(legacy_database, folder)
    assert "postgresql-client-" in refused.value.hint
    assert "--no-backup" in refused.value.hint


def test_a_disk_without_room_is_refused_and_a_small_one_warned_of(
    legacy_database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = int(rows(legacy_database, "SELECT pg_database_size(current_database())")[0][0])
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(size, size, int(size * LEAST_SHARE * 0.99)))
    with pytest.raises(PipelineError, match="no room for a backup") as refused:
        take_backup(legacy_database, folder)
    assert refused.value.exit_code == 5
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(size, size, size // 2))
    warning = take_backup(legacy_database, folder).warning
    assert warning is not None
    assert "may not fit" in warning


def test_a_folder_that_cannot_be_made_is_told(legacy_database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match="cannot make the folder") as refused:
        take_backup(legacy_database, tmp_path / "file" / "backups")
    assert "TEMPORAL_PIPELINE_BACKUPS" in refused.value.hint
