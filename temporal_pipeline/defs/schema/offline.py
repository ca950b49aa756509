# ruff: noqa: S608 - the SQL is made of names that stand in our own model.
"""What `alembic … --sql` writes: a script for psql that decides by the catalogue of the database it runs on."""

from collections.abc import Iterable

from temporal_pipeline.database import LOCK_SPACE
from temporal_pipeline.defs.schema.apply import is_true
from temporal_pipeline.defs.schema.definition.literals import literal
from temporal_pipeline.defs.schema.definition.model import HEAD, LEGACY_TABLES, REVISIONS
from temporal_pipeline.defs.schema.definition.revisions import objects_present
from temporal_pipeline.defs.schema.definition.steps import Step


def preamble(lock: str, *, upgrading: bool) -> str:
    """Stop at the first error, wait for no lock longer than 1 s, and refuse what a live run would refuse:
    a database that is not Crosshot's, a second run at the same time, a revision that is none of ours.
    """
    wanted = ", ".join(f"({literal(name)})" for name in LEGACY_TABLES)
    ours = ", ".join(map(literal, REVISIONS))
    if upgrading:
        foreign = f"NOT {is_true(objects_present())}"
        refusal = "is none of ours, and the temporal schema is not complete"
        hint = f"let the application''s own migrations bring the database to {HEAD} first"
    else:
        foreign = "true"
        refusal = "is none of ours: the application has migrated on"
        hint = "downgrade with the application''s own migrations first"
    return f"""\\set ON_ERROR_STOP on
SET statement_timeout = 0;
SET lock_timeout = '1s';
SET client_min_messages = warning;

DO $refuse$
DECLARE missing text;
BEGIN
    SELECT string_agg(name, ', ') INTO missing
    FROM (VALUES {wanted}) AS wanted (name) WHERE to_regclass(name) IS NULL;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'this is not a Crosshot database: it has no %', missing;
    END IF;
    IF NOT pg_try_advisory_lock({LOCK_SPACE}, hashtext({literal(lock)})) THEN
        RAISE EXCEPTION 'another run already works on the schema';
    END IF;
END $refuse$;

CREATE TABLE IF NOT EXISTS alembic_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

DO $refuse$
DECLARE unknown text;
BEGIN
    SELECT string_agg(version_num, ', ') INTO unknown
    FROM alembic_version WHERE version_num NOT IN ({ours});
    IF unknown IS NOT NULL AND {foreign} THEN
        RAISE EXCEPTION 'alembic_version holds %, which {refusal}', unknown
            USING HINT = '{hint}';
    END IF;
END $refuse$;"""


def script(steps: Iterable[Step]) -> str:
    """The steps for psql: what is there already is decided when the script runs."""
    return "\n\n".join(f"-- {step.name}\n{_scripted(step)}" for step in steps)


def _scripted(step: Step) -> str:
    if step.from_catalogue or step.patient:
        query = step.statement
        if not step.from_catalogue:
            query = f"SELECT $ddl${step.statement}$ddl$ WHERE NOT {is_true(step.done)}"
        waiting = "SET lock_timeout = 0;\n", "\nSET lock_timeout = '1s';"
        before, after = waiting if step.patient else ("", "")
        return f"{before}{query}\n\\gexec{after}"
    return f"DO $step$ BEGIN\nIF NOT {is_true(step.done)} THEN\n{step.statement};\nEND IF;\nEND $step$;"


def record_upgrade(revision: str) -> str:
    """Note that `revision` is reached; a database that is there already, or beyond, is not moved back."""
    earlier = REVISIONS[: REVISIONS.index(revision)]
    statements = [
        f"INSERT INTO alembic_version SELECT {literal(revision)} WHERE NOT EXISTS (SELECT FROM alembic_version);"
    ]
    if earlier:
        statements.append(
            f"UPDATE alembic_version SET version_num = {literal(revision)}"
            f" WHERE version_num IN ({', '.join(map(literal, earlier))});"
        )
    return "\n".join(statements)


def record_downgrade(revision: str) -> str:
    """Note that `revision` is undone."""
    position = REVISIONS.index(revision)
    if position == 0:
        return f"DELETE FROM alembic_version WHERE version_num = {literal(revision)};"
    return (
        f"UPDATE alembic_version SET version_num = {literal(REVISIONS[position - 1])}"
        f" WHERE version_num = {literal(revision)};"
    )
