"""Every state in which a database may arrive, and that the same schema comes of each."""

import pytest

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.definition import revisions
from temporal_pipeline.defs.schema.definition.model import REVISIONS
from temporal_pipeline.defs.schema.upgrade import schema_state, upgrade
from temporal_pipeline.errors import PipelineError
from tests.crosshot_rows import add_content, add_topic, at
from tests.migrations.tools import (
    die_after,
    downgrade,
    execute,
    psql,
    rows,
    schema_of,
    upgrade_to,
    version,
)
from tests.migrations.worlds import (
    CREATE_ALL,
    LATER_REVISION,
    NAMES_THAT_STAY,
    TO_THE_HEAD_OF_THE_APPLICATION,
)

STEPS = (*revisions.create_tables(), *revisions.add_columns(), *revisions.create_views())


def test_a_legacy_database_comes_to_head(legacy_database: Database, head: str) -> None:
    report = upgrade(legacy_database)
    assert (report.revision_before, report.revision_after) == (None, "20260301_0300")
    assert version(legacy_database) == ["20260301_0300"]
    assert schema_of(legacy_database) == head
    with legacy_database.transaction(read_only=True) as connection:
        assert schema_state(connection).is_at_head


def test_a_second_upgrade_writes_nothing_at_all(database: Database) -> None:
    [name] = rows(database, "SELECT quote_ident(current_database())")[0]
    execute(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database.dispose()
    assert upgrade(database).steps == ()


def test_a_database_that_is_at_the_head_of_the_application_is_reconciled(
    database: Database, head: str
) -> None:
    execute(database, TO_THE_HEAD_OF_THE_APPLICATION)
    before = rows(database, "SELECT xmin::text FROM alembic_version")
    report = upgrade(database)
    assert report.revision_before == report.revision_after == "20260301_0300"
    assert rows(database, "SELECT xmin::text FROM alembic_version") == before
    assert schema_of(database) == head


def test_tables_that_the_application_created_are_adopted(legacy_database: Database, head: str) -> None:
    execute(legacy_database, CREATE_ALL)
    executed = upgrade(legacy_database).steps
    assert [name for name in executed if name.startswith("table ") and "temporal_pipeline" not in name] == []
    execute(legacy_database, NAMES_THAT_STAY)
    assert schema_of(legacy_database) == head
    assert upgrade(legacy_database).steps == ()


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_half_way_goes_on(legacy_database: Database, head: str, revision: str) -> None:
    upgrade_to(legacy_database, revision)
    assert version(legacy_database) == [revision]
    upgrade(legacy_database)
    assert version(legacy_database) == ["20260301_0300"]
    assert schema_of(legacy_database) == head


@pytest.mark.parametrize("executed", [1, 5, len(revisions.create_tables()) + 9, len(STEPS) - 3])
def test_an_upgrade_that_died_between_two_steps_is_finished(
    legacy_database: Database, head: str, executed: int
) -> None:
    die_after(legacy_database, STEPS[:executed])
    upgrade(legacy_database)
    assert schema_of(legacy_database) == head


def test_an_unknown_revision_with_everything_present_is_reconciled_and_not_moved(
    database: Database, head: str
) -> None:
    execute(database, f"{LATER_REVISION}; {TO_THE_HEAD_OF_THE_APPLICATION}")
    # What is missing of the contract is as missing as with a known revision: here a function.
    with pytest.raises(PipelineError, match="is none of ours") as refused:
        upgrade(database)
    assert refused.value.exit_code == 5
    execute(database, "CREATE FUNCTION detect_metric_anomalies() RETURNS void LANGUAGE sql AS ''")
    report = upgrade(database)
    assert report.revision_before == report.revision_after == "20260415_0100"
    assert schema_of(database) == head


def test_an_unknown_revision_is_never_downgraded(database: Database, head: str) -> None:
    execute(database, LATER_REVISION)
    with pytest.raises(PipelineError, match="migrated on to 20260415_0100") as refused:
        downgrade(database, "-3")
    assert refused.value.exit_code == 5
    assert schema_of(database) == head


def test_an_empty_database_is_refused(empty_database: Database) -> None:
    before = schema_of(empty_database)
    with pytest.raises(PipelineError, match="no chat_messages, contents, tasks, topics, users"):
        upgrade(empty_database)
    assert schema_of(empty_database) == before


def test_a_foreign_database_is_refused_with_what_it_lacks(legacy_database: Database) -> None:
    execute(legacy_database, "DROP TABLE chat_messages; DROP TABLE topics CASCADE")
    before = schema_of(legacy_database)
    with pytest.raises(PipelineError, match="no chat_messages, topics\n"):
        upgrade(legacy_database)
    assert schema_of(legacy_database) == before


def test_old_rows_do_not_claim_to_be_discovered_at_the_migration(legacy_database: Database) -> None:
    with legacy_database.transaction() as connection:
        add_content(connection, topic=add_topic(connection), crawled_at=at(0), text="old")
    upgrade(legacy_database)
    with legacy_database.transaction() as connection:
        add_content(connection, topic=add_topic(connection), crawled_at=at(1), text="new")
    found = rows(legacy_database, "SELECT text, discovered_at IS NULL FROM contents ORDER BY text")
    assert [tuple(row) for row in found] == [("new", False), ("old", True)]


def test_rows_that_contradict_the_schema_are_named_and_the_upgrade_goes_on_without_them(
    legacy_database: Database, head: str
) -> None:
    execute(legacy_database, CREATE_ALL)
    period = (
        "INSERT INTO analysis_periods VALUES (gen_random_uuid(), 'topic', '{0}', '2026-01-01', '2026-01-02',"
        " now(), {1}, 24, 'active', NULL, NULL, 0, '', '', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '', 1, '',"
        " NULL, NULL, NULL, '{{}}', now(), now())"
    )
    twice = "00000000-0000-0000-0000-000000000001"
    done = psql(legacy_database, f"{period.format(twice, 0)}; {period.format(twice, 1)};")
    assert done.returncode == 0, done.stderr
    with pytest.raises(PipelineError, match="no_overlapping_periods") as refused:
        upgrade(legacy_database)
    assert twice in refused.value.message
    assert "remove these rows" in refused.value.hint
    execute(legacy_database, "DELETE FROM analysis_periods WHERE period_number = 1")
    upgrade(legacy_database)
    execute(legacy_database, NAMES_THAT_STAY)
    assert schema_of(legacy_database) == head
