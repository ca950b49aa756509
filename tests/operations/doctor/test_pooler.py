"""A pooler is recognised by what it does: our own small one, and PgBouncer where it is installed."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.errors import PipelineError, ServerGone
from temporal_pipeline.operations.doctor import pooler
from temporal_pipeline.operations.doctor.examination import examine
from temporal_pipeline.operations.doctor.finding import Finding, Status, ok
from temporal_pipeline.operations.doctor.pooler import Pooling, look_at_entrance, refuse_transaction_pooler
from tests.operations.doctor.conftest import not_ok
from tests.operations.doctor.pooling_proxy import PoolingProxy

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


def test_a_server_itself_is_no_pooler(legacy_database: Database) -> None:
    entrance = look_at_entrance(legacy_database)
    assert entrance.pooling is Pooling.NONE
    assert entrance.encoding == "UTF8"
    with legacy_database.transaction(read_only=True) as connection:
        [version] = connection.exec_driver_sql("SHOW server_version_num").one()
    assert entrance.version == int(version)
    refuse_transaction_pooler(legacy_database)


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize(
    ("size", "in_turn"), [(1, False), (2, False), (2, True)], ids=["one", "the last used", "in turn"]
)
def test_connections_that_share_sessions_are_refused(
    legacy_database: Database, size: int, in_turn: bool, honest: bool
) -> None:
    with PoolingProxy(legacy_database, size=size, in_turn=in_turn, honest=honest) as proxy:
        assert look_at_entrance(proxy.database).pooling is Pooling.TRANSACTION
        with pytest.raises(PipelineError, match="a pooler in transaction or statement mode") as refused:
            refuse_transaction_pooler(proxy.database)
    assert refused.value.exit_code == 5
    assert refused.value.hint == "connect to the server directly or to a session-mode pool"


def test_a_pooler_that_keeps_sessions_apart_will_do(legacy_database: Database) -> None:
    with PoolingProxy(legacy_database, sessions=True) as proxy:
        assert look_at_entrance(proxy.database).pooling is Pooling.SESSION
        refuse_transaction_pooler(proxy.database)


def test_the_doctor_fails_on_shared_sessions_and_examines_the_rest(legacy_database: Database) -> None:
    with PoolingProxy(legacy_database) as proxy:
        through = proxy.database
        findings = {finding.name: finding.verdict for finding in examine(through)}
        through.dispose()
    assert [name for name, verdict in findings.items() if verdict.status is Status.FAIL] == ["pooler"]
    assert findings["pooler"].remedy == "connect to the server directly or to a session-mode pool"
    assert "schema_definition" in findings


def test_a_server_that_ends_the_session_meanwhile_is_explained(
    legacy_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pooler._backend

    def ended(session: pooler.Session) -> int:
        pid = asked(session)
        with legacy_database.transaction() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
        return asked(session)

    monkeypatch.setattr(pooler, "_backend", ended)
    with pytest.raises(ServerGone, match="ended our connection: terminating connection"):
        refuse_transaction_pooler(legacy_database)


def test_a_server_that_is_not_there_is_explained(legacy_database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    url = make_url(legacy_database.url).set(host="127.0.0.1", port=port, query={})
    with pytest.raises(PipelineError, match="cannot connect") as refused:
        refuse_transaction_pooler(Database(url.render_as_string(hide_password=False)))
    assert "is the server running?" in refused.value.hint


needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")


@contextmanager
def _pgbouncer(database: Database, mode: str) -> Iterator[Database]:
    """The database as it is reached through PgBouncer."""
    url = make_url(database.url)
    upstream = {
        "host": url.query.get("host", url.host),
        "port": url.query.get("port", url.port or 5432),
        "dbname": url.database,
        "user": url.username,
        "password": url.password,
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "pgbouncer.ini")
        configuration.write_text(
            f"[databases]\nx = {' '.join(f'{key}={value}' for key, value in upstream.items() if value)}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = {mode}\n"
        )
        Path(folder).chmod(0o755)
        assert PGBOUNCER is not None
        process = subprocess.Popen(
            [PGBOUNCER, configuration],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            user=_account_of(upstream["host"]),
        )
        through = Database(
            url.set(host="127.0.0.1", port=port, database="x", query={}).render_as_string(hide_password=False)
        )
        try:
            _wait_until_it_listens(process, port)
            yield through
        finally:
            through.dispose()
            process.terminate()
            process.communicate(timeout=10)


def _account_of(host: object) -> int | None:
    """PgBouncer does not run as root; who runs the server may open its socket."""
    if os.geteuid() != 0:
        return None
    if isinstance(host, str) and host.startswith("/"):
        return Path(host).stat().st_uid or pwd.getpwnam("nobody").pw_uid
    return pwd.getpwnam("nobody").pw_uid


def _wait_until_it_listens(process: "subprocess.Popen[str]", port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_pgbouncer_that_shares_sessions_is_refused(legacy_database: Database, mode: str) -> None:
    with _pgbouncer(legacy_database, mode) as through:
        assert look_at_entrance(through).pooling is Pooling.TRANSACTION
        with pytest.raises(PipelineError) as refused:
            refuse_transaction_pooler(through)
    assert refused.value.exit_code == 5


@needs_pgbouncer
def test_pgbouncer_beside_a_busy_application_is_refused(legacy_database: Database) -> None:
    """Several server connections are open and change hands while we look."""
    with _pgbouncer(legacy_database, "transaction") as through:
        url = make_url(through.url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as one, psycopg.connect(url) as other, psycopg.connect(url) as third:
            for session in (one, other, third):
                session.execute("SELECT 1")
            one.rollback()
            other.rollback()
            assert look_at_entrance(through).pooling is Pooling.TRANSACTION


@needs_pgbouncer
def test_pgbouncer_in_session_mode_will_do(legacy_database: Database) -> None:
    with _pgbouncer(legacy_database, "session") as through:
        assert look_at_entrance(through).pooling is Pooling.SESSION
        refuse_transaction_pooler(through)
        findings = examine(through)
        upgrade(through)
    assert not_ok(findings) == []
    assert Finding("pooler", ok("a pooler in session mode")) in findings
