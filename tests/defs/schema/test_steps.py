"""How the DDL treats a live application: nothing scans or rewrites one of its tables under a strong lock."""

import re

import pytest

from temporal_pipeline.defs.schema.definition import revisions
from temporal_pipeline.defs.schema.definition.model import ALTERED_TABLES, LEGACY_TABLES, TABLES
from temporal_pipeline.defs.schema.definition.steps import (
    Column,
    Index,
    Step,
    Table,
    index_steps,
)
from temporal_pipeline.defs.schema.definition.tables import table_steps

STEPS = revisions.reconcile()
OF_THE_APPLICATION = [
    step for step in STEPS if re.search(rf"\b(ON|TABLE) ({'|'.join(LEGACY_TABLES)})\b", step.statement)
]


def test_there_are_statements_to_look_at() -> None:
    assert len(OF_THE_APPLICATION) > 40


def test_indexes_on_existing_tables_are_built_and_dropped_concurrently() -> None:
    begins_so = r"(CREATE (UNIQUE )?|DROP |SELECT format\('DROP )INDEX "
    touching = [step for step in (*STEPS, *revisions.drop_views()) if re.match(begins_so, step.statement)]
    assert len(touching) > 60
    for step in touching:
        assert "INDEX CONCURRENTLY " in step.statement, step.name
        assert step.patient, step.name


def test_constraints_on_existing_tables_are_validated_apart() -> None:
    for step in OF_THE_APPLICATION:
        if "ADD CONSTRAINT" in step.statement and not step.statement.startswith("CREATE TABLE"):
            assert re.search(r" NOT VALID($|')", step.statement), step.name
        if "VALIDATE CONSTRAINT" in step.statement:
            assert step.patient, step.name


@pytest.mark.parametrize("table", ALTERED_TABLES, ids=lambda table: table.name)
def test_columns_are_added_in_one_statement_that_rewrites_nothing(table: Table) -> None:
    [added] = [step for step in table_steps(table) if "ADD COLUMN" in step.statement]
    assert added.statement.count("ADD COLUMN IF NOT EXISTS") == len(table.columns)
    # A volatile default rewrites the table; now() is stable, but old rows would claim it.
    for column in table.columns:
        assert not column.required or column.default.isdecimal()
        assert "(" not in column.definition


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_our_own_new_tables_come_with_their_constraints(table: Table) -> None:
    create = table_steps(table)[0].statement
    assert create.startswith(f"CREATE TABLE {table.name} (")
    assert all(f"CONSTRAINT {constraint.name} " in create for constraint in table.all_constraints)
    assert all(f"INDEX {index.name} ON {table.name} " in create for index in table.indexes)


def test_every_step_has_a_name_of_its_own_within_its_revision() -> None:
    for steps in (
        revisions.create_tables(),
        revisions.add_columns(),
        revisions.create_views(),
        revisions.drop_views(),
    ):
        names = [step.name for step in steps if "valid_relevance_score" not in step.name]
        assert len(names) == len(set(names))


def test_steps_say_what_they_are() -> None:
    column = Column("seen_at", "timestamptz", default="now()", only_new_rows=True)
    assert column.definition == "seen_at timestamptz"
    [_, _, made] = index_steps("contents", Index("idx_seen", "(seen_at)"))
    assert made == Step("index idx_seen", made.statement, made.done, patient=True)
    assert made.statement == "CREATE INDEX CONCURRENTLY idx_seen ON contents (seen_at)"
