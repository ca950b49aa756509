"""What others do in the database is seen while they do it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.operations.doctor import activity
from temporal_pipeline.operations.doctor.examination import examine
from temporal_pipeline.operations.doctor.finding import Status
from tests.operations.doctor.conftest import examined


@contextmanager
def _open_transaction(
    database: Database, statement: str
) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    url = libpq_url(database)
    with psycopg.connect(url, application_name="a crawler") as session:
        session.execute(statement.encode())
        yield session
        session.rollback()


@pytest.fixture
def _everything_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test has no minute to wait."""
    for name in ("LASTING_SECONDS", "LONG_SECONDS", "FORGOTTEN_SECONDS"):
        monkeypatch.setattr(activity, name, 0.0)


READS = "SELECT count(*) FROM contents WHERE text <> 'x'"


def test_young_transactions_are_no_matter(legacy_database: Database) -> None:
    with _open_transaction(legacy_database, READS):
        assert examined(legacy_database, activity.long_transactions).status is Status.OK
        assert examined(legacy_database, activity.idle_in_transaction).status is Status.OK
        assert examined(legacy_database, activity.lock_holders).status is Status.OK


def test_a_transaction_that_lasts_is_told_of(
    legacy_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "LASTING_SECONDS", 0.0)
    with _open_transaction(legacy_database, READS):
        verdict = examined(legacy_database, activity.long_transactions)
        assert (verdict.status, verdict.found[:12]) == (Status.OK, "1 older than")
        verdict = examined(legacy_database, activity.lock_holders)
        assert (verdict.status, verdict.found[:10]) == (Status.OK, "1 sessions")


@pytest.mark.usefixtures("_everything_is_long")
@pytest.mark.parametrize("name", ["long_transactions", "idle_in_transaction", "lock_holders"])
def test_a_transaction_that_is_in_the_way_is_named(legacy_database: Database, name: str) -> None:
    with _open_transaction(legacy_database, READS) as session:
        verdict = examined(legacy_database, getattr(activity, name))
        pid, user = session.info.backend_pid, session.info.user
    assert verdict.status is Status.WARN
    [culprit] = verdict.details
    assert culprit.startswith(f"pid {pid}, 0.")
    assert f" s, idle in transaction, user {user}, application a crawler: {READS}" in culprit
    assert culprit.endswith(": contents AccessShareLock") == (name == "lock_holders")
    assert examined(legacy_database, getattr(activity, name)).status is Status.OK


@pytest.mark.usefixtures("_everything_is_long")
def test_a_query_is_shown_in_one_line_without_its_password(legacy_database: Database) -> None:
    statement = "CREATE ROLE somebody\n   LOGIN   PASSWORD 'pa55word'"
    with _open_transaction(legacy_database, statement):
        [culprit] = examined(legacy_database, activity.long_transactions).details
    assert culprit.endswith(": CREATE ROLE somebody LOGIN PASSWORD …")


def test_a_locked_catalogue_is_a_warning_and_nobody_waits(legacy_database: Database) -> None:
    with _open_transaction(legacy_database, "LOCK TABLE pg_trigger IN ACCESS EXCLUSIVE MODE"):
        findings = {finding.name: finding.verdict for finding in examine(legacy_database)}
    assert findings["triggers"].status is Status.WARN
    assert findings["triggers"].found.startswith("could not be examined: canceling statement due to lock")
    assert findings["triggers"].remedy == "run doctor again when the database is less busy"
    assert findings["invalid_indexes"].status is Status.OK


def test_a_connection_that_is_ended_is_told_of(
    legacy_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_it(connection: object) -> None:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")  # type: ignore[attr-defined]

    monkeypatch.setattr("temporal_pipeline.operations.doctor.examination.OF_THE_SERVER", (end_it,))
    findings = {finding.name: finding.verdict for finding in examine(legacy_database)}
    assert findings["connection"].status is Status.FAIL
    assert findings["connection"].found.startswith("the connection was lost: terminating connection")
