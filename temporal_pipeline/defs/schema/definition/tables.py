# ruff: noqa: S608 - the SQL is made of names that stand in our own model.
"""The steps that bring a table to its definition, whoever made it."""

from collections.abc import Iterable
from dataclasses import replace

from temporal_pipeline.defs.schema.definition.literals import canonical, canonical_sql, literal
from temporal_pipeline.defs.schema.definition.steps import (
    Constraint,
    Index,
    Step,
    Table,
    adopted_index,
    create_index,
    from_catalogue,
    index_steps,
    relation_exists,
)

_DEFAULT = "LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
_DEFAULT_EXPRESSION = "pg_get_expr(d.adbin, d.adrelid)"
# As pg_constraint calls them.
_KEYS = {"PRIMARY": "p", "UNIQUE": "u"}


def table_steps(table: Table) -> tuple[Step, ...]:
    """The table, and whatever of it an earlier hand left out or named differently."""
    steps = (
        _columns(table),
        *_defaults(table),
        *_properties(table),
        *(step for constraint in table.all_constraints for step in _constraint(table.name, constraint)),
        *(step for index in table.indexes for step in index_steps(table.name, index)),
    )
    if not table.primary_key:
        return steps
    absent = f"to_regclass({literal(table.name)}) IS NULL"
    repairs = (replace(step, done=f"{absent} OR {step.done}") for step in steps)
    return (Step(f"table {table.name}", _create(table), relation_exists(table.name)), *repairs)


def _create(table: Table) -> str:
    named = (f"CONSTRAINT {c.name} {c.definition}" for c in table.all_constraints)
    lines = [*(column.definition for column in table.columns), *named]
    create = f"CREATE TABLE {table.name} (\n    " + ",\n    ".join(lines) + "\n)"
    return ";\n".join([create, *(create_index(table.name, index, "") for index in table.indexes)])


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
    """Defaults that differ; a column that is not there yet comes with its own."""
    filled = [column for column in table.columns if column.default and not column.only_new_rows]
    if filled:
        changes = ",\n    ".join(f"ALTER COLUMN {c.name} SET DEFAULT {c.default}" for c in filled)
        wanted = ", ".join(f"({literal(c.name)}, {literal(canonical(c.default))})" for c in filled)
        yield Step(
            f"defaults of {table.name}",
            f"ALTER TABLE {table.name}\n    {changes}",
            f"NOT EXISTS (SELECT FROM pg_attribute a JOIN (VALUES {wanted}) AS wanted (name, value)"
            f" ON a.attname = wanted.name {_DEFAULT}"
            f" WHERE a.attrelid = to_regclass({literal(table.name)})"
            f" AND {canonical_sql(_DEFAULT_EXPRESSION)} IS DISTINCT FROM wanted.value)",
        )
    for column in table.columns:
        if column.only_new_rows:
            yield Step(
                f"default of {table.name}.{column.name}, for new rows only",
                f"ALTER TABLE {table.name} ALTER COLUMN {column.name} SET DEFAULT {column.default}",
                f"EXISTS (SELECT FROM pg_attribute a {_DEFAULT}"
                f" WHERE a.attrelid = to_regclass({literal(table.name)}) AND a.attname = {literal(column.name)}"
                f" AND {canonical_sql(_DEFAULT_EXPRESSION)} = {literal(canonical(column.default))})",
            )


def _properties(table: Table) -> Iterable[Step]:
    """Nullability and compression; a check, validated before, spares NOT NULL its scan under a strong lock."""
    wanted = ", ".join(
        f"({literal(c.name)}, {str(c.required).lower()}, {literal(c.compression)})" for c in table.columns
    )
    of_column = (
        f"FROM pg_attribute a JOIN (VALUES {wanted}) AS wanted (name, required, compression)"
        " ON a.attname = wanted.name"
        " LEFT JOIN pg_constraint c ON c.conrelid = a.attrelid AND c.contype = 'c'"
        " AND c.conname = a.attname || '_is_set'"
        f" WHERE a.attrelid = to_regclass({literal(table.name)})"
    )
    becomes_required = f"{of_column} AND wanted.required AND NOT a.attnotnull"
    yield from_catalogue(
        f"checks for nulls in {table.name}",
        f"SELECT format('ALTER TABLE {table.name} ADD CONSTRAINT %I CHECK (%I IS NOT NULL) NOT VALID',"
        f" a.attname || '_is_set', a.attname) {becomes_required} AND c.oid IS NULL ORDER BY a.attnum",
    )
    yield from_catalogue(
        f"no nulls in {table.name}",
        f"SELECT format('ALTER TABLE {table.name} VALIDATE CONSTRAINT %I', a.attname || '_is_set')"
        f" {becomes_required} AND c.convalidated IS NOT TRUE ORDER BY a.attnum",
        patient=True,
    )
    yield from_catalogue(
        f"nullability and compression of {table.name}",
        f"SELECT format('ALTER TABLE {table.name} %s', string_agg(change, ', ' ORDER BY attnum, change)) FROM ("
        "SELECT a.attnum, format('ALTER COLUMN %I %s NOT NULL', a.attname,"
        f" CASE WHEN wanted.required THEN 'SET' ELSE 'DROP' END) AS change {of_column}"
        " AND a.attnotnull <> wanted.required"
        f" UNION ALL SELECT a.attnum, format('ALTER COLUMN %I SET COMPRESSION %s', a.attname, wanted.compression)"
        f" {of_column} AND wanted.compression <> '' AND a.attcompression <> left(wanted.compression, 1)"
        ") AS changes HAVING count(*) > 0",
    )
    yield from_catalogue(
        f"no checks for nulls left in {table.name}",
        f"SELECT format('ALTER TABLE {table.name} DROP CONSTRAINT %I', a.attname || '_is_set')"
        f" {of_column} AND wanted.required AND (c.oid IS NOT NULL OR NOT a.attnotnull) ORDER BY a.attnum",
    )


def _constraint(table: str, constraint: Constraint) -> Iterable[Step]:
    kind = constraint.definition.split()[0]
    if kind in _KEYS:
        yield from _key(table, constraint)
        return
    is_check = kind == "CHECK"
    printed = canonical_sql("replace(pg_get_constraintdef(c.oid, true), ' NOT VALID', '')", in_check=is_check)
    same = f"{printed} = {literal(canonical(constraint.definition, in_check=is_check))}"
    of_table = f"FROM pg_constraint c WHERE c.conrelid = to_regclass({literal(table)})"
    called = f"c.conname = {literal(constraint.name)}"
    # The one that is ours already, or becomes ours by its name.
    adopted = (
        f"(SELECT c.oid {of_table} AND {same} ORDER BY {called} DESC, c.convalidated DESC, c.conname LIMIT 1)"
    )
    alike = called
    if kind == "FOREIGN":
        # Beside ours, a second one that does something else on deletion would forbid the deletion.
        reference = canonical(constraint.definition.split(" ON DELETE")[0])
        alike = f"({called} OR starts_with({printed}, {literal(reference)}))"
    yield from_catalogue(
        f"no other {constraint.name}",
        f"SELECT format('ALTER TABLE {table} DROP CONSTRAINT %I', c.conname)"
        f" {of_table} AND {alike} AND NOT ({same}) ORDER BY c.conname",
    )
    if not constraint.any_name:
        yield from_catalogue(
            f"{constraint.name} by its name",
            f"SELECT format('ALTER TABLE {table} RENAME CONSTRAINT %I TO {constraint.name}', c.conname)"
            f" FROM pg_constraint c WHERE c.oid = {adopted} AND NOT {called}",
        )
    can_wait = kind in ("CHECK", "FOREIGN")
    yield Step(
        f"constraint {constraint.name}",
        f"ALTER TABLE {table} ADD CONSTRAINT {constraint.name} {constraint.definition}"
        f"{' NOT VALID' if can_wait else ''}",
        f"{adopted} IS NOT NULL",
    )
    if can_wait:
        of_adopted = f"FROM pg_constraint c WHERE c.oid = {adopted}"
        validated = f"EXISTS (SELECT {of_adopted} AND c.convalidated)"
        name = f"{constraint.name} validated"
        if constraint.any_name:
            yield from_catalogue(
                name,
                f"SELECT format('ALTER TABLE {table} VALIDATE CONSTRAINT %I',"
                f" coalesce((SELECT c.conname {of_adopted}), {literal(constraint.name)})) WHERE NOT {validated}",
                patient=True,
            )
        else:
            statement = f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint.name}"
            yield Step(name, statement, validated, patient=True)


def _key(table: str, constraint: Constraint) -> Iterable[Step]:
    """UNIQUE or PRIMARY KEY, upon an index that is built before."""
    name = constraint.name
    kind, columns = constraint.definition.split(" (")
    index = Index(name, f"({columns}", unique=True)
    letter = _KEYS[kind.split()[0]]
    alike = "c.contype = 'p'" if letter == "p" else f"c.conname = {literal(name)}"
    printed = canonical_sql("pg_get_constraintdef(c.oid, true)")
    yield from_catalogue(
        f"no other {name}",
        f"SELECT format('ALTER TABLE {table} DROP CONSTRAINT %I', c.conname) FROM pg_constraint c"
        f" WHERE c.conrelid = to_regclass({literal(table)}) AND {alike}"
        f" AND {printed} <> {literal(canonical(constraint.definition))}",
    )
    yield from index_steps(table, index)
    yield Step(
        f"constraint {name}",
        f"ALTER TABLE {table} ADD CONSTRAINT {name} {kind} USING INDEX {name}",
        # An index that is renamed takes its constraint along.
        f"EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = {adopted_index(table, index)}"
        f" AND k.contype = {literal(letter)})",
    )
