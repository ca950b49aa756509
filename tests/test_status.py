"""`status`: what it tells of databases in every state, and what to type next."""

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.pending import ENOUGH_TO_MEASURE, duration, last_backup
from temporal_pipeline.cli.status import status as status_verb
from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.planning import plan
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from temporal_pipeline.operations.backup import programs
from temporal_pipeline.operations.backup.dump import take_backup
from tests.command_line import CommandLine
from tests.crosshot_rows import add_content, add_task, add_topic, add_user, at, mark_prepared
from tests.defs.periods.world import cut

On = Callable[[Database], CommandLine]


@pytest.fixture
def on(tmp_path: Path, server_url: str) -> On:
    """The command line on a given database, with a folder for backups of its own; Dagster never ran."""
    return lambda database: CommandLine(
        tmp_path / "home",
        DATABASE_URL=database.url,
        DAGSTER_DATABASE_URL=server_url,
        TEMPORAL_PIPELINE_BACKUPS=str(tmp_path / "backups"),
    )


def status(on: On, database: Database) -> dict[str, Any]:
    data: dict[str, Any] = on(database).json("status")["data"]
    return data


def test_an_empty_database_lists_the_missing_tables(on: On, empty_database: Database) -> None:
    done = on(empty_database)("status")
    assert done.returncode == 0, done.stderr
    assert "has no chat_messages, contents, tasks, topics, users" in done.stdout
    assert "--create" in done.stdout


def test_a_legacy_database_says_what_there_is_and_what_to_type(on: On, legacy_database: Database) -> None:
    with legacy_database.transaction() as connection:
        topic, user = add_topic(connection, "AI agents"), add_user(connection, "ada")
        add_content(connection, topic=topic)
        add_content(connection, topic=topic, user=user)
        add_content(connection, topic=topic, crawled_at=at(10**6))
        add_content(connection)
        planned = plan(connection)
    data = status(on, legacy_database)
    assert data["schema"]["revision"] is None
    assert data["schema"]["at_head"] is False
    assert data["contents"] == {"contents": 4, "unowned": 1, "future": 1}
    assert [(row["name"], row["contents"]) for row in data["entities"]] == [("AI agents", 3), ("ada", 1)]
    pending = data["pending"]
    assert pending["statements"] == data["schema"]["pending"] == len(planned) > 0
    assert pending["schema_seconds"] == pytest.approx(
        sum(statement.seconds for statement in planned), abs=0.1
    )
    assert (pending["contents_to_prepare"], pending["contents_to_link"]) == (4, 2)
    assert pending["next"] == ["temporal-pipeline migrate", "temporal-pipeline backfill"]
    shown = on(legacy_database)("status").stdout
    assert f"{len(planned)} schema statements, about " in shown
    assert "next       temporal-pipeline migrate, then temporal-pipeline backfill" in shown


def test_a_legacy_database_without_contents_needs_no_backfill(on: On, legacy_database: Database) -> None:
    assert status(on, legacy_database)["pending"]["next"] == ["temporal-pipeline migrate"]


def test_a_migrated_database_is_one_screen(on: On, database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection, "[bold]AI agents[/bold]")
        add_content(connection, topic=topic)
        add_content(connection)
        add_content(connection, topic=topic, crawled_at=at(10**6))
    data = status(on, database)
    assert data["schema"] == {
        "revision": "20260301_0300",
        "head": "20260301_0300",
        "obstacle": None,
        "at_head": True,
        "pending": 0,
    }
    assert data["contents"] == {"contents": 3, "linked": 0, "waiting": 1, "unowned": 1, "future": 1}
    assert (data["with_periods"], data["without_periods"], data["waiting_for_period_zero"]) == (0, 1, 1)
    assert [(row["name"], row["contents"]) for row in data["waiting"]] == [("[bold]AI agents[/bold]", 1)]
    assert data["last_cut"] is None
    assert data["pending"]["contents_to_prepare"] == 3
    assert data["pending"]["contents_to_link"] == 1
    assert data["pending"]["next"] == ["temporal-pipeline backfill"]
    shown = on(database)("status").stdout
    assert "[bold]AI agents[/bold]" in shown
    assert "0 with periods, 1 without; 1 wait for their Period 0" in shown
    assert "3 contents to prepare and 1 contents to link, about a second at a usual speed" in shown
    assert len(shown.splitlines()) <= 25


def test_nothing_is_pending_after_a_cut_and_an_update_follows_new_contents(
    on: On, database: Database
) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_content(connection, topic=topic)
    cut(database)
    pending = status(on, database)["pending"]
    assert (pending["periods_to_freeze"], pending["next"]) == (1, ["temporal-pipeline update"])
    freeze_periods(database, "freeze")
    assert status(on, database)["pending"]["next"] == []
    assert "pending    nothing" in on(database)("status").stdout
    with database.transaction() as connection:
        add_content(connection, topic=topic, crawled_at=at(5))
    assert status(on, database)["pending"]["next"] == ["temporal-pipeline update"]


def test_who_has_to_wait_is_not_pending(on: On, database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        running = add_task(connection, topic=topic, started_at=at(1), status="running", completed_at=None)
        add_content(connection, task=running, topic=topic)
        mark_prepared(connection)
    data = status(on, database)
    assert [row["reason"] for row in data["waiting"]] == ["its crawl is running"]
    assert data["pending"]["contents_to_link"] == 0
    assert data["pending"]["next"] == []


def test_a_schema_that_lacks_something_still_shows_the_periods(on: On, database: Database) -> None:
    with database.transaction() as connection:
        add_content(connection, topic=add_topic(connection))
    cut(database)
    with database.transaction() as connection:
        connection.execute(text("DROP INDEX idx_contents_unowned"))
    data = status(on, database)
    assert data["periods"] == 1
    assert data["schema"]["pending"] == 1
    assert data["pending"]["next"] == ["temporal-pipeline migrate", "temporal-pipeline update"]


def test_a_revision_that_nobody_knows_is_told(on: On, legacy_database: Database) -> None:
    with legacy_database.transaction() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('of_somebody')"))
    done = on(legacy_database)("status")
    assert done.returncode == 0, done.stderr
    assert "alembic_version holds of_somebody, which is none of ours" in done.stdout
    assert "remedy     let the application's own migrations" in done.stdout
    assert status(on, legacy_database)["pending"]["next"] == []


def test_the_estimate_takes_the_speed_of_an_earlier_cut(on: On, database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_content(connection, topic=topic)
    cut(database)
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE analysis_periods SET content_count = :contents"), {"contents": ENOUGH_TO_MEASURE}
        )
        connection.execute(
            text(
                "UPDATE temporal_pipeline.cut SET finished_at = started_at + make_interval(secs => :seconds)"
            ),
            {"seconds": ENOUGH_TO_MEASURE},
        )
        for hour in range(30):
            add_content(connection, topic=topic, crawled_at=at(10 + hour))
        mark_prepared(connection)
    pending = status(on, database)["pending"]
    assert pending["rate_is_measured"] is True
    assert pending["backfill_seconds"] == pytest.approx(30, abs=0.1)
    assert "about 30 seconds at the speed of an earlier cut" in on(database)("status").stdout


@pytest.mark.parametrize("at_work", [True, False])
def test_a_cut_that_is_not_finished_is_shown(on: On, database: Database, at_work: bool) -> None:
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO temporal_pipeline.cut (run_id, instant) VALUES ('gone', now())"))
    if at_work:
        with database.exclusive("periods"):
            data, shown = status(on, database), on(database)("status").stdout
    else:
        data, shown = status(on, database), on(database)("status").stdout
    assert [found["run_id"] for found in data["unfinished_cuts"]] == ["gone"]
    assert data["is_at_work"] is at_work
    assert ("a run is at work" if at_work else "no run is at work") in shown


def test_the_last_backup_of_this_database_is_named(
    on: On, database: Database, legacy_database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    assert status(on, database)["last_backup"] is None
    take_backup(legacy_database, folder)
    assert f"backup     none of this database in {folder}" in on(database)("status").stdout
    backup = take_backup(database, folder).path
    take_backup(legacy_database, folder)
    three_hours_ago = time.time() - 3 * 3600
    os.utime(backup, (three_hours_ago, three_hours_ago))
    size = f"{backup.stat().st_size / 1e6:,.1f} MB"
    assert f"{backup.name}, {size}, 3 hours old, in {folder}" in on(database)("status").stdout


def test_without_pg_restore_the_backups_cannot_be_read(
    database: Database, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_backup(database, tmp_path)
    monkeypatch.setattr(programs, "installed_programs", lambda *_: [])
    monkeypatch.setenv("TEMPORAL_PIPELINE_BACKUPS", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", database.url)
    monkeypatch.setenv("DAGSTER_DATABASE_URL", server_url)
    result = CliRunner().invoke(status_verb, [], obj=Output())
    assert result.exit_code == 0, result.exception
    words = " ".join(result.stdout.split())
    assert (
        f"those in {tmp_path} cannot be read: there is no pg_restore, which reads backups; install" in words
    )


def test_a_folder_without_backups_has_none(database: Database, tmp_path: Path) -> None:
    assert last_backup(tmp_path / uuid.uuid4().hex, database) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.1, "a second"), (4.4, "4 seconds"), (119, "119 seconds"), (150, "2 minutes"), (86_400 * 3, "3 days")],
)
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said
