# ruff: noqa: S608 - the SQL is made of names that stand in our own model.
"""Steps that take something away."""

from temporal_pipeline.defs.schema.definition.steps import Step, Table, from_catalogue, literal


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
        f" AND pronamespace = to_regnamespace({literal(schema) if schema else 'current_schema()'})"
        f" AND oidvectortypes(proargtypes) <> {literal(but or '-')}",
    )


def drop_index(name: str) -> Step:
    return Step(
        f"no index {name}",
        f"DROP INDEX CONCURRENTLY {name}",
        f"to_regclass({literal(name)}) IS NULL",
        patient=True,
    )


def no_index_over(table: str, column: str) -> Step:
    """No B-tree holds the column, whose values may be longer than the 2.7 kB that fit into one."""
    return from_catalogue(
        f"no index over {table}.{column}",
        "SELECT format('DROP INDEX CONCURRENTLY %s', CAST(i.indexrelid AS regclass))"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam"
        f" JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = {literal(column)}"
        f" WHERE i.indrelid = to_regclass({literal(table)}) AND m.amname = 'btree'"
        " AND a.attnum = ANY (i.indkey)",
        patient=True,
    )
