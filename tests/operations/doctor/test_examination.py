"""All findings together, and how the command line tells them."""

import json
from collections import Counter
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import make_url, text

from temporal_pipeline.cli.doctor import doctor
from temporal_pipeline.cli.output import Output
from temporal_pipeline.database import Database
from temporal_pipeline.operations.doctor.examination import examine
from temporal_pipeline.operations.doctor.finding import Status
from tests.migrations.tools import execute
from tests.operations.doctor.conftest import not_ok

ON_A_LEGACY_DATABASE = [
    "connection",
    "pooler",
    "server_version",
    "encoding",
    "writable",
    "extensions",
    "chinese_trigrams",
    "free_connections",
    "lock_table",
    "time_limits",
    "sees_other_sessions",
    "long_transactions",
    "idle_in_transaction",
    "prepared_transactions",
    "replication_slots",
    "backup_disk",
    "backup_programs",
    "crosshot_database",
    "search_path",
    "right_to_create",
    "ownership",
    "table_rights",
    "plain_tables",
    "application_columns",
    "row_level_security",
    "triggers",
    "invalid_indexes",
    "unvalidated_constraints",
    "lock_holders",
    "autovacuum",
    "schema_revision",
    "schema_definition",
]
AT_HEAD = [
    "contents_to_prepare",
    "contents_to_link",
    "unfinished_cuts",
    "open_drafts",
    "failed_entities",
    "undelivered_alerts",
]


def test_all_is_well_with_a_legacy_database(legacy_database: Database) -> None:
    findings = examine(legacy_database)
    assert [finding.name for finding in findings] == ON_A_LEGACY_DATABASE
    assert not_ok(findings) == []


def test_all_is_well_with_a_migrated_database(database: Database) -> None:
    findings = examine(database)
    assert [finding.name for finding in findings] == ON_A_LEGACY_DATABASE + AT_HEAD
    assert not_ok(findings) == []


def test_another_database_fails_with_the_missing_tables(empty_database: Database) -> None:
    last = examine(empty_database)[-1]
    assert last.name == "crosshot_database"
    assert last.fails
    assert last.verdict.found == (
        "this is not a Crosshot database: it has no chat_messages, contents, tasks, topics, users"
    )


def test_what_is_not_ok_has_a_remedy_and_what_is_ok_has_none(database: Database) -> None:
    execute(database, "CREATE TABLE more_contents () INHERITS (contents); DROP INDEX idx_events_type")
    findings = examine(database)
    assert {finding.verdict.status for finding in findings} == set(Status)
    for finding in findings:
        assert bool(finding.verdict.remedy) == (finding.verdict.status is not Status.OK), finding.name


def test_nothing_is_written(database: Database) -> None:
    name = make_url(database.url).database
    execute(database, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    database.dispose()
    assert [finding.name for finding in not_ok(examine(database))] == ["writable"]


def _run(database: Database, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv("DATABASE_URL", database.url)
    return CliRunner().invoke(doctor, arguments, obj=Output())


def test_a_line_for_each_finding(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _run(database, monkeypatch)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == len(ON_A_LEGACY_DATABASE + AT_HEAD) + 1
    assert lines[3].split() == ["ok", "encoding", "UTF8"]
    assert lines[-1] == f"{len(lines) - 1} ok, 0 warn, 0 fail"


def test_a_failing_one_makes_exit_code_3(legacy_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(legacy_database, "ALTER TABLE contents DROP COLUMN crawled_at")
    result = _run(legacy_database, monkeypatch)
    assert result.exit_code == 3
    assert (
        "fail  application_columns      1 columns are not as the pipeline reads them\n"
        "      - contents.crawled_at timestamp with time zone is missing\n"
        "      remedy: bring the application's own schema up to date, or add or convert these columns\n"
    ) in result.stdout
    assert result.stderr == (
        "error: not fit: application_columns\n"
        "remedy: follow the remedies of what fails, then run doctor again\n"
    )


def test_a_warning_does_not(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(database, "DROP INDEX idx_events_type")
    result = _run(database, monkeypatch)
    assert result.exit_code == 0
    assert "1 warn, 0 fail" in result.stdout


@pytest.mark.parametrize("fails", [False, True])
def test_one_json_document(database: Database, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    if fails:
        execute(database, "CREATE RULE quiet AS ON DELETE TO tasks DO INSTEAD NOTHING")
    result = _run(database, monkeypatch, "--json")
    document: dict[str, Any] = json.loads(result.stdout)
    assert set(document) == {"ok", "data", "error"}
    findings = document["data"]["findings"]
    assert [finding["name"] for finding in findings] == ON_A_LEGACY_DATABASE + AT_HEAD
    assert {key for finding in findings for key in finding} == {
        "name", "status", "found", "remedy", "details",
    }  # fmt: skip
    counts = Counter(finding["status"] for finding in findings)
    if fails:
        assert (document["ok"], result.exit_code, counts["fail"]) == (False, 3, 1)
        assert document["error"]["code"] == 3
        assert document["error"]["message"] == "not fit: plain_tables"
    else:
        assert (document["ok"], result.exit_code) == (True, 0)
        assert document["error"] is None
        assert counts == {"ok": len(findings)}


def test_no_password_is_shown(legacy_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_url(legacy_database.url).set(password="pa55word").render_as_string(hide_password=False)
    for reached in (url, make_url(url).set(database="nowhere").render_as_string(hide_password=False)):
        for arguments in ((), ("--json",)):
            result = _run(Database(reached), monkeypatch, *arguments)
            assert "pa55word" not in result.output
    assert result.exit_code == 3
    assert json.loads(result.stdout)["data"]["findings"][0]["status"] == "fail"


def test_a_million_rows_are_not_read(database: Database) -> None:
    """No plan over contents reads the table: what waits is found through indexes and is cut off."""
    from temporal_pipeline.operations.doctor.work import queries

    with database.transaction(read_only=True) as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for name in ("contents_to_link", "contents_to_prepare"):
            plan = "\n".join(connection.scalars(text(f"EXPLAIN {queries[name].text}")))
            assert "Seq Scan on contents" not in plan
            assert "Limit" in plan
