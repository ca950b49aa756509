"""Restoring: beside the database first, then swapped in, and at every moment one of the two is there."""

import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.definition.model import HEAD
from temporal_pipeline.defs.schema.upgrade import schema_state, upgrade
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup import programs
from temporal_pipeline.operations.backup.archive import prove_archive
from temporal_pipeline.operations.backup.databases import NEW, OLD, load
from temporal_pipeline.operations.backup.dump import take_backup
from temporal_pipeline.operations.backup.programs import WHEEL_MAJOR, newest_programs
from temporal_pipeline.operations.backup.restore import drop_old, old_databases, restore
from temporal_pipeline.settings import PROJECT_ROOT
from tests.migrations.tools import execute, rows, schema_of
from tests.operations.backup.tools import (
    databases_like,
    name,
    populate,
    server_of,
    wait_until,
)
from tests.operations.doctor.pooling_proxy import PoolingProxy
from tests.servers import new_server, second_binaries

CONTENTS = "SELECT count(*) FROM contents"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def database_with_backup(legacy_database: Database, folder: Path) -> Iterator[tuple[Database, Path]]:
    """A legacy database with five contents, and its backup; what restoring it leaves is dropped."""
    populate(legacy_database)
    yield legacy_database, take_backup(legacy_database, folder).path
    _drop_beside(legacy_database)


def _drop_beside(database: Database) -> None:
    beside = databases_like(database, f"{name(database)}{NEW}%") + databases_like(
        database, f"{name(database)}{OLD}%"
    )
    with server_of(database) as server:
        for one in beside:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(one)))


def _count(database: Database) -> int:
    return int(rows(database, CONTENTS)[0][0])


def _url(of: Database, **parts: str) -> str:
    return make_url(of.url).set(**parts).render_as_string(hide_password=False)


def test_the_backup_from_before_a_migration_leads_back_to_the_schema_of_then(
    database_with_backup: tuple[Database, Path],
) -> None:
    database, backup = database_with_backup
    before = schema_of(database)
    upgrade(database)
    populate(database)
    migrated = schema_of(database)
    restored = restore(database, backup)
    assert schema_of(database) == before
    assert restored.rows["public.contents"] == _count(database) == 5
    [old] = old_databases(database)
    assert (old.name, old.bytes > 0) == (restored.kept, True)
    kept = Database(_url(database, database=old.name))
    assert schema_of(kept) == migrated
    assert _count(kept) == 10
    kept.dispose()
    drop_old(database, [old])
    assert old_databases(database) == []
    assert databases_like(database, f"{name(database)}%") == [name(database)]
    upgrade(database)
    assert schema_of(database) == migrated


def test_a_migrated_database_is_backed_up_and_restored_as_it_is(database: Database, folder: Path) -> None:
    populate(database)
    backup = take_backup(database, folder, verify=True)
    try:
        execute(database, "DROP TABLE chat_messages CASCADE; DELETE FROM contents")
        restore(database, backup.path)
        # Not by the schema's text: PostgreSQL writes casts in a restored CHECK in another way.
        with database.transaction(read_only=True) as connection:
            state = schema_state(connection)
        assert (state.revision, state.pending) == (HEAD, ())
        assert _count(database) == 5
    finally:
        _drop_beside(database)


def test_owner_settings_limit_comment_and_grants_stay_those_of_the_database(
    database_with_backup: tuple[Database, Path],
) -> None:
    database, backup = database_with_backup
    role, guest = (f"{kind} {uuid.uuid4().hex[:8]}" for kind in ("owner of it", "guest"))
    original = name(database)
    with server_of(database) as server:
        for statement in (
            'CREATE ROLE "{role}"',
            'CREATE ROLE "{guest}"',
            'ALTER DATABASE "{name}" OWNER TO "{role}"',
            'ALTER DATABASE "{name}" SET search_path TO "$user", public, "a, b"',
            'ALTER DATABASE "{name}" SET "app.words" TO \'100%% of its \\ "mine", a=b\'',
            'ALTER DATABASE "{name}" SET datestyle TO ISO, YMD',
            'ALTER ROLE "{guest}" IN DATABASE "{name}" SET statement_timeout TO \'7s\'',
            'ALTER DATABASE "{name}" CONNECTION LIMIT 77',
            "COMMENT ON DATABASE \"{name}\" IS 'its ours, 100%%'",
            'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
            'GRANT CONNECT, TEMPORARY ON DATABASE "{name}" TO "{guest}" WITH GRANT OPTION',
        ):
            server.execute(statement.format(name=original, role=role, guest=guest).replace("%%", "%"))
        before = _properties(server, original)
        assert len(before) == 10, before
        restored = restore(database, backup)
        assert _properties(server, original) == before
        assert restored.kept != original
        assert rows(database, "SHOW search_path")[0][0] == '"$user", public, "a, b"'
        _drop_beside(database)
        server.execute(f'ALTER ROLE "{guest}" IN DATABASE "{original}" RESET ALL')
        server.execute(f'ALTER DATABASE "{original}" OWNER TO CURRENT_USER')
        server.execute(f'REVOKE ALL ON DATABASE "{original}" FROM "{guest}"')
        server.execute(f'DROP ROLE "{role}"')
        server.execute(f'DROP ROLE "{guest}"')


def _properties(server: "psycopg.Connection[tuple[object, ...]]", database: str) -> list[str]:
    found = server.execute(
        """
        SELECT s.setrole::regrole || ' ' || entry FROM pg_db_role_setting s, unnest(setconfig) AS entry
        WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = %(name)s)
        UNION ALL SELECT 'limit ' || datconnlimit FROM pg_database WHERE datname = %(name)s
        UNION ALL SELECT 'owner ' || datdba::regrole || ' ' || pg_encoding_to_char(encoding) || datcollate || datctype
        FROM pg_database WHERE datname = %(name)s
        UNION ALL SELECT 'comment ' || shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %(name)s
        UNION ALL SELECT a::text FROM pg_database, aclexplode(datacl) AS a
        WHERE datname = %(name)s AND grantee <> datdba
        UNION ALL SELECT 'grants ' || count(*) FROM pg_database, aclexplode(datacl) AS a WHERE datname = %(name)s
        """,
        {"name": database},
    )
    return sorted(str(row[0]) for row in found)


@pytest.mark.parametrize(
    "options",
    [
        "LC_COLLATE 'C' LC_CTYPE 'C'",
        "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
        "LOCALE_PROVIDER icu ICU_LOCALE 'de' LC_COLLATE 'C' LC_CTYPE 'C'",
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C'",
    ],
)
def test_the_new_database_sorts_and_encodes_like_the_old_one(
    server_url: str, tmp_path: Path, options: str
) -> None:
    database = Database(
        make_url(server_url).set(database=f"test_{uuid.uuid4().hex[:12]}").render_as_string(False)
    )
    with server_of(database) as server:
        try:
            server.execute(f'CREATE DATABASE "{name(database)}" TEMPLATE template0 {options}')
        except psycopg.Error as error:
            pytest.skip(f"this server has no such locale: {error}")

        def locale() -> object:
            return server.execute(
                "SELECT to_jsonb(d) - ARRAY['oid', 'datfrozenxid', 'datminmxid', 'datlastsysoid'] "
                "FROM pg_database d WHERE datname = %s",
                [name(database)],
            ).fetchone()

        try:
            create_legacy_tables(database)
            before = locale()
            restore(database, take_backup(database, tmp_path).path)
            assert locale() == before
        finally:
            database.dispose()
            _drop_beside(database)
            server.execute(f'DROP DATABASE "{name(database)}"')


def test_an_application_with_a_schema_of_its_own(empty_database: Database, tmp_path: Path) -> None:
    execute(
        empty_database,
        f'CREATE SCHEMA crosshot; ALTER DATABASE "{name(empty_database)}" SET search_path TO crosshot',
    )
    empty_database.engine.dispose()
    create_legacy_tables(empty_database)
    populate(empty_database)
    try:
        restored = restore(empty_database, take_backup(empty_database, tmp_path, verify=True).path)
        assert restored.rows["crosshot.contents"] == _count(empty_database) == 5
    finally:
        _drop_beside(empty_database)


def test_whoever_is_connected_is_ended_and_comes_back_to_the_restored_one(
    database_with_backup: tuple[Database, Path],
) -> None:
    database, backup = database_with_backup
    url = libpq_url(database)
    done, ended, beyond = threading.Event(), 0, 0

    def write() -> None:
        """An application that connects anew as soon as it is thrown out."""
        nonlocal ended, beyond
        while not done.is_set():
            with suppress(psycopg.OperationalError), psycopg.connect(url, autocommit=True) as connection:
                if ended:
                    beyond += 1
                while not done.is_set():
                    connection.execute("UPDATE topics SET position = position + 1")
            ended += not done.is_set()

    writers = [threading.Thread(target=write) for _ in range(4)]
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE contents IN ACCESS EXCLUSIVE MODE")
        for writer in writers:
            writer.start()
        try:
            wait_until(lambda: rows(database, "SELECT position FROM topics")[0][0] > 10)
            restored = restore(database, backup, max_wait=30)
            wait_until(lambda: beyond >= len(writers))
        finally:
            done.set()
            for writer in writers:
                writer.join()
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
    assert ended >= len(writers)
    assert _count(database) == 5
    assert restored.kept in databases_like(database, f"{name(database)}%")


@pytest.mark.slow
def test_killed_between_the_two_renames_nothing_has_happened(
    database_with_backup: tuple[Database, Path],
) -> None:
    database, backup = database_with_backup
    execute(database, "DELETE FROM chat_messages")
    code = (
        "import sys; from pathlib import Path; from temporal_pipeline.database import Database; "
        "from temporal_pipeline.operations.backup.restore import restore; "
        "restore(Database(sys.argv[1]), Path(sys.argv[2]))"
    )
    new = f"{name(database)}{NEW}%"
    second_rename = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER DATABASE%%' "
        "AND query LIKE %s"
    )
    database.dispose()
    with server_of(database) as server, server_of(database) as holder:
        process = subprocess.Popen(
            [sys.executable, "-c", code, database.url, str(backup)],
            cwd=PROJECT_ROOT,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: databases_like(database, new))
        [unfinished] = databases_like(database, new)
        holder.autocommit = False
        # A lock on the new database under which everything goes on but its renaming.
        holder.execute(f"COMMENT ON DATABASE \"{unfinished}\" IS 'held'")
        wait_until(lambda: server.execute(second_rename, [f'%"{unfinished}" RENAME%']).fetchone() == (1,))
        process.send_signal(signal.SIGKILL)
        process.wait()
        holder.rollback()
        wait_until(lambda: server.execute(second_rename, ["%RENAME%"]).fetchone() == (0,))
    assert databases_like(database, f"{name(database)}{OLD}%") == []
    assert rows(database, "SELECT count(*) FROM chat_messages")[0][0] == 0, "the old one is back"
    assert databases_like(database, new) == [unfinished]
    restore(database, backup)
    assert rows(database, "SELECT count(*) FROM chat_messages")[0][0] == 1
    assert databases_like(database, new) == [], "what was left is gone"


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
    owner = Database(_url(database, username=role, password="hush"))
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
            assert superuser.execute(CONTENTS).fetchone() == (5,), "the database is as it was"
        assert databases_like(database, f"{name(database)}{NEW}%") == []
        restore(owner, backup)
        execute(database, f"ALTER ROLE {role} NOCREATEDB")
        with pytest.raises(PipelineError, match="may not make databases"):
            restore(owner, backup)
    finally:
        owner.dispose()
        _drop_beside(database)
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
    assert restored.rows["public.contents"] == _count(database) == 5
    [old] = old_databases(given)
    kept = Database(_url(database, database=old.name))
    assert _count(kept) == 1, "nothing was loaded into what it was before"
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
    assert _count(database) == 5


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
