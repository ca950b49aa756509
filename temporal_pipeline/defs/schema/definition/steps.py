# ruff: noqa: S608 - the SQL is made of names that stand in our own model.
"""DDL as data: a step knows its statement and how the catalogue shows that it is there already.

The same steps serve a live upgrade, an SQL script for psql and the list of what is missing. A condition
compares definitions, not only names, as PostgreSQL 14 to 18 print them: without casts, brackets and schema
names, in which equal definitions differ.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_UNIMPORTANT = (
    r"::(text|character varying|double precision|jsonb|uuid)(\[\])?"
    r'|[a-z_][a-z0-9_]*\.|\.0|[\s()"]'
)
# A check whose value is null passes anyway, so that saying so makes no difference.
_UNIMPORTANT_IN_CHECKS = r"[a-z_]+ is null or |" + _UNIMPORTANT


@dataclass(frozen=True)
class Step:
    """One DDL action.

    `statement` is the literal DDL (several statements are separated by `;` and run in one transaction); with
    `from_catalogue` it is a query whose rows are the DDL, where only the catalogue knows what differs.
    `done` is an SQL condition that never fails, whatever is missing. A `patient` step blocks no writer
    (CONCURRENTLY, VALIDATE): it runs outside a transaction and waits as long as it takes. `drop_first` makes
    way when the statement cannot replace what is there.
    """

    name: str
    statement: str
    done: str
    patient: bool = False
    from_catalogue: bool = False
    drop_first: str = ""


@dataclass(frozen=True)
class Column:
    """A column; `only_new_rows` keeps old rows null although there is a default."""

    name: str
    type: str
    default: str = ""
    required: bool = False
    only_new_rows: bool = False
    compression: str = ""

    @property
    def definition(self) -> str:
        default = f" DEFAULT {self.default}" if self.default and not self.only_new_rows else ""
        compression = f" COMPRESSION {self.compression}" if self.compression else ""
        return f"{self.name} {self.type}{compression}{default}{' NOT NULL' if self.required else ''}"


@dataclass(frozen=True)
class Constraint:
    """CHECK, FOREIGN KEY, EXCLUDE or UNIQUE; with `any_name` one that the application named is as good."""

    definition: str
    name: str
    any_name: bool = False


@dataclass(frozen=True)
class Index:
    """An index; `body` is what follows the table's name."""

    name: str
    body: str
    unique: bool = False


@dataclass(frozen=True)
class Table:
    """A table of ours, or (without primary key) what we add to a table of the application."""

    name: str
    columns: tuple[Column, ...]
    primary_key: str = ""
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()


def literal(text: str) -> str:
    """`text` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def relation_exists(name: str) -> str:
    return f"to_regclass({literal(name)}) IS NOT NULL"


def table_steps(table: Table) -> tuple[Step, ...]:
    """The table, and whatever of it an earlier hand left out or named differently."""
    steps = (
        _columns(table),
        *_defaults(table),
        _properties(table),
        *(step for constraint in table.constraints for step in _constraint(table.name, constraint)),
        *(step for index in table.indexes for step in index_steps(table.name, index)),
    )
    if not table.primary_key:
        return steps
    absent = f"to_regclass({literal(table.name)}) IS NULL"
    repairs = (replace(step, done=f"{absent} OR {step.done}") for step in steps)
    return (Step(f"table {table.name}", _create(table), relation_exists(table.name)), *repairs)


def _create(table: Table) -> str:
    named = (f"CONSTRAINT {c.name} {c.definition}" for c in table.constraints)
    lines = [*(column.definition for column in table.columns), f"PRIMARY KEY ({table.primary_key})", *named]
    create = f"CREATE TABLE {table.name} (\n    " + ",\n    ".join(lines) + "\n)"
    return ";\n".join([create, *(_create_index(table.name, index, "") for index in table.indexes)])


def _columns(table: Table) -> Step:
    added = ",\n    ".join(f"ADD COLUMN IF NOT EXISTS {column.definition}" for column in table.columns)
    wanted = ", ".join(f"({literal(c.name)}, {literal(c.type)})" for c in table.columns)
    return Step(
        f"columns of {table.name}",
        f"ALTER TABLE {table.name}\n    {added}",
        f"(SELECT count(*) FROM pg_attribute a JOIN (VALUES {wanted}) AS wanted (name, type)"
        " ON a.attname = wanted.name AND a.atttypid = CAST(wanted.type AS regtype)"
        f" WHERE a.attrelid = to_regclass({literal(table.name)})) = {len(table.columns)}",
    )


def _defaults(table: Table) -> Iterable[Step]:
    with_default = [column for column in table.columns if column.default]
    if with_default:
        changes = ",\n    ".join(f"ALTER COLUMN {c.name} SET DEFAULT {c.default}" for c in with_default)
        wanted = ", ".join(f"({literal(c.name)}, {literal(_canonical(c.default))})" for c in with_default)
        yield Step(
            f"defaults of {table.name}",
            f"ALTER TABLE {table.name}\n    {changes}",
            "(SELECT count(*) FROM pg_attribute a"
            " JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
            f" JOIN (VALUES {wanted}) AS wanted (name, value)"
            f" ON a.attname = wanted.name"
            f" AND {_canonical_sql('pg_get_expr(d.adbin, d.adrelid)')} = wanted.value"
            f" WHERE a.attrelid = to_regclass({literal(table.name)})) = {len(with_default)}",
        )


def _properties(table: Table) -> Step:
    wanted = ", ".join(
        f"({literal(c.name)}, {str(c.required).lower()}, {literal(c.compression)})" for c in table.columns
    )
    of_column = (
        f"FROM pg_attribute a JOIN (VALUES {wanted}) AS wanted (name, required, compression)"
        f" ON a.attname = wanted.name WHERE a.attrelid = to_regclass({literal(table.name)})"
    )
    return from_catalogue(
        f"nullability and compression of {table.name}",
        f"SELECT format('ALTER TABLE {table.name} %s', string_agg(change, ', ')) FROM ("
        "SELECT format('ALTER COLUMN %I %s NOT NULL', a.attname,"
        f" CASE WHEN wanted.required THEN 'SET' ELSE 'DROP' END) AS change {of_column}"
        " AND a.attnotnull <> wanted.required"
        f" UNION ALL SELECT format('ALTER COLUMN %I SET COMPRESSION %s', a.attname, wanted.compression)"
        f" {of_column} AND wanted.compression <> '' AND a.attcompression <> left(wanted.compression, 1)"
        ") AS changes HAVING count(*) > 0",
    )


def _constraint(table: str, constraint: Constraint) -> Iterable[Step]:
    kind = constraint.definition.split()[0]
    if kind == "UNIQUE":
        yield from _unique(table, constraint)
        return
    is_check = kind == "CHECK"
    printed = _canonical_sql(
        "replace(pg_get_constraintdef(c.oid, true), ' NOT VALID', '')", in_check=is_check
    )
    same = f"{printed} = {literal(_canonical(constraint.definition, in_check=is_check))}"
    of_table = f"FROM pg_constraint c WHERE c.conrelid = to_regclass({literal(table)})"
    called = f"c.conname = {literal(constraint.name)}"
    found = f"{of_table} AND {same}" if constraint.any_name else f"{of_table} AND {called} AND {same}"
    alike = called
    if kind == "FOREIGN":
        # Beside ours, a second one that does something else on deletion would forbid the deletion.
        reference = _canonical(constraint.definition.split(" ON DELETE")[0])
        alike = f"({called} OR starts_with({printed}, {literal(reference)}))"
    yield from_catalogue(
        f"no other {constraint.name}",
        f"SELECT format('ALTER TABLE {table} DROP CONSTRAINT %I', c.conname)"
        f" {of_table} AND {alike} AND NOT ({same})",
    )
    if not constraint.any_name:
        yield from_catalogue(
            f"{constraint.name} by its name",
            f"SELECT format('ALTER TABLE {table} RENAME CONSTRAINT %I TO {constraint.name}', c.conname)"
            f" {of_table} AND {same} AND NOT EXISTS (SELECT FROM pg_constraint named"
            f" WHERE named.conrelid = c.conrelid AND named.conname = {literal(constraint.name)})"
            " ORDER BY c.conname LIMIT 1",
        )
    can_wait = kind in ("CHECK", "FOREIGN")
    yield Step(
        f"constraint {constraint.name}",
        f"ALTER TABLE {table} ADD CONSTRAINT {constraint.name} {constraint.definition}"
        f"{' NOT VALID' if can_wait else ''}",
        f"EXISTS (SELECT {found})",
    )
    if can_wait:
        yield Step(
            f"{constraint.name} validated",
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint.name}",
            f"EXISTS (SELECT {found} AND c.convalidated)",
            patient=True,
        )


def _unique(table: str, constraint: Constraint) -> Iterable[Step]:
    name = constraint.name
    yield from index_steps(table, Index(name, constraint.definition.removeprefix("UNIQUE "), unique=True))
    yield Step(
        f"constraint {name}",
        f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}",
        f"EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass({literal(table)})"
        f" AND conname = {literal(name)})",
    )


def index_steps(table: str, index: Index) -> tuple[Step, ...]:
    """The index: an invalid or different one of that name goes, one of another name is adopted, else made."""
    method_and_columns = index.body.removeprefix("USING ")
    if method_and_columns == index.body:
        method_and_columns = f"btree {index.body}"
    printed = _canonical_sql("substring(pg_get_indexdef(c.oid, 0, true) FROM ' USING (.*)$')")
    same = (
        f"i.indisvalid AND i.indisunique = {str(index.unique).lower()}"
        f" AND {printed} = {literal(_canonical(method_and_columns))}"
    )
    of_table = (
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        f" WHERE i.indrelid = to_regclass({literal(table)})"
    )
    called = f"c.relname = {literal(index.name)}"
    return (
        Step(
            f"no invalid or other {index.name}",
            f"DROP INDEX CONCURRENTLY {index.name}",
            f"NOT EXISTS (SELECT {of_table} AND {called} AND NOT ({same}))",
            patient=True,
        ),
        from_catalogue(
            f"{index.name} by its name",
            f"SELECT format('ALTER INDEX %s RENAME TO {index.name}', CAST(c.oid AS regclass))"
            f" {of_table} AND {same} AND to_regclass({literal(index.name)}) IS NULL"
            " ORDER BY c.relname LIMIT 1",
        ),
        Step(
            f"index {index.name}",
            _create_index(table, index, "CONCURRENTLY "),
            f"EXISTS (SELECT {of_table} AND {called} AND {same})",
            patient=True,
        ),
    )


def _create_index(table: str, index: Index, concurrently: str) -> str:
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX {concurrently}{index.name} ON {table} {index.body}"


def from_catalogue(name: str, query: str, *, patient: bool = False) -> Step:
    """A step whose DDL the rows of a query are; there is nothing to do when it has none."""
    return Step(name, query, f"NOT EXISTS ({query})", from_catalogue=True, patient=patient)


def _canonical(definition: str, *, in_check: bool = False) -> str:
    """A definition as we write it, in the form to which `_canonical_sql` brings what the server prints."""
    printed = re.sub(r"\bin \(([^)]*)\)", r"= any (array[\1])", definition.lower()).replace(" like ", " ~~ ")
    return re.sub(_UNIMPORTANT_IN_CHECKS if in_check else _UNIMPORTANT, "", printed)


def _canonical_sql(printed: str, *, in_check: bool = False) -> str:
    pattern = _UNIMPORTANT_IN_CHECKS if in_check else _UNIMPORTANT
    return f"regexp_replace(lower({printed}), {literal(pattern)}, '', 'g')"
