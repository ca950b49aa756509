# ruff: noqa: S608 - the SQL is made of names that stand in our own model.
"""Steps that take something away."""

from temporal_pipeline.defs.schema.definition.literals import literal
from temporal_pipeline.defs.schema.definition.steps import Step, Table, from_catalogue


def drop_columns(table: Table) -> Step:
    """Takes the columns that we added away, and with them their constraints and indexes."""
    dropped = ",\n    ".join(f"DROP COLUMN IF EXISTS {column.name}" for column in table.columns)
    names = ", ".join(literal(column.name) for column in table.columns)
    return Step(
        f"no columns of ours in {table.name}",
        f"ALTER TABLE {table.name}\n    {dropped}",
        f"NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass({literal(table.name)})"
        f" AND attname IN ({names}))",
    )


def drop_relation(kind: str, name: str) -> Step:
    """Takes a TABLE, VIEW or MATERIALIZED VIEW away."""
    return Step(f"no {kind.lower()} {name}", f"DROP {kind} {name}", f"to_regclass({literal(name)}) IS NULL")


def drop_functions(name: str, *, but: str = "") -> Step:
    """Takes away the functions of that name, whatever their arguments; `but` are the types of one that stays."""
    schema, _, function = name.rpartition(".")
    return from_catalogue(
        f"no other function {name}" if but else f"no function {name}",
        "SELECT format('DROP FUNCTION %s', CAST(oid AS regprocedure)) FROM pg_proc"
        f" WHERE proname = {literal(function)}"
        f" AND pronamespace = to_regnamespace({literal(schema) if schema else 'quote_ident(current_schema())'})"
        f" AND oidvectortypes(proargtypes) <> {literal(but or '-')} ORDER BY oidvectortypes(proargtypes)",
    )


def drop_index(table: str, name: str) -> Step:
    """Takes away the index of that name on the table, wherever in the search path another one has it."""
    return from_catalogue(
        f"no index {name}",
        "SELECT format('DROP INDEX CONCURRENTLY %s', CAST(c.oid AS regclass))"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        f" WHERE i.indrelid = to_regclass({literal(table)}) AND c.relname = {literal(name)}",
        patient=True,
    )


def drop_constraint(table: str, name: str) -> Step:
    """Takes away a constraint that an earlier version of ours had made."""
    return from_catalogue(
        f"no constraint {name}",
        f"SELECT 'ALTER TABLE {table} DROP CONSTRAINT {name}' FROM pg_constraint"
        f" WHERE conrelid = to_regclass({literal(table)}) AND conname = {literal(name)}",
    )


def no_index_over(table: Table, column: str) -> Step:
    """No B-tree holds the column, whose values may be longer than the 2.7 kB that fit into one.

    An index that bears the name of one of ours is left to the step that puts ours in its place.
    """
    ours = (*(index.name for index in table.indexes), *(constraint.name for constraint in table.constraints))
    return from_catalogue(
        f"no index over {table.name}.{column}",
        "SELECT format('DROP INDEX CONCURRENTLY %s', CAST(i.indexrelid AS regclass))"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam"
        f" JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = {literal(column)}"
        f" WHERE i.indrelid = to_regclass({literal(table.name)}) AND m.amname = 'btree'"
        f" AND a.attnum = ANY (i.indkey) AND c.relname NOT IN ({', '.join(map(literal, ours))})"
        " ORDER BY c.relname",
        patient=True,
    )
