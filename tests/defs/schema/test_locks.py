"""What we say of a statement's locks is what the server says."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.apply import missing_statements
from temporal_pipeline.defs.schema.definition import revisions
from temporal_pipeline.defs.schema.definition.steps import Step
from temporal_pipeline.defs.schema.locks import locks_of
from temporal_pipeline.defs.schema.taking_turns import run

LOCKS_TAKEN = """
    SELECT CAST(CAST(relation AS regclass) AS text), mode FROM pg_locks
    WHERE locktype = 'relation' AND pid = pg_backend_pid()
      AND relation IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'v', 'm')
                       AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace))
"""
# Nobody who reads or writes rows meets these.
WEAK = {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}
UPGRADE = (*revisions.create_tables(), *revisions.add_columns(), *revisions.create_views())
DOWNGRADE = (*revisions.drop_views(), *revisions.remove_columns(), *revisions.drop_tables())


def _statements(
    connection: Connection, steps: tuple[Step, ...]
) -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """Each statement that may run in a transaction, executed, with the locks it took on what there was before."""
    for step in steps:
        for statement in missing_statements(connection, step):
            before = {row[0] for row in run(connection, "SELECT CAST(oid::regclass AS text) FROM pg_class")}
            run(connection, "BEGIN")
            run(connection, statement.replace("CONCURRENTLY ", ""))
            taken = {(row[0], row[1]) for row in run(connection, LOCKS_TAKEN)}
            run(connection, "COMMIT")
            if "CONCURRENTLY" not in statement:
                yield statement, {(t, mode) for t, mode in taken if t in before and mode not in WEAK}


@pytest.mark.parametrize(("world", "steps"), [("legacy", UPGRADE), ("head", DOWNGRADE)])
def test_the_locks_are_those_that_the_server_takes(
    world: str, steps: tuple[Step, ...], request: pytest.FixtureRequest
) -> None:
    database: Database = request.getfixturevalue("legacy_database" if world == "legacy" else "database")
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        met = 0
        for statement, taken in _statements(connection, steps):
            said = {(lock.table, _in_pg_locks(lock.mode)) for lock in locks_of(statement)}
            strong = {(table, mode) for table, mode in taken if (table, mode) not in said}
            # A stronger lock on the same table covers weaker ones; no table may be met unannounced.
            unannounced = {(table, mode) for table, mode in strong if table not in {t for t, _ in said}}
            assert not unannounced, statement
            understated = {
                (table, mode)
                for table, mode in strong
                if mode == "AccessExclusiveLock" and (table, "AccessExclusiveLock") not in said
            }
            assert not understated, statement
            met += bool(said & taken)
        assert met >= 10


def _in_pg_locks(mode: str) -> str:
    return "".join(word.capitalize() for word in mode.split()) + "Lock"


def test_a_table_that_the_statement_makes_is_nobody_s_concern() -> None:
    locks = locks_of(
        "CREATE TABLE mine (\n    id uuid REFERENCES contents (id)\n);\nCREATE INDEX i ON mine (id)"
    )
    assert [(lock.table, lock.mode) for lock in locks] == [("contents", "SHARE ROW EXCLUSIVE")]


def test_writers_do_not_meet_an_index_that_is_built_beside_them() -> None:
    (lock,) = locks_of("CREATE INDEX CONCURRENTLY i ON contents (id)")
    assert not lock.is_met_by_writers
    assert lock.collides_with == ()
