"""Back to the application's own schema: no trace of ours, no loss of theirs."""

from itertools import pairwise

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.definition.model import LEGACY_TABLES, REVISIONS
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.errors import PipelineError
from tests.crosshot_rows import add_chat_message, add_content, add_topic, add_user, at
from tests.migrations.tools import (
    EXTENSIONS_STAY,
    VERSION_TABLE_STAYS,
    downgrade,
    execute,
    rows,
    schema_of,
    upgrade_to,
    version,
)
from tests.migrations.worlds import TO_THE_HEAD_OF_THE_APPLICATION


def _populate(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        for hour in range(5):
            add_content(c, topic=topic, user=user, crawled_at=at(hour), text=f"post {hour}")
        add_chat_message(c, topic=topic, created_at=at(1), content="what happened?")


def _rows_of_the_application(database: Database, columns: dict[str, str]) -> dict[str, list[str]]:
    with database.transaction(read_only=True) as c:
        return {
            table: list(c.scalars(text(f"SELECT ({listed})::text FROM {table} ORDER BY id")))
            for table, listed in columns.items()
        }


def _columns(database: Database) -> dict[str, str]:
    listed = rows(
        database,
        "SELECT attrelid::regclass::text AS name, string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS all "
        f"FROM pg_attribute WHERE attrelid::regclass::text IN ({', '.join(map(repr, LEGACY_TABLES))}) "
        "AND attnum > 0 AND NOT attisdropped GROUP BY 1",
    )
    assert len(listed) == len(LEGACY_TABLES)
    return dict(tuple(row) for row in listed)


def test_no_trace_is_left_and_no_row_of_the_application_is_lost(legacy_database: Database) -> None:
    _populate(legacy_database)
    columns = _columns(legacy_database)
    data = _rows_of_the_application(legacy_database, columns)
    # These two stay: others may use the extensions by now, and Alembic never drops its table.
    execute(legacy_database, f"{EXTENSIONS_STAY}; {VERSION_TABLE_STAYS}")
    before = schema_of(legacy_database)
    upgrade(legacy_database)
    assert _rows_of_the_application(legacy_database, columns) == data
    downgrade(legacy_database, "-3")
    assert schema_of(legacy_database) == before
    assert version(legacy_database) == []
    assert _rows_of_the_application(legacy_database, columns) == data


@pytest.mark.parametrize(("below", "revision"), list(pairwise(("base", *REVISIONS))))
def test_each_revision_goes_up_down_and_up(legacy_database: Database, below: str, revision: str) -> None:
    if below != "base":
        upgrade_to(legacy_database, below)
    else:
        execute(legacy_database, f"{EXTENSIONS_STAY}; {VERSION_TABLE_STAYS}")
    before = schema_of(legacy_database)
    upgrade_to(legacy_database, revision)
    after = schema_of(legacy_database)
    assert after != before
    downgrade(legacy_database, "-1")
    assert schema_of(legacy_database) == before
    upgrade_to(legacy_database, revision)
    assert schema_of(legacy_database) == after


def test_a_downgrade_undoes_what_the_application_migrated(
    database: Database, legacy_database: Database
) -> None:
    execute(database, TO_THE_HEAD_OF_THE_APPLICATION)
    downgrade(database, "-3")
    execute(legacy_database, f"{EXTENSIONS_STAY}; {VERSION_TABLE_STAYS}")
    assert schema_of(database) == schema_of(legacy_database)


def test_what_somebody_built_on_ours_stops_the_downgrade_and_is_not_taken_along(
    database: Database, head: str
) -> None:
    execute(database, "CREATE VIEW a_dashboard AS SELECT * FROM v_period_timeline")
    with pytest.raises(PipelineError, match="a_dashboard") as refused:
        downgrade(database, "-3")
    assert "drop that first" in refused.value.hint
    assert rows(database, "SELECT * FROM a_dashboard") == []
    execute(database, "DROP VIEW a_dashboard")
    # What had gone by then comes back, because the revision was not left.
    assert version(database) == ["20260301_0300"]
    upgrade(database)
    assert schema_of(database) == head
