"""What may be wrong with a server or with a database as a whole."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.database import Database
from temporal_pipeline.embedded.place import Place
from temporal_pipeline.embedded.server import Server
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.programs import Programs
from temporal_pipeline.operations.doctor import activity, backups, server
from temporal_pipeline.operations.doctor.examination import examine
from temporal_pipeline.operations.doctor.finding import Status
from tests.migrations.tools import execute, rows
from tests.operations.doctor.conftest import examined, name_of, role_of
from tests.servers import embedded_binaries, new_server

# Few locks, room for prepared transactions, logical slots; autovacuum only when a test wants it, and then slow.
SETTINGS = {
    "max_locks_per_transaction": "10",
    "max_prepared_transactions": "5",
    "wal_level": "logical",
    "autovacuum": "off",
    "autovacuum_naptime": "1s",
    "autovacuum_vacuum_cost_delay": "100ms",
    "autovacuum_vacuum_cost_limit": "1",
    "synchronous_commit": "off",
}


@pytest.fixture(scope="module")
def own_server() -> Iterator[Place]:
    with new_server(embedded_binaries()) as place:
        with place.connect("postgres") as admin:
            for name, value in SETTINGS.items():
                admin.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        process = Server(place)
        process.stop()
        process.ensure_ready()
        yield place


@contextmanager
def _database_on(place: Place, properties: str = "") -> Iterator[Database]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with place.connect("postgres") as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 {properties}".encode())
    database = Database(place.url(name))
    yield database
    database.dispose()
    with place.connect("postgres") as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def own_database(own_server: Place) -> Iterator[Database]:
    with _database_on(own_server) as database:
        create_legacy_tables(database)
        yield database


def _again(database: Database) -> Database:
    """New connections, to which what was set for database or role applies."""
    database.dispose()
    return database


def test_versions() -> None:
    assert server.version_verdict(130021).status is Status.FAIL
    assert server.version_verdict(140000).status is Status.OK
    assert server.version_verdict(180003).found == "PostgreSQL 18.3"
    assert server.version_verdict(190000).status is Status.WARN


def test_nothing_else_is_examined_on_a_server_that_is_too_old(
    legacy_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "OLDEST_SERVER", 99)
    findings = {finding.name: finding.verdict for finding in examine(legacy_database)}
    assert list(findings) == ["connection", "pooler", "server_version", "encoding"]
    assert findings["server_version"].status is Status.FAIL


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_an_encoding_without_all_letters(own_server: Place, encoding: str) -> None:
    with _database_on(own_server, f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'") as database:
        findings = {finding.name: finding.verdict for finding in examine(database)}
    assert findings["encoding"].status is Status.FAIL
    assert findings["encoding"].found == f"the database's encoding is {encoding}"
    assert list(findings)[-1] == "encoding"


def test_a_ctype_without_chinese_letters(own_server: Place) -> None:
    with _database_on(own_server, "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'") as database:
        foretold = examined(database, server.chinese_trigrams)
        execute(database, "CREATE EXTENSION pg_trgm")
        assert examined(database, server.chinese_trigrams) == foretold
    assert foretold.status is Status.WARN
    assert foretold.found == "ctype C has no Chinese letters: the similarity of Chinese texts is 0"


def test_trigrams_are_there_as_foretold(own_database: Database) -> None:
    assert examined(own_database, server.chinese_trigrams).status is Status.OK
    execute(own_database, "CREATE EXTENSION pg_trgm")
    verdict = examined(own_database, server.chinese_trigrams)
    assert (verdict.status, verdict.found) == (Status.OK, "5 trigrams in 人工智能, ctype C.UTF-8")


def test_a_standby(own_server: Place) -> None:
    with new_server(embedded_binaries()) as place:
        process = Server(place)
        process.stop()
        (place.data / "standby.signal").touch()
        assert process._launch()
        database = Database(place.url("postgres"))
        findings = {finding.name: finding.verdict for finding in examine(database)}
        database.dispose()
    assert findings["writable"].status is Status.FAIL
    assert findings["writable"].remedy == "set DATABASE_URL to the primary"
    assert not [v for v in findings.values() if v.found.startswith("could not be examined")]


def test_a_database_that_is_read_only_by_default(legacy_database: Database) -> None:
    name = name_of(legacy_database)
    execute(legacy_database, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    verdict = examined(_again(legacy_database), server.writable)
    assert verdict.status is Status.FAIL
    assert f"ALTER DATABASE {name} RESET default_transaction_read_only" in verdict.remedy


def test_an_extension_that_the_server_does_not_know(own_database: Database) -> None:
    name = name_of(own_database)
    execute(own_database, f"ALTER DATABASE {name} SET extension_control_path = '/nowhere'")
    verdict = examined(_again(own_database), server.extensions)
    assert verdict.status is Status.FAIL
    assert verdict.found == "the server does not know btree_gist and pg_trgm"
    assert "postgresql-contrib" in verdict.remedy


def test_an_extension_that_is_not_found_where_it_is(legacy_database: Database) -> None:
    execute(legacy_database, "CREATE SCHEMA tools; CREATE EXTENSION pg_trgm SCHEMA tools")
    verdict = examined(legacy_database, server.extensions)
    assert verdict.status is Status.FAIL
    assert verdict.found == "pg_trgm is in schema tools, which is not in search_path"
    execute(legacy_database, verdict.remedy)
    assert examined(legacy_database, server.extensions).status is Status.OK


@pytest.mark.parametrize("limited", ["the database", "the role"])
def test_too_few_connections(legacy_database: Database, owner: Database, limited: str) -> None:
    what = f'DATABASE "{name_of(owner)}"' if limited == "the database" else f"ROLE {role_of(owner)}"
    execute(legacy_database, f"ALTER {what} CONNECTION LIMIT 5")
    verdict = examined(owner, server.free_connections)
    assert verdict.status is Status.FAIL
    assert verdict.remedy.endswith(f"raise CONNECTION LIMIT of {limited}")
    execute(legacy_database, f"ALTER {what} CONNECTION LIMIT 20")
    assert examined(owner, server.free_connections).status is Status.OK


def test_a_server_whose_connections_are_used_up(own_server: Place, own_database: Database) -> None:
    allowed = int(rows(own_database, "SHOW max_connections")[0][0])
    sessions = [own_server.connect("postgres") for _ in range(allowed - 6)]
    verdict = examined(own_database, server.free_connections)
    for session in sessions:
        session.close()
    assert verdict.status is Status.FAIL
    assert verdict.remedy.endswith("raise max_connections of the server")


def test_more_relations_than_a_dump_can_lock(own_database: Database) -> None:
    assert examined(own_database, server.lock_table).status is Status.OK
    with own_database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(
            "DO $$ BEGIN FOR i IN 1..1100 LOOP EXECUTE format('CREATE TABLE t_%%s ()', i); COMMIT; END LOOP; END $$"
        )
    verdict = examined(own_database, server.lock_table)
    assert verdict.status is Status.WARN
    assert verdict.remedy == ("ALTER SYSTEM SET max_locks_per_transaction = 20; then restart the server")


def test_a_time_limit_that_would_cancel_a_run(legacy_database: Database) -> None:
    name = name_of(legacy_database)
    execute(legacy_database, f"ALTER DATABASE \"{name}\" SET statement_timeout = '5s'")
    verdict = examined(_again(legacy_database), server.time_limits)
    assert verdict.status is Status.WARN
    assert verdict.found.startswith("statement_timeout is 5000 ms")
    execute(legacy_database, f"ALTER DATABASE \"{name}\" SET statement_timeout = '5min'")
    verdict = examined(_again(legacy_database), server.time_limits)
    assert (verdict.status, verdict.found) == (Status.OK, "statement_timeout 300 s")


def test_a_forgotten_prepared_transaction(own_database: Database) -> None:
    url = make_url(own_database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("BEGIN; LOCK TABLE contents; PREPARE TRANSACTION 'it''s'")
        verdict = examined(own_database, activity.prepared_transactions)
        session.execute(verdict.remedy.partition(" or ")[2].encode())
    assert verdict.status is Status.WARN
    assert verdict.details[0].startswith("'it''s' of crosshot, ")
    assert examined(own_database, activity.prepared_transactions).status is Status.OK


def test_slots_that_nobody_reads(own_database: Database) -> None:
    execute(own_database, "SELECT pg_create_physical_replication_slot('one', true)")
    execute(own_database, "SELECT pg_create_logical_replication_slot('two', 'pgoutput')")
    verdict = examined(own_database, activity.replication_slots)
    assert verdict.status is Status.WARN
    assert verdict.details[0].startswith("one, physical: ")
    assert verdict.details[1].startswith("two, logical: ")
    assert verdict.details[1].endswith(" transactions")
    execute(own_database, verdict.remedy.partition("or ")[2])
    execute(own_database, "SELECT pg_drop_replication_slot('two')")
    assert examined(own_database, activity.replication_slots).status is Status.OK


@pytest.fixture
def old_contents(own_server: Place, own_database: Database) -> Iterator[Database]:
    """A table whose time before a vacuum against wraparound is over."""
    execute(
        own_database,
        "ALTER TABLE contents SET (autovacuum_freeze_max_age = 100000, fillfactor = 10);"
        "INSERT INTO tasks (id, label) VALUES ('00000000-0000-0000-0000-000000000001', 'crawler:x');"
        "INSERT INTO contents (id, task_id, platform, source_url, crawled_at)"
        " SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'x', repeat('x', 300), now()"
        " FROM generate_series(1, 2000)",
    )
    with own_server.connect(name_of(own_database)) as session:
        # Each block that catches exceptions takes a transaction number.
        session.execute(
            "CREATE TEMP TABLE burnt (x int); DO $$ BEGIN FOR i IN 1..110000 LOOP"
            " BEGIN INSERT INTO burnt VALUES (1); EXCEPTION WHEN division_by_zero THEN NULL; END;"
            " END LOOP; END $$"
        )
    yield own_database
    with own_server.connect("postgres") as admin:
        admin.execute("ALTER SYSTEM SET autovacuum = off")
        admin.execute("SELECT pg_reload_conf()")


@pytest.mark.slow
def test_autovacuum_against_wraparound(own_server: Place, old_contents: Database) -> None:
    verdict = examined(old_contents, activity.autovacuum)
    assert verdict.status is Status.WARN
    assert verdict.found.startswith("autovacuum will soon work against wraparound on contents")
    remedy = verdict.remedy

    with own_server.connect("postgres") as admin:
        admin.execute("ALTER SYSTEM SET autovacuum = on")
        admin.execute("SELECT pg_reload_conf()")
    query = (
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query ~ 'wraparound'"
    )
    while not (workers := rows(old_contents, query)):
        pass
    verdict = examined(old_contents, activity.autovacuum)
    assert verdict.status is Status.WARN
    assert verdict.found == "autovacuum works against wraparound on contents, and yields to nobody"
    assert verdict.details == (f"pid {workers[0].pid} on contents",)

    with own_server.connect("postgres") as admin:
        admin.execute("ALTER SYSTEM SET autovacuum = off")
        admin.execute("SELECT pg_reload_conf()")
        admin.execute("SELECT pg_terminate_backend(%s, 10000)", [workers[0].pid])
    with own_server.connect(name_of(old_contents)) as session:
        session.execute(remedy.encode())
    assert examined(old_contents, activity.autovacuum).status is Status.OK


def test_room_for_the_backup() -> None:
    folder = Path("/backups")
    assert backups.room_verdict(9, 100, folder).status is Status.FAIL
    assert backups.room_verdict(99, 100, folder).status is Status.WARN
    assert backups.room_verdict(100, 100, folder).status is Status.OK


def test_a_folder_for_backups_that_cannot_be(
    legacy_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TEMPORAL_PIPELINE_BACKUPS", str(tmp_path / "file" / "backups"))
    verdict = examined(legacy_database, backups.backup_disk)
    assert verdict.status is Status.FAIL
    assert verdict.found == f"{tmp_path}/file cannot be written"
    monkeypatch.setenv("TEMPORAL_PIPELINE_BACKUPS", str(tmp_path / "not" / "yet"))
    assert examined(legacy_database, backups.backup_disk).status is Status.OK


def test_programs_for_the_backup(legacy_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("temporal_pipeline.operations.backup.programs._usual_folders", list)
    with pytest.raises(PipelineError, match="there is no pg_dump"):
        examined(legacy_database, backups.backup_programs)
    newer = Programs(Path("/newer"), 99, "only newer ones")
    monkeypatch.setattr(backups, "find_programs", lambda _: newer)
    verdict = examined(legacy_database, backups.backup_programs)
    assert (verdict.status, verdict.found) == (Status.WARN, "only newer ones")
