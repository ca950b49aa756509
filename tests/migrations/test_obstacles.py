"""What stands in the way of an upgrade: locks, crashes, a second upgrade, missing rights, an old server."""

import logging
import shlex
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import require_head, upgrade
from temporal_pipeline.errors import PipelineError
from tests.migrations.tools import alembic, execute, rows, schema_of, upgrade_to, version


@contextmanager
def _open_transaction(
    database: Database, statement: str
) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with psycopg.connect(libpq_url(database)) as connection:
        connection.execute(statement)
        yield connection
        connection.rollback()


@contextmanager
def _handling(handler: type[logging.Handler]) -> Iterator[None]:
    """Do something whenever the upgrade complains of a lock: no test has to guess when that is."""
    log = logging.getLogger("temporal_pipeline.defs.schema.listening")
    instance = handler(logging.WARNING)
    log.addHandler(instance)
    try:
        yield
    finally:
        log.removeHandler(instance)


READS_CONTENTS = "SELECT count(*) FROM contents"


def test_an_upgrade_gives_up_a_lock_that_is_not_free_and_names_who_holds_it(
    legacy_database: Database, head: str
) -> None:
    with _open_transaction(legacy_database, READS_CONTENTS) as holder:
        with pytest.raises(PipelineError) as refused:
            upgrade(legacy_database, max_wait=0.3)
        assert refused.value.exit_code == 5
        assert "columns of contents: the lock was not free for 0.3 s" in refused.value.message
        assert f"pid {holder.info.backend_pid}," in refused.value.message
        assert READS_CONTENTS in refused.value.message
    upgrade(legacy_database)
    assert schema_of(legacy_database) == head


def test_an_upgrade_tries_again_until_the_lock_is_free(legacy_database: Database, head: str) -> None:
    with _open_transaction(legacy_database, READS_CONTENTS) as holder:

        class Release(logging.Handler):
            """Ends the transaction as soon as the upgrade complains of it."""

            def emit(self, record: logging.LogRecord) -> None:
                said.append(record.getMessage())
                holder.rollback()

        said: list[str] = []
        pid = holder.info.backend_pid
        with _handling(Release):
            upgrade(legacy_database)
    assert len(said) == 1
    assert f"pid {pid}," in said[0]
    assert schema_of(legacy_database) == head


def test_writers_are_never_made_to_wait_for_long(legacy_database: Database) -> None:
    """While an upgrade waits for a reader, others read and write as if it was not there."""
    with (
        _open_transaction(legacy_database, READS_CONTENTS),
        psycopg.connect(libpq_url(legacy_database)) as app,
    ):

        class Write(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                app.execute("SET LOCAL lock_timeout = '50ms'")
                app.execute("UPDATE contents SET text = text")
                app.commit()
                written.append(record)

        written: list[logging.LogRecord] = []
        with _handling(Write), pytest.raises(PipelineError):
            upgrade(legacy_database, max_wait=1)
    assert written


def test_a_build_that_waits_for_an_old_snapshot_is_given_up_and_names_whose_it_is(
    legacy_database: Database, head: str
) -> None:
    old_snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM content_media"
    with _open_transaction(legacy_database, old_snapshot) as holder:
        with pytest.raises(PipelineError) as refused:
            upgrade(legacy_database, max_wait=0.6)
        assert refused.value.exit_code == 5
        assert refused.value.message.startswith("index idx_topics_last_period: ")
        assert f"pid {holder.info.backend_pid}," in refused.value.message
    assert upgrade(legacy_database).steps[0] == "no invalid or other idx_topics_last_period"
    assert schema_of(legacy_database) == head


def test_two_who_hold_the_same_lock_are_both_named(legacy_database: Database) -> None:
    with (
        _open_transaction(legacy_database, READS_CONTENTS) as one,
        _open_transaction(legacy_database, READS_CONTENTS) as two,
    ):
        with pytest.raises(PipelineError) as refused:
            upgrade(legacy_database, max_wait=0.5)
        assert f"pid {one.info.backend_pid}," in refused.value.message
        assert f"pid {two.info.backend_pid}," in refused.value.message


def test_a_migration_says_how_often_it_gave_way_and_how_long_it_waited(legacy_database: Database) -> None:
    with _open_transaction(legacy_database, READS_CONTENTS) as holder:

        class Release(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                holder.rollback()

        with _handling(Release):
            report = upgrade(legacy_database)
    waited = [statement for statement in report.statements if statement.waited]
    assert "contents" in waited[0].step
    assert 0.1 < report.waited < sum(statement.seconds for statement in report.statements)
    assert report.backup is None


def test_an_invalid_index_is_replaced(database: Database, head: str) -> None:
    execute(database, "DROP INDEX idx_contents_period")
    with (
        _open_transaction(database, "LOCK TABLE contents IN ROW EXCLUSIVE MODE"),
        psycopg.connect(libpq_url(database), autocommit=True) as crashing,
    ):
        crashing.execute("SET statement_timeout = '200ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            crashing.execute("CREATE INDEX CONCURRENTLY idx_contents_period ON contents (analysis_period_id)")
    assert rows(database, "SELECT FROM pg_index WHERE NOT indisvalid")
    with (
        pytest.raises(PipelineError, match="missing: idx_contents_period"),
        database.transaction(read_only=True) as connection,
    ):
        require_head(connection)
    assert upgrade(database).steps == (
        "no invalid or other idx_contents_period",
        "index idx_contents_period",
    )
    assert schema_of(database) == head


@pytest.mark.parametrize("last_words", ["columns of contents", "index idx_contents_period"])
def test_an_upgrade_that_is_killed_is_finished_by_the_next(
    legacy_database: Database, head: str, last_words: str
) -> None:
    process = alembic(legacy_database.url, "upgrade", "head")
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip() == last_words:
            process.kill()
            break
    process.communicate()
    assert process.returncode == -9
    upgrade(legacy_database)
    assert version(legacy_database) == ["20260301_0300"]
    assert schema_of(legacy_database) == head


def test_two_upgrades_at_once_both_succeed(legacy_database: Database, head: str) -> None:
    processes = [alembic(legacy_database.url, "upgrade", "head") for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert sum("Running upgrade  -> 20260301_0100" in error for error in errors) == 1
    assert version(legacy_database) == ["20260301_0300"]
    assert schema_of(legacy_database) == head


def test_a_lost_connection_is_an_error_of_one_line(legacy_database: Database, head: str) -> None:
    with _open_transaction(legacy_database, READS_CONTENTS) as holder:

        class Terminate(logging.Handler):
            """Ends the session that migrates, not the one that holds the lock of the only upgrade."""

            def emit(self, record: logging.LogRecord) -> None:
                holder.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = 'temporal_pipeline' AND query NOT LIKE '%advisory_lock%'"
                )

        with _handling(Terminate), pytest.raises(PipelineError, match=r"^columns of contents: ") as refused:
            upgrade(legacy_database)
    assert "\n" not in refused.value.message
    upgrade(legacy_database)
    assert schema_of(legacy_database) == head


@pytest.fixture
def owner(legacy_database: Database) -> Iterator[Database]:
    """The database as its tables' owner sees it, who may not CREATE in the database."""
    role = f"owner_{uuid.uuid4().hex[:8]}"
    tables = rows(legacy_database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    execute(legacy_database, f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    execute(legacy_database, f"GRANT CREATE ON SCHEMA public TO {role}")
    for table in tables:
        execute(legacy_database, f"ALTER TABLE {table.tablename} OWNER TO {role}")
    url = make_url(legacy_database.url).set(username=role, password="secret")
    database = Database(url.render_as_string(hide_password=False))
    yield database
    database.dispose()
    execute(legacy_database, f"DROP OWNED BY {role}")
    execute(legacy_database, f"DROP ROLE {role}")


def test_a_missing_right_is_cured_by_the_command_in_the_message(
    legacy_database: Database, owner: Database, head: str
) -> None:
    with pytest.raises(PipelineError, match="permission denied to create extension") as refused:
        upgrade(owner)
    said, who, arguments = refused.value.hint.partition("as a superuser: ")
    assert (said, who) == ("", "as a superuser: ")
    program, dash_d, name, dash_c, statements = shlex.split(arguments)
    assert (program, dash_d, dash_c) == ("psql", "-d", "-c")
    assert name == make_url(legacy_database.url).database
    execute(legacy_database, statements)
    upgrade(owner)
    assert schema_of(legacy_database) == head


def test_a_role_that_does_not_own_the_tables_is_told_so(legacy_database: Database, owner: Database) -> None:
    upgrade_to(legacy_database, "20260301_0100")
    for table in ("tasks", "contents", "topics", "users", "chat_messages"):
        execute(legacy_database, f"ALTER TABLE {table} OWNER TO CURRENT_USER")
    execute(legacy_database, f"GRANT ALL ON alembic_version TO {make_url(owner.url).username}")
    with pytest.raises(PipelineError, match="must be owner of table topics") as refused:
        upgrade(owner)
    assert refused.value.hint == "run it as the owner of the application's tables"


def test_a_server_that_is_too_old_is_refused(
    legacy_database: Database, legacy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("temporal_pipeline.database.OLDEST_SERVER", 99)
    with pytest.raises(PipelineError, match=r"the server is PostgreSQL \d+, too old") as refused:
        upgrade(legacy_database)
    assert refused.value.hint == "use PostgreSQL 99 or newer"
    assert schema_of(legacy_database) == legacy


def test_limits_of_the_role_do_not_end_an_upgrade_and_hold_again_after_it(
    legacy_database: Database, head: str
) -> None:
    [name] = rows(legacy_database, "SELECT quote_ident(current_database())")[0]
    execute(legacy_database, f"ALTER DATABASE {name} SET lock_timeout = '1ms'")
    legacy_database.dispose()
    with _open_transaction(legacy_database, "LOCK TABLE chat_messages IN ROW EXCLUSIVE MODE") as holder:
        with pytest.raises(PipelineError) as refused:
            upgrade(legacy_database, max_wait=0.2)
        assert f"pid {holder.info.backend_pid}," in refused.value.message
    upgrade(legacy_database)
    assert schema_of(legacy_database) == head
    with legacy_database.engine.connect() as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == "1ms"


def test_an_error_of_the_server_says_which_step_and_what_remains_done(
    legacy_database: Database, head: str
) -> None:
    execute(legacy_database, "CREATE TABLE v_period_timeline ()")
    with pytest.raises(PipelineError, match=r"^current text of view v_period_timeline: ") as refused:
        upgrade(legacy_database)
    assert isinstance(refused.value.__cause__, DBAPIError)
    assert "\n" not in refused.value.message
    assert version(legacy_database) == ["20260301_0200"]
    execute(legacy_database, "DROP TABLE v_period_timeline")
    upgrade(legacy_database)
    assert schema_of(legacy_database) == head


LOCKS_OUT_READERS = "LOCK TABLE contents IN ACCESS EXCLUSIVE MODE"


def test_a_lock_against_readers_is_waited_for_no_longer_than_asked(
    legacy_database: Database, head: str
) -> None:
    """The catalogue's own functions wait for such a lock too."""
    with _open_transaction(legacy_database, LOCKS_OUT_READERS) as holder:
        with pytest.raises(PipelineError) as refused:
            upgrade(legacy_database, max_wait=0.3)
        assert refused.value.exit_code == 5
        assert f"pid {holder.info.backend_pid}," in refused.value.message
        assert LOCKS_OUT_READERS in refused.value.message
    upgrade(legacy_database)
    assert schema_of(legacy_database) == head


def test_who_only_reads_gives_up_a_table_that_is_locked_against_readers(database: Database) -> None:
    with _open_transaction(database, LOCKS_OUT_READERS) as holder:
        with pytest.raises(PipelineError) as refused, database.transaction(read_only=True) as connection:
            connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
            connection.execute(text("SELECT count(*) FROM contents"))
        assert refused.value.exit_code == 5
        assert f"contents by pid {holder.info.backend_pid}," in refused.value.message


def test_a_password_in_another_session_s_statement_is_not_repeated(legacy_database: Database) -> None:
    secret = "ALTER ROLE nobody_of_that_name PASSWORD 'hunter2secret'"
    with psycopg.connect(libpq_url(legacy_database)) as holder:
        holder.execute(READS_CONTENTS)
        with holder.transaction(), pytest.raises(psycopg.errors.UndefinedObject), holder.transaction():
            holder.execute(secret.encode())
        with pytest.raises(PipelineError) as refused:
            upgrade(legacy_database, max_wait=0.3)
        assert f"pid {holder.info.backend_pid}," in refused.value.message
        assert "hunter2" not in str(refused.value)


def test_tables_in_another_schema_than_new_ones_would_be_are_refused(legacy_database: Database) -> None:
    name = make_url(legacy_database.url).database
    before = schema_of(legacy_database)
    execute(legacy_database, f"ALTER DATABASE {name} SET search_path = elsewhere, public")
    execute(legacy_database, "CREATE SCHEMA elsewhere")
    legacy_database.dispose()
    with pytest.raises(PipelineError, match="new tables would go into schema elsewhere") as refused:
        upgrade(legacy_database)
    assert refused.value.exit_code == 5
    assert refused.value.hint.endswith("SET search_path = public")
    execute(legacy_database, f"DROP SCHEMA elsewhere; ALTER DATABASE {name} RESET search_path")
    assert schema_of(legacy_database) == before


def test_a_database_that_takes_no_writes_is_refused_before_anything_is_dumped(
    legacy_database: Database,
) -> None:
    name = make_url(legacy_database.url).database
    execute(legacy_database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    legacy_database.dispose()
    with pytest.raises(PipelineError, match="default_transaction_read_only is on") as refused:
        upgrade(legacy_database, back_up=lambda _: pytest.fail("it was dumped"))
    assert refused.value.exit_code == 5


def test_a_version_table_that_is_not_alembic_s_is_named(legacy_database: Database) -> None:
    execute(legacy_database, "CREATE TABLE alembic_version (mine int)")
    with pytest.raises(PipelineError, match="alembic_version is not Alembic's"):
        upgrade(legacy_database)


def test_a_migration_that_loses_its_session_loses_its_lock_with_it_and_says_so(
    legacy_database: Database, head: str
) -> None:
    with _open_transaction(legacy_database, READS_CONTENTS) as holder:

        class EndWhoHoldsTheLock(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                execute(
                    legacy_database,
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                )
                holder.rollback()

        with _handling(EndWhoHoldsTheLock), pytest.raises(PipelineError, match="terminating connection"):
            upgrade(legacy_database)
    upgrade(legacy_database)
    assert schema_of(legacy_database) == head
