# ruff: noqa: S608 - the SQL is made of names that stand in our own model.
"""Which steps each revision takes, up and down, and what reconciling adds once the head is reached."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from temporal_pipeline.defs.schema.definition.extra_indexes import EXTRA_INDEXES
from temporal_pipeline.defs.schema.definition.literals import literal
from temporal_pipeline.defs.schema.definition.model import (
    ALTERED_TABLES,
    EXTENSIONS,
    FUNCTIONS,
    MATERIALIZED_VIEW,
    PERIOD_CONTENT_SNAPSHOTS,
    TABLES,
    VIEWS,
)
from temporal_pipeline.defs.schema.definition.private import PRIVATE_SCHEMA, PRIVATE_TABLES
from temporal_pipeline.defs.schema.definition.removal import (
    drop_columns,
    drop_constraint,
    drop_functions,
    drop_index,
    drop_relation,
    no_index_over,
)
from temporal_pipeline.defs.schema.definition.repeatable import (
    DOCUMENTED,
    METRIC_NUMBER,
    NAMES,
    PRIVATE_VIEW_GROUPS,
    PRIVATE_VIEWS,
    Repeatable,
    repeatable,
    repeatable_steps,
)
from temporal_pipeline.defs.schema.definition.steps import (
    Index,
    Step,
    index_steps,
    qualified,
    relation_exists,
)
from temporal_pipeline.defs.schema.definition.tables import table_steps

_PURPOSE = "Working tables of the temporal pipeline"
_NO_PRIVATE_SCHEMA = f"to_regnamespace({literal(PRIVATE_SCHEMA)}) IS NULL"


def create_tables() -> tuple[Step, ...]:
    """Revision 0100: the extensions and the five tables."""
    extensions = (
        Step(
            f"extension {name}",
            f"CREATE EXTENSION IF NOT EXISTS {name}",
            f"EXISTS (SELECT FROM pg_extension WHERE extname = {literal(name)})",
        )
        for name in EXTENSIONS
    )
    # Where the application made the tables, its index may hold the text itself, whatever it is called.
    no_long_text = no_index_over(PERIOD_CONTENT_SNAPSHOTS, "text_snapshot")
    return (*extensions, *(step for table in TABLES for step in table_steps(table)), no_long_text)


def drop_tables() -> tuple[Step, ...]:
    """Revision 0100 back: the extensions stay, others may use them by now."""
    return tuple(drop_relation("TABLE", table.name) for table in reversed(TABLES))


def add_columns() -> tuple[Step, ...]:
    """Revision 0200: columns, constraints and indexes on the application's tables."""
    return tuple(step for table in ALTERED_TABLES for step in table_steps(table))


def remove_columns() -> tuple[Step, ...]:
    """Revision 0200 back."""
    return tuple(drop_columns(table) for table in reversed(ALTERED_TABLES))


def create_views() -> tuple[Step, ...]:
    """Revision 0300: views and functions, and of our own schema the one function that they use."""
    schema = (
        Step(f"schema {PRIVATE_SCHEMA}", f"CREATE SCHEMA {PRIVATE_SCHEMA}", f"NOT ({_NO_PRIVATE_SCHEMA})"),
        Step(
            f"purpose of schema {PRIVATE_SCHEMA}",
            f"COMMENT ON SCHEMA {PRIVATE_SCHEMA} IS {literal(_PURPOSE)}",
            f"obj_description(to_regnamespace({literal(PRIVATE_SCHEMA)}), 'pg_namespace') = {literal(_PURPOSE)}",
        ),
    )
    texts = (METRIC_NUMBER, *DOCUMENTED)
    return (*schema, *(step for name in texts for step in repeatable_steps(name)))


def _extra_indexes() -> Iterator[tuple[str, Index]]:
    return ((table, index) for table, indexes in EXTRA_INDEXES.items() for index in indexes)


def drop_views() -> tuple[Step, ...]:
    """Revision 0300 back, with everything that reconciling had added.

    Each object by its own name and without CASCADE: what somebody else built on ours stops the downgrade.
    """
    return (
        *(drop_index(table, index.name) for table, index in _extra_indexes()),
        *(drop_relation("VIEW", name) for name in reversed(PRIVATE_VIEWS)),
        *(drop_functions(name) for name in FUNCTIONS),
        drop_functions(METRIC_NUMBER),
        drop_relation("MATERIALIZED VIEW", MATERIALIZED_VIEW),
        *(drop_relation("VIEW", name) for name in reversed(VIEWS)),
        *(drop_relation("TABLE", table.name) for table in reversed(PRIVATE_TABLES.values())),
        Step(f"no schema {PRIVATE_SCHEMA}", f"DROP SCHEMA {PRIVATE_SCHEMA}", _NO_PRIVATE_SCHEMA),
    )


def reconcile() -> tuple[Step, ...]:
    """Everything that a database at head has: the revisions' own steps repair what another hand made."""
    return (
        *create_tables(),
        *add_columns(),
        *create_views(),
        *(step for table in PRIVATE_TABLES.values() for step in table_steps(table)),
        # A run may analyse many periods again, each with a cut of its own; once it could not.
        drop_constraint(PRIVATE_TABLES["cut"].name, "cut_run_id_key"),
        *(step for group in PRIVATE_VIEW_GROUPS for step in repeatable_steps(*group)),
        *(step for table, index in _extra_indexes() for step in index_steps(table, index)),
    )


def objects_present() -> str:
    """SQL condition: every table, column, view and function of the contract exists, however defined."""
    relations = (*(table.name for table in TABLES), *VIEWS, MATERIALIZED_VIEW)
    functions = " AND ".join(f"to_regproc({literal(name)}) IS NOT NULL" for name in FUNCTIONS)
    columns = [
        f"({literal(table.name)}, {literal(column.name)})"
        for table in ALTERED_TABLES
        for column in table.columns
    ]
    return (
        " AND ".join(relation_exists(name) for name in relations)
        + f" AND {functions} AND (SELECT count(*) FROM pg_attribute a"
        f" JOIN (VALUES {', '.join(columns)}) AS wanted (relation, name)"
        f" ON a.attrelid = to_regclass(wanted.relation) AND a.attname = wanted.name) = {len(columns)}"
    )


@dataclass(frozen=True)
class Names:
    """What a database at head has, by name: `table.column` and `table.constraint` for what is in a table."""

    relations: tuple[str, ...]
    columns: tuple[str, ...]
    constraints: tuple[str, ...]
    texts: tuple[Repeatable, ...]


@lru_cache
def names_at_head() -> Names:
    """The names of everything; constraints only where the name is part of the contract."""
    created = (*TABLES, *PRIVATE_TABLES.values())
    tables = (*created, *ALTERED_TABLES)
    indexes = (*((table.name, index) for table in tables for index in table.indexes), *_extra_indexes())
    return Names(
        (
            *(table.name for table in created),
            *(qualified(index.name, like=table) for table, index in indexes),
        ),
        tuple(f"{table.name}.{column.name}" for table in tables for column in table.columns),
        tuple(f"{table.name}.{c.name}" for table in tables for c in table.all_constraints if not c.any_name),
        tuple(repeatable(name) for name in NAMES),
    )


def definition_fingerprint() -> str:
    """Changes whenever the definition of anything in the schema does."""
    return sha256("".join(step.statement for step in reconcile()).encode()).hexdigest()[:8]
