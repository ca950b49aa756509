"""Restoring: beside the database first, then swapped in, and at every moment one of the two is there."""

import signal
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.definition.model import HEAD
from temporal_pipeline.defs.schema.upgrade import schema_state, upgrade
from temporal_pipeline.operations.backup.databases import NEW, OLD
from temporal_pipeline.operations.backup.dump import take_backup
from temporal_pipeline.operations.backup.restore import drop_old, old_databases, restore
from temporal_pipeline.settings import PROJECT_ROOT
from tests.migrations.tools import execute, rows, schema_of
from tests.operations.backup.tools import (
    count_of_contents,
    databases_like,
    drop_beside,
    name,
    populate,
    server_of,
    url_with,
    wait_until,
)


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
    assert restored.rows["public.contents"] == count_of_contents(database) == 5
    [old] = old_databases(database)
    assert (old.name, old.bytes > 0) == (restored.kept, True)
    kept = Database(url_with(database, database=old.name))
    assert schema_of(kept) == migrated
    assert count_of_contents(kept) == 10
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
        assert count_of_contents(database) == 5
    finally:
        drop_beside(database)


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
        drop_beside(database)
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
            drop_beside(database)
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
        assert restored.rows["crosshot.contents"] == count_of_contents(empty_database) == 5
    finally:
        drop_beside(empty_database)


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
    assert count_of_contents(database) == 5
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
