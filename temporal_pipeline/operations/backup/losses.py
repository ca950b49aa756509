"""What a way back would destroy, counted before anybody agrees to it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from temporal_pipeline.defs.schema.definition.model import ALTERED_TABLES, LEGACY_TABLES, TABLES
from temporal_pipeline.defs.schema.definition.private import PRIVATE_SCHEMA, PRIVATE_TABLES
from temporal_pipeline.operations.backup.archive import Archive
from temporal_pipeline.operations.backup.databases import queries, tables

EVER = datetime(1, 1, 1, tzinfo=UTC)
TEMPORAL_TABLES = tuple(table.name for table in TABLES)
# Migrating makes it, but it may be the application's own, and going back leaves it.
VERSION_TABLE = ".alembic_version"

_TEMPORAL_ROWS = dict(
    zip(("periods", "snapshots", "events", "evidence", "effectiveness"), TEMPORAL_TABLES, strict=True)
)
_APPLICATION_ROWS = {name: name for name in LEGACY_TABLES}


def temporal_tables(connection: Connection) -> list[str]:
    """Which of the five tables there are."""
    return _there(connection, TEMPORAL_TABLES)


def working_tables(connection: Connection) -> list[str]:
    """Which of our own working tables there are."""
    return _there(connection, [f"{PRIVATE_SCHEMA}.{name}" for name in PRIVATE_TABLES])


def temporal_rows(connection: Connection, since: datetime = EVER) -> dict[str, int]:
    """The periods, snapshots, events, evidence and effectiveness rows made or changed after `since`, of those
    tables that there are.
    """
    return _rows_since(connection, _TEMPORAL_ROWS, since)


def application_rows(connection: Connection, since: datetime) -> dict[str, int]:
    """The rows that the application made after `since`, contents by when they were crawled, of those tables that
    there are: that one is gone may be why somebody restores.
    """
    return _rows_since(connection, _APPLICATION_ROWS, since)


def added_values(connection: Connection) -> dict[str, int]:
    """The rows of the application with values in the columns that we added, of those tables that have them all."""
    found: dict[str, int] = {}
    for table in ALTERED_TABLES:
        columns = set(connection.scalars(queries["columns"], {"relation": table.name}))
        if columns.issuperset(column.name for column in table.columns):
            found |= connection.execute(queries[f"values_in_{table.name}"]).one()._mapping
    return found


def missing_tables(connection: Connection, archive: Archive) -> list[str]:
    """The tables here whose rows are not in a dump; without ours when it is of a database that had none of them."""
    missing = tables(connection) - (archive.tables & archive.tables_with_data)
    if not any(map(_is_ours, archive.tables)):
        missing = frozenset(name for name in missing if not (_is_ours(name) or name.endswith(VERSION_TABLE)))
    return sorted(missing)


def _is_ours(table: str) -> bool:
    schema, _, name = table.partition(".")
    return schema == PRIVATE_SCHEMA or name in TEMPORAL_TABLES


def _there(connection: Connection, names: Sequence[str]) -> list[str]:
    return list(connection.scalars(queries["relations"], {"names": list(names)}))


def _rows_since(connection: Connection, counted: Mapping[str, str], since: datetime) -> dict[str, int]:
    there = _there(connection, list(counted.values()))
    return {
        what: connection.execute(queries[f"{what}_since"], {"since": since}).scalar_one()
        for what, table in counted.items()
        if table in there
    }
