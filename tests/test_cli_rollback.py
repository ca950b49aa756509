"""`rollback`: what it says before it destroys anything, what it refuses, and where it leads."""

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import make_url, text

from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.rollback import rollback
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import STAGE
from temporal_pipeline.defs.schema.definition.model import HEAD, REVISIONS
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.dump import take_backup
from temporal_pipeline.operations.backup.programs import newest_programs
from temporal_pipeline.operations.backup.restore import drop_old, old_databases
from temporal_pipeline.settings import PROJECT_ROOT
from tests.migrations.tools import (
    EXTENSIONS_STAY,
    VERSION_TABLE_STAYS,
    execute,
    rows,
    schema_of,
    upgrade_to,
    version,
)
from tests.operations.backup.tools import populate, wait_until

PERIOD = text("""
    INSERT INTO analysis_periods
        (entity_type, entity_id, period_start, period_end, period_number, duration_hours, summary,
         analyzed_at, created_at, updated_at)
    SELECT 'topic', id, CAST(:start AS timestamptz), CAST(:start AS timestamptz) + interval '1 hour',
           :number, 1, 'quiet', CAST(:made AS timestamptz), CAST(:made AS timestamptz), CAST(:made AS timestamptz)
    FROM topics LIMIT 1
    RETURNING id
""")


WAITING_FOR_A_RUN = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'SELECT%pg_try_advisory_lock%' AND pid <> pg_backend_pid()
          AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')
    )
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


class Verb:
    """The verb on a database, with backups in a folder of its own, and nobody at the terminal."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.environment = {"DATABASE_URL": database.url, "TEMPORAL_PIPELINE_BACKUPS": str(folder)}

    def __call__(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(rollback, list(map(str, arguments)), obj=Output(), env=self.environment)

    def json(self, *arguments: str | Path) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self(*arguments, "--json").stdout)
        return document

    def refusal(self, *arguments: str | Path) -> tuple[PipelineError, str]:
        """The error, and what was printed before it."""
        result = self(*arguments)
        assert isinstance(result.exception, PipelineError), (result.output, result.exception)
        return result.exception, result.stdout


@pytest.fixture
def migrated(database: Database, folder: Path) -> Iterator[tuple[Database, Verb]]:
    """A migrated database with two periods, three contents in them, an event, a snapshot and a query."""
    populate(database)
    made = datetime.now(UTC) - timedelta(hours=1)
    with database.transaction() as c:
        for number in range(2):
            start = made - timedelta(hours=10 - number)
            period = c.scalar(PERIOD, {"start": start, "number": number, "made": made})
        c.execute(
            text(
                "UPDATE contents SET analysis_period_id = :period WHERE id IN (SELECT id FROM contents LIMIT 3)"
            ),
            {"period": period},
        )
        c.execute(
            text(
                "INSERT INTO period_content_snapshots (period_id, content_id, created_at) "
                "SELECT :period, id, :made FROM contents LIMIT 1"
            ),
            {"period": period, "made": made},
        )
        c.execute(
            text(
                "INSERT INTO temporal_events (period_id, entity_type, entity_id, event_type, title, description, "
                "first_detected_at, created_at, last_updated_at) "
                "SELECT :period, 'topic', id, 'spike', 't', 'd', :made, :made, :made FROM topics"
            ),
            {"period": period, "made": made},
        )
    execute(
        database,
        "UPDATE contents SET published_at = now() WHERE id IN (SELECT id FROM contents LIMIT 2);"
        "UPDATE contents SET relevance_score = 0.5 WHERE id IN (SELECT id FROM contents LIMIT 1);"
        "UPDATE tasks SET duration_seconds = 7 WHERE id IN (SELECT id FROM tasks LIMIT 4);"
        "UPDATE topics SET total_periods = 2",
    )
    yield database, Verb(database, folder)
    drop_old(database, old_databases(database))


@pytest.mark.parametrize(
    "arguments", [[], ["--to", "legacy", "--drop-old"], ["--restore", "x", "--to", "legacy"]]
)
def test_it_wants_exactly_one_thing_to_do(
    legacy_database: Database, folder: Path, arguments: list[str]
) -> None:
    result = Verb(legacy_database, folder)(*arguments)
    assert result.exit_code == 2
    assert "exactly one of" in result.output


def test_there_is_nothing_to_do_at_legacy(legacy_database: Database, folder: Path) -> None:
    verb = Verb(legacy_database, folder)
    before = schema_of(legacy_database)
    result = verb("--to", "legacy")
    assert (result.exit_code, result.stdout.strip()) == (
        0,
        "nothing to do: the database is at no revision of ours",
    )
    assert schema_of(legacy_database) == before
    execute(legacy_database, "CREATE TABLE analysis_periods (id uuid PRIMARY KEY)")
    assert "It has analysis_periods, made by the application or by" in verb("--to", "legacy").stdout
    assert rows(legacy_database, "SELECT * FROM analysis_periods") == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_from_every_revision_it_leads_back_to_the_applications_schema(
    legacy_database: Database, folder: Path, revision: str
) -> None:
    execute(legacy_database, f"{EXTENSIONS_STAY}; {VERSION_TABLE_STAYS}")
    before = schema_of(legacy_database)
    upgrade_to(legacy_database, revision)
    assert schema_of(legacy_database) != before
    document = Verb(legacy_database, folder).json("--to", "legacy", "--yes")
    assert document["ok"], document
    assert document["data"]["revision"] == revision
    assert document["data"]["steps"]
    assert schema_of(legacy_database) == before
    assert version(legacy_database) == []


def test_periods_in_no_backup_are_not_destroyed_without_force(migrated: tuple[Database, Verb]) -> None:
    database, verb = migrated
    refusal, printed = verb.refusal("--to", "legacy", "--yes")
    assert refusal.exit_code == 5
    assert (
        "destroy 2 periods, 1 snapshots, 1 events, 0 evidence and 0 effectiveness rows which are in no backup"
        in (refusal.message)
    )
    assert "--force" in refusal.hint
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert lines[0] == f"going back from {HEAD} to the application's own schema destroys"
    for line in (
        "periods 2",
        "snapshots 1",
        "events 1",
        "effectiveness 0",
        "links of contents 3",
        "published at of contents 2",
        "discovered at of contents 5",
        "relevance score of contents 1",
        "duration seconds of tasks 4",
        "counters of topics 1",
        "counters of users 0",
    ):
        assert line in lines
    assert "The pipeline's own records go too: temporal_pipeline.cut, " in " ".join(lines)
    assert version(database) == [HEAD]
    preview = verb("--to", "legacy", "--dry-run")
    assert preview.exit_code == 0
    assert "it would be refused: this would destroy 2 periods" in preview.stdout
    assert version(database) == [HEAD]
    assert verb.json("--to", "legacy", "--yes", "--force")["data"]["lost"]["links_of_contents"] == 3
    assert version(database) == []
    assert rows(database, "SELECT count(*) FROM contents")[0][0] == 5


def test_periods_in_the_last_backup_may_go_and_newer_ones_are_counted(
    migrated: tuple[Database, Verb], folder: Path
) -> None:
    database, verb = migrated
    backup = take_backup(database, folder).path
    later = datetime.now(UTC) + timedelta(seconds=5)
    with database.transaction() as c:
        c.execute(PERIOD, {"start": later, "number": 2, "made": later})
    refusal, _ = verb.refusal("--to", "legacy", "--yes")
    assert (
        "destroy 1 periods, 0 snapshots, 0 events, 0 evidence and 0 effectiveness rows newer than the last "
        in (refusal.message)
    )
    assert backup.name in refusal.message
    execute(database, "DELETE FROM analysis_periods WHERE period_number = 2")
    refusal, _ = verb.refusal("--to", "legacy")
    assert refusal.exit_code == 5
    assert "nobody to ask" in refusal.message
    document = verb.json("--to", "legacy", "--yes")
    assert document["data"]["newer_than_backup"]["periods"] == 0
    assert document["data"]["backup"] == str(backup)
    assert version(database) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            "UPDATE analysis_periods SET updated_at = now() + interval '5 s' WHERE period_number = 1",
            "periods",
        ),
        ("UPDATE period_content_snapshots SET created_at = now() + interval '5 s'", "snapshots"),
        ("UPDATE temporal_events SET last_updated_at = now() + interval '5 s'", "events"),
    ],
)
def test_what_was_closed_or_made_after_the_backup_is_not_in_it(
    migrated: tuple[Database, Verb], folder: Path, change: str, what: str
) -> None:
    database, verb = migrated
    take_backup(database, folder)
    execute(database, change)
    refusal, _ = verb.refusal("--to", "legacy", "--yes")
    assert f" 1 {what}" in refusal.message
    assert refusal.exit_code == 5
    assert version(database) == [HEAD]


def test_a_backup_without_periods_does_not_hold_them(migrated: tuple[Database, Verb], folder: Path) -> None:
    database, verb = migrated
    backup = take_backup(database, folder).path
    pg_dump = newest_programs().pg_dump
    subprocess.run(
        [pg_dump, "-Fc", "--exclude-table-data=analysis_periods", f"--file={backup}", libpq_url(database)],
        check=True,
    )
    refusal, _ = verb.refusal("--to", "legacy", "--yes")
    assert "in no backup" in refusal.message


def test_periods_that_a_run_adds_meanwhile_are_not_destroyed(
    migrated: tuple[Database, Verb], folder: Path
) -> None:
    database, verb = migrated
    take_backup(database, folder)
    results: list[Result] = []
    with database.exclusive(STAGE):
        refusal, _ = verb.refusal("--to", "legacy", "--yes", "--max-wait", "0")
        assert "another run already works on periods" in refusal.message
        rolling_back = threading.Thread(target=lambda: results.append(verb("--to", "legacy", "--yes")))
        rolling_back.start()
        # It has counted and waits for the run.
        wait_until(lambda: rows(database, WAITING_FOR_A_RUN)[0][0])
        later = datetime.now(UTC) + timedelta(seconds=5)
        with database.transaction() as c:
            c.execute(PERIOD, {"start": later, "number": 2, "made": later})
    rolling_back.join()
    [result] = results
    assert isinstance(result.exception, PipelineError)
    assert "would destroy 1 periods" in result.exception.message
    assert version(database) == [HEAD]


def test_a_dump_that_is_not_whole_or_of_another_database_is_not_restored_without_force(
    legacy_database: Database, folder: Path
) -> None:
    verb = Verb(legacy_database, folder)
    populate(legacy_database)
    execute(legacy_database, 'CREATE TABLE "made_since" (id int)')
    part = folder.parent / "part.dump"
    dump = [newest_programs().pg_dump, "-Fc", "--exclude-table=content_media", "--exclude-table=made_since"]
    subprocess.run([*dump, f"--file={part}", libpq_url(legacy_database)], check=True)
    refusal, printed = verb.refusal("--restore", part, "--yes")
    assert refusal.exit_code == 5
    assert "lacks tables that the database has: public.content_media, public.made_since" in refusal.message
    assert "public.content_media, public.made_since" in printed
    assert "it would be refused: " in verb("--restore", part, "--dry-run").stdout
    document = verb.json("--restore", part, "--dry-run")
    assert document["data"]["missing_tables"] == ["public.content_media", "public.made_since"]
    url = make_url(legacy_database.url)
    name = url.database
    with psycopg.connect(
        libpq_url(legacy_database).replace(str(name), "postgres"), autocommit=True
    ) as server:
        legacy_database.dispose()
        server.execute(f'CREATE DATABASE "{name}_b" TEMPLATE "{name}"')
        other = Database(url.set(database=f"{name}_b").render_as_string(hide_password=False))
        try:
            backup = take_backup(other, folder).path
            refusal, _ = verb.refusal("--restore", backup, "--yes")
            assert refusal.exit_code == 5
            assert f"of the database '{name}_b', not of '{name}'" in refusal.message
        finally:
            other.dispose()
            server.execute(f'DROP DATABASE "{name}_b"')
    assert verb("--restore", backup, "--yes", "--force").exit_code == 0
    drop_old(legacy_database, old_databases(legacy_database))


def test_what_cannot_be_counted_is_said(legacy_database: Database, folder: Path) -> None:
    verb = Verb(legacy_database, folder)
    populate(legacy_database)
    backup = take_backup(legacy_database, folder).path
    later = datetime.now(UTC) + timedelta(seconds=5)
    with legacy_database.transaction() as c:
        c.execute(text("UPDATE tasks SET created_at = :later"), {"later": later})
        c.execute(text("DROP TABLE contents CASCADE"))
    document = verb.json("--restore", backup, "--dry-run")["data"]
    assert (document["lost"]["tasks"], document["uncounted"]) == (5, ["contents"])
    assert "What else was made cannot be counted: the database has no contents." in (
        verb("--restore", backup, "--dry-run").stdout
    )


def _at_a_terminal(verb: Verb, answer: str, *arguments: str) -> "tuple[int, str]":
    """Run it with a person before it, who answers. The exit code is 5 for a refusal."""
    code = (
        "import sys\n"
        "from temporal_pipeline.cli.output import Output\n"
        "from temporal_pipeline.cli.rollback import rollback\n"
        "from temporal_pipeline.errors import PipelineError\n"
        "try:\n"
        "    rollback.main(standalone_mode=False, obj=Output())\n"
        "except PipelineError as error:\n"
        "    sys.exit(error.exit_code)\n"
    )
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            stdin=theirs,
            capture_output=True,
            text=True,
            env=os.environ | verb.environment,
            cwd=PROJECT_ROOT,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, done.stdout + done.stderr


def test_a_person_is_asked_and_no_means_no(migrated: tuple[Database, Verb]) -> None:
    database, verb = migrated
    code, printed = _at_a_terminal(verb, "n", "--to", "legacy", "--force")
    assert code == 5
    assert "Destroy this? [y/N]" in printed
    assert version(database) == [HEAD]
    code, printed = _at_a_terminal(verb, "y", "--to", "legacy", "--force")
    assert code == 0, printed
    assert "the schema is the application's own again" in printed
    assert version(database) == []


def test_a_backup_is_restored_after_telling_what_is_not_in_it_and_the_old_one_dropped_on_demand(
    legacy_database: Database, folder: Path
) -> None:
    verb = Verb(legacy_database, folder)
    populate(legacy_database)
    before = schema_of(legacy_database)
    backup = take_backup(legacy_database, folder).path
    upgrade(legacy_database)
    later = datetime.now(UTC) + timedelta(seconds=5)
    with legacy_database.transaction() as c:
        c.execute(PERIOD, {"start": later, "number": 0, "made": later})
        c.execute(
            text(
                "INSERT INTO contents (id, task_id, platform, source_url, crawled_at) "
                "SELECT gen_random_uuid(), id, 'x', '', :later FROM tasks LIMIT 2"
            ),
            {"later": later},
        )
    refusal, printed = verb.refusal("--restore", backup)
    assert refusal.exit_code == 5
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "contents 2" in lines
    assert "periods 1" in lines
    assert "tasks 0" in lines
    assert verb("--restore", backup, "--dry-run").exit_code == 0
    assert version(legacy_database) == [HEAD]
    result = verb("--restore", backup, "--yes")
    assert result.exit_code == 0, result.exception
    assert schema_of(legacy_database) == before
    assert rows(legacy_database, "SELECT count(*) FROM contents")[0][0] == 5
    [old] = old_databases(legacy_database)
    assert f"what it was before is {old.name}" in result.stdout
    refusal, printed = verb.refusal("--drop-old")
    assert refusal.exit_code == 5
    assert f"{old.name}: " in printed
    assert [one["name"] for one in verb.json("--drop-old", "--yes")["data"]["drop_old"]] == [old.name]
    assert old_databases(legacy_database) == []
    assert "nothing to do" in verb("--drop-old").stdout


def test_a_file_that_is_not_there_is_wrong_usage(legacy_database: Database, folder: Path) -> None:
    refusal, _ = Verb(legacy_database, folder).refusal("--restore", folder / "none.dump", "--yes")
    assert refusal.exit_code == 2
