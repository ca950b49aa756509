"""A restore that is refused or fails leaves everything as it was."""

import uuid
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup import programs
from temporal_pipeline.operations.backup.archive import prove_archive
from temporal_pipeline.operations.backup.databases import NEW, load
from temporal_pipeline.operations.backup.dump import take_backup
from temporal_pipeline.operations.backup.programs import WHEEL_MAJOR, newest_programs
from temporal_pipeline.operations.backup.restore import drop_old, old_databases, restore
from tests.migrations.tools import execute, schema_of
from tests.operations.backup.tools import (
    count_of_contents,
    databases_like,
    drop_beside,
    name,
    populate,
    server_of,
    url_with,
)
from tests.operations.doctor.pooling_proxy import PoolingProxy
from tests.servers import new_server, second_binaries


def test_a_restore_that_fails_leaves_everything_as_it_was(legacy_database: Database, folder: Path) -> None:
    role = f"role_{uuid.uuid4().hex[:8]}"
    execute(legacy_database, f"CREATE ROLE {role}; ALTER TABLE contents OWNER TO {role}")
    backup = take_backup(legacy_database, folder).path
    execute(legacy_database, f"ALTER TABLE contents OWNER TO CURRENT_USER; DROP ROLE {role}")
    before = schema_of(legacy_database)
    with pytest.raises(PipelineError, match=f'pg_restore failed: .*role "{role}" does not exist'):
        restore(legacy_database, backup)
    assert schema_of(legacy_database) == before
    assert databases_like(legacy_database, f"{name(legacy_database)}%") == [name(legacy_database)]


@pytest.mark.slow
def test_sessions_that_we_may_not_end_are_named(database_with_backup: tuple[Database, Path]) -> None:
    database, backup = database_with_backup
    role = f"role_{uuid.uuid4().hex[:8]}"
    execute(database, f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD 'hush'")
    owner = Database(url_with(database, username=role, password="hush"))
    try:
        with pytest.raises(PipelineError, match="does not own") as refused:
            restore(owner, backup)
        assert refused.value.exit_code == 5
        execute(
            database,
            f'ALTER DATABASE "{name(database)}" OWNER TO {role}; GRANT pg_read_all_data TO {role}; '
            f"DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND "
            f"relnamespace = 'public'::regnamespace LOOP EXECUTE format('ALTER TABLE %s OWNER TO {role}', t); "
            "END LOOP; END $$",
        )
        backup = take_backup(owner, backup.parent).path
        database.dispose()
        with psycopg.connect(libpq_url(database)) as superuser:
            superuser.execute("SELECT 1")
            with pytest.raises(PipelineError) as refused:
                restore(owner, backup, max_wait=0.1)
            assert refused.value.exit_code == 5
            assert f"pid {superuser.info.backend_pid} (" in refused.value.message
            assert "hush" not in str(refused.value)
            assert superuser.execute("SELECT count(*) FROM contents").fetchone() == (5,), (
                "the database is as it was"
            )
        assert databases_like(database, f"{name(database)}{NEW}%") == []
        restore(owner, backup)
        execute(database, f"ALTER ROLE {role} NOCREATEDB")
        with pytest.raises(PipelineError, match="may not make databases"):
            restore(owner, backup)
    finally:
        owner.dispose()
        drop_beside(database)
        execute(database, f'ALTER DATABASE "{name(database)}" OWNER TO CURRENT_USER')
        execute(database, f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_name_too_long_to_be_kept_is_refused(server_url: str, tmp_path: Path, legacy_template: str) -> None:
    long = Database(make_url(server_url).set(database="test_" + uuid.uuid4().hex).render_as_string(False))
    with server_of(long) as server:
        server.execute(f'CREATE DATABASE "{name(long)}" TEMPLATE "{legacy_template}"')
        try:
            backup = take_backup(long, tmp_path).path
            with pytest.raises(PipelineError, match="too long") as refused:
                restore(long, backup)
            assert "5 bytes shorter" in refused.value.hint
        finally:
            long.dispose()
            server.execute(f'DROP DATABASE "{name(long)}"')


def test_shared_sessions_are_refused(database_with_backup: tuple[Database, Path]) -> None:
    database, backup = database_with_backup
    with PoolingProxy(database) as proxy:
        for attempt in (lambda: restore(proxy.database, backup), lambda: drop_old(proxy.database, [])):
            with pytest.raises(PipelineError, match="a pooler in transaction or statement mode") as refused:
                attempt()
            assert refused.value.exit_code == 5
        proxy.database.dispose()


def test_a_url_that_names_the_database_among_its_parameters(
    database_with_backup: tuple[Database, Path],
) -> None:
    database, backup = database_with_backup
    elsewhere = make_url(database.url).set(database="postgres")
    given = Database(elsewhere.update_query_dict({"dbname": name(database)}).render_as_string(False))
    execute(database, "DELETE FROM contents WHERE text <> 'post 0'")
    try:
        restored = restore(given, backup)
    finally:
        given.dispose()
    assert restored.database == name(database)
    assert restored.rows["public.contents"] == count_of_contents(database) == 5
    [old] = old_databases(given)
    kept = Database(url_with(database, database=old.name))
    assert count_of_contents(kept) == 1, "nothing was loaded into what it was before"
    kept.dispose()
    given.dispose()


def test_nothing_is_loaded_into_another_database_or_one_with_tables(
    database_with_backup: tuple[Database, Path],
) -> None:
    database, backup = database_with_backup
    found = newest_programs()
    archive = prove_archive(found, backup)
    other_name = make_url(database.url).set(database="none").update_query_dict({"dbname": name(database)})
    for url in (database.url, other_name.render_as_string(hide_password=False)):
        target = Database(database.url)
        # As if a URL were understood in another way here than by libpq.
        target.url = url
        with pytest.raises(
            PipelineError, match=f"would write into the database '{name(database)}'"
        ) as refused:
            load(found, target, archive)
        assert refused.value.exit_code == 5
    assert count_of_contents(database) == 5


def test_a_file_that_is_none_or_no_dump_is_refused(legacy_database: Database, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="there is no file") as missing:
        restore(legacy_database, tmp_path / "none.dump")
    assert missing.value.exit_code == 2
    (tmp_path / "text.dump").write_text("SELECT 1;")
    with pytest.raises(PipelineError, match="cannot be read"):
        restore(legacy_database, tmp_path / "text.dump")


@pytest.mark.slow
def test_an_older_server_with_newer_programs_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their pg_restore sets a parameter that the server does not know, and needs itself again later."""
    try:
        binaries = second_binaries()
    except PipelineError as error:
        pytest.skip(error.message)
    with new_server(binaries) as place:
        database = Database(place.url())
        create_legacy_tables(database)
        populate(database)
        before = schema_of(database)
        with monkeypatch.context() as only_the_wheel:
            only_the_wheel.setattr(programs, "SYSTEM_BINARIES", ())
            only_the_wheel.setenv("PATH", "")
            backup = take_backup(database, tmp_path / "backups", verify=True)
        assert backup.program == f"pg_dump {WHEEL_MAJOR}"
        assert backup.warning is not None
        assert f"needs pg_restore {WHEEL_MAJOR}" in backup.warning
        assert prove_archive(newest_programs(), backup.path).dumped_by == WHEEL_MAJOR
        execute(database, "DROP TABLE content_media")
        restore(database, backup.path)
        assert schema_of(database) == before
        # Errors of another kind still count.
        execute(database, "CREATE ROLE gone; ALTER TABLE contents OWNER TO gone")
        with monkeypatch.context() as only_the_wheel:
            only_the_wheel.setattr(programs, "SYSTEM_BINARIES", ())
            only_the_wheel.setenv("PATH", "")
            orphan = take_backup(database, tmp_path / "backups")
        execute(database, "ALTER TABLE contents OWNER TO CURRENT_USER; DROP ROLE gone")
        with pytest.raises(PipelineError, match='role "gone" does not exist'):
            restore(database, orphan.path)
        own = take_backup(database, tmp_path / "backups", verify=True)
        assert own.warning is None
        database.dispose()
