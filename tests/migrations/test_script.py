"""`alembic upgrade head --sql`: written without a connection, run by psql, with the result of a live upgrade."""

import pytest
from alembic import command

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.definition import revisions
from temporal_pipeline.defs.schema.upgrade import LOCK, upgrade
from tests.migrations.tools import (
    die_after,
    downgrade,
    execute,
    psql,
    schema_of,
    upgrade_to,
    version,
    written_script,
)
from tests.migrations.worlds import (
    CREATE_ALL,
    LATER_REVISION,
    NAMES_THAT_STAY,
    TO_THE_HEAD_OF_THE_APPLICATION,
)


@pytest.fixture(scope="session")
def up() -> str:
    return written_script(command.upgrade, "head")


@pytest.fixture(scope="session")
def down() -> str:
    return written_script(command.downgrade, "20260301_0300:base")


def _runs(database: Database, script: str) -> None:
    done = psql(database, script)
    assert (done.returncode, done.stderr) == (0, "")


def _is_refused(database: Database, script: str, reason: str) -> None:
    before = schema_of(database)
    done = psql(database, script)
    assert done.returncode == 3
    assert reason in done.stderr
    assert schema_of(database).replace(_version_table(schema_of(database)), "") == before.replace(
        _version_table(before), ""
    )


def _version_table(schema: str) -> str:
    """Everything that pg_dump says of alembic_version, which a script makes before it can look into it."""
    return "\n".join(part for part in schema.split("\n--\n") if "alembic_version" in part)


def test_the_script_does_the_same_as_a_live_upgrade(legacy_database: Database, up: str, head: str) -> None:
    _runs(legacy_database, up)
    assert version(legacy_database) == ["20260301_0300"]
    assert schema_of(legacy_database) == head
    assert upgrade(legacy_database).steps == ()


def test_the_script_may_run_again(database: Database, up: str, head: str) -> None:
    _runs(database, up)
    assert version(database) == ["20260301_0300"]
    assert schema_of(database) == head


@pytest.mark.parametrize("revision", ["20260301_0100", "20260301_0200"])
def test_the_script_finishes_what_was_begun(
    legacy_database: Database, up: str, head: str, revision: str
) -> None:
    upgrade_to(legacy_database, revision)
    _runs(legacy_database, up)
    assert version(legacy_database) == ["20260301_0300"]
    assert schema_of(legacy_database) == head


@pytest.mark.parametrize("executed", [9, len(revisions.create_tables()) + 21])
def test_the_script_finishes_what_died_between_two_steps(
    legacy_database: Database, up: str, head: str, executed: int
) -> None:
    die_after(legacy_database, (*revisions.create_tables(), *revisions.add_columns())[:executed])
    _runs(legacy_database, up)
    assert schema_of(legacy_database) == head


def test_the_script_works_on_a_downgraded_database(database: Database, up: str, head: str) -> None:
    downgrade(database, "-3")
    _runs(database, up)
    assert version(database) == ["20260301_0300"]
    assert schema_of(database) == head


def test_the_script_reconciles_what_the_application_migrated(database: Database, up: str, head: str) -> None:
    execute(database, TO_THE_HEAD_OF_THE_APPLICATION)
    _runs(database, up)
    assert schema_of(database) == head


def test_the_script_adopts_tables_of_the_application(legacy_database: Database, up: str, head: str) -> None:
    execute(legacy_database, CREATE_ALL)
    _runs(legacy_database, up)
    execute(legacy_database, NAMES_THAT_STAY)
    assert schema_of(legacy_database) == head


def test_the_script_leaves_a_later_revision_alone(database: Database, up: str, head: str) -> None:
    execute(database, LATER_REVISION)
    _runs(database, up)
    assert version(database) == ["20260415_0100"]
    assert schema_of(database) == head


def test_the_script_refuses_what_a_live_upgrade_refuses(
    empty_database: Database, legacy_database: Database, up: str
) -> None:
    _is_refused(empty_database, up, "it has no tasks, contents, topics, users, chat_messages")
    execute(legacy_database, "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    execute(legacy_database, "INSERT INTO alembic_version VALUES ('something_else')")
    _is_refused(legacy_database, up, "alembic_version holds something_else, which is none of ours")


def test_the_script_and_a_live_upgrade_exclude_each_other(legacy_database: Database, up: str) -> None:
    with legacy_database.exclusive(LOCK):
        _is_refused(legacy_database, up, "another run already works on the schema")


def test_the_script_of_a_downgrade_leaves_the_same_as_a_live_one(database: Database, down: str) -> None:
    _runs(database, down)
    assert version(database) == []
    by_script = schema_of(database)
    upgrade(database)
    downgrade(database, "-3")
    assert schema_of(database) == by_script
    _runs(database, down)
    assert schema_of(database) == by_script


def test_the_script_of_a_downgrade_by_one_revision(database: Database) -> None:
    _runs(database, written_script(command.downgrade, "20260301_0300:20260301_0200"))
    assert version(database) == ["20260301_0200"]


def test_the_script_of_a_downgrade_refuses_a_later_revision(database: Database, down: str) -> None:
    execute(database, LATER_REVISION)
    _is_refused(database, down, "the application has migrated on")
