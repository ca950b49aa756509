"""Which tables a DDL statement locks, how strongly, and with whose locks it would collide.

Source of the modes: PostgreSQL's documentation, "Explicit Locking" and "ALTER TABLE".
"""

import re
from dataclasses import dataclass

from temporal_pipeline.defs.schema.definition.extra_indexes import EXTRA_INDEXES
from temporal_pipeline.defs.schema.definition.model import ALTERED_TABLES, TABLES
from temporal_pipeline.defs.schema.definition.private import PRIVATE_TABLES

ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"
SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
ROW_SHARE = "ROW SHARE"

# As pg_locks spells them. A writer holds RowExclusiveLock, a reader AccessShareLock.
_WRITERS = (
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
_COLLIDES_WITH = {
    ACCESS_EXCLUSIVE: ("AccessShareLock", "RowShareLock", *_WRITERS),
    SHARE_ROW_EXCLUSIVE: _WRITERS,
}

_ALTER = re.compile(r"^ALTER TABLE (?:ONLY )?(\S+)\s+(.*)", re.DOTALL)
_CREATE = re.compile(r"^CREATE TABLE (?:IF NOT EXISTS )?(\S+)")
_INDEX = re.compile(r"^CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?\S+ ON (\S+)")
_INDEX_BY_NAME = re.compile(r"^(?:DROP INDEX CONCURRENTLY|ALTER INDEX) (\S+)")
_DROP = re.compile(r"^DROP (?:TABLE|VIEW|MATERIALIZED VIEW) (?:IF EXISTS )?(\S+)")
# Also inside a DO block.
_REPLACE_VIEW = re.compile(r"\bCREATE OR REPLACE VIEW (\S+)")
_REFERENCES = re.compile(r"\bREFERENCES (\S+)")
_MODELS = (*TABLES, *ALTERED_TABLES, *PRIVATE_TABLES.values())


@dataclass(frozen=True)
class TableLock:
    """A lock on a table (or view) that was there before the statement; `mode` in PostgreSQL's words."""

    table: str
    mode: str

    @property
    def is_met_by_writers(self) -> bool:
        """Whether an INSERT, UPDATE or DELETE on the table waits for it."""
        return self.mode in _COLLIDES_WITH

    @property
    def collides_with(self) -> tuple[str, ...]:
        """The modes in pg_locks for which it waits, and which wait for it; none if writers do not meet it."""
        return _COLLIDES_WITH.get(self.mode, ())


def locks_of(sql: str) -> tuple[TableLock, ...]:
    """The locks that a statement of ours takes on what exists already, the strongest per table.

    `sql` may be several statements separated by `;` at the end of a line.
    """
    made: set[str] = set()
    strongest: dict[str, str] = {}
    for statement in sql.split(";\n"):
        if found := _CREATE.match(statement.strip()):
            made.add(found[1])
        for lock in _locks(statement.strip()):
            if lock.table not in made and strongest.get(lock.table) != ACCESS_EXCLUSIVE:
                strongest[lock.table] = lock.mode
    return tuple(TableLock(table, mode) for table, mode in strongest.items())


def _locks(statement: str) -> list[TableLock]:
    if found := _CREATE.match(statement):
        return [TableLock(table, SHARE_ROW_EXCLUSIVE) for table in _referenced_in(statement)]
    if found := _ALTER.match(statement):
        return _locks_of_alter(found[1], found[2])
    if found := _INDEX.match(statement):
        return [TableLock(found[1], SHARE_UPDATE_EXCLUSIVE)]
    if found := _INDEX_BY_NAME.match(statement):
        table = _table_of_index(found[1])
        return [TableLock(table, SHARE_UPDATE_EXCLUSIVE)] if table else []
    if found := _DROP.match(statement) or _REPLACE_VIEW.search(statement):
        # The triggers of a foreign key stand on both tables, and go with it.
        return [TableLock(table, ACCESS_EXCLUSIVE) for table in (found[1], *_referenced_by(found[1]))]
    return []


def _locks_of_alter(table: str, action: str) -> list[TableLock]:
    if action.startswith("VALIDATE"):
        return [
            TableLock(table, SHARE_UPDATE_EXCLUSIVE),
            *(TableLock(other, ROW_SHARE) for other in _referenced_by(table)),
        ]
    if action.startswith("ADD CONSTRAINT") and "FOREIGN KEY" in action:
        return [TableLock(name, SHARE_ROW_EXCLUSIVE) for name in (table, *_referenced_in(action))]
    if action.startswith(("DROP CONSTRAINT", "DROP COLUMN")):
        return [TableLock(name, ACCESS_EXCLUSIVE) for name in (table, *_referenced_by(table))]
    return [TableLock(table, ACCESS_EXCLUSIVE)]


def _referenced_in(definition: str) -> list[str]:
    return list(dict.fromkeys(_REFERENCES.findall(definition)))


def _referenced_by(table: str) -> list[str]:
    """The other tables to which foreign keys of the model lead from `table`."""
    definitions = [
        constraint.definition for model in _MODELS if model.name == table for constraint in model.constraints
    ]
    return [name for name in _referenced_in("\n".join(definitions)) if name != table]


def _table_of_index(index: str) -> str | None:
    """The table of an index of the model; the name may bear a schema."""
    for model in _MODELS:
        indexes = (*model.indexes, *EXTRA_INDEXES.get(model.name, ()))
        if index.rpartition(".")[2] in (one.name for one in indexes):
            return model.name
    return None
