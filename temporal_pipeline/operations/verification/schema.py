"""Claims about the schema: true as soon as it is migrated, before there is any period."""

import re
import uuid
from functools import cache
from importlib import resources

from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.schema.apply import holds
from temporal_pipeline.defs.schema.definition.model import (
    ALTERED_TABLES,
    EXTENSIONS,
    FUNCTIONS,
    HEAD,
    LEGACY_TABLES,
    MATERIALIZED_VIEW,
    REVISIONS,
    TABLES,
    VIEWS,
)
from temporal_pipeline.defs.schema.definition.private import PRIVATE_SCHEMA, PRIVATE_TABLES
from temporal_pipeline.defs.schema.definition.repeatable import PRIVATE_VIEWS
from temporal_pipeline.defs.schema.definition.revisions import objects_present
from temporal_pipeline.defs.schema.definition.steps import relation_exists
from temporal_pipeline.defs.schema.upgrade import current_revision, schema_state
from temporal_pipeline.operations.verification.claims import Examination, Finding, claim, one_line, queries

NEW_TABLES = tuple(table.name for table in TABLES)
WORKING_TABLES = tuple(f"{PRIVATE_SCHEMA}.{name}" for name in PRIVATE_TABLES)
MIGRATE = "run `temporal-pipeline migrate`"
# The function that writes is asked in a transaction of its own; the others in that of all claims.
WRITING_FUNCTION = "recompute_metrics_delta"
CHINESE = "人工智能"
NOBODY = {"entity_type": "topic", "entity_id": uuid.UUID(int=0), "period_number": 0}


def data_can_be_read(connection: Connection) -> bool:
    """Whether there is everything by name that tells of periods, however it is defined."""
    names = (*WORKING_TABLES, *PRIVATE_VIEWS)
    return holds(connection, " AND ".join((objects_present(), *map(relation_exists, names))))


@cache
def columns_of_the_application() -> tuple[str, ...]:
    """Every `table.column` that the application's own tables have."""
    script = resources.files("temporal_pipeline.crosshot").joinpath("legacy.sql").read_text(encoding="utf-8")
    tables = re.findall(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\);", script, flags=re.DOTALL)
    return tuple(
        f"{table}.{column}"
        for table, body in tables
        for column in re.findall(r"^    ([a-z_]+) ", body, flags=re.MULTILINE)
    )


@claim(
    "Every column of the application's own tables is still there.",
    "check the database's name in DATABASE_URL; if it is the right one, go back to the backup: "
    "`temporal-pipeline rollback --restore FILE`",
)
def no_column_of_the_application_is_lost(examination: Examination) -> Finding:
    columns = columns_of_the_application()
    lost = examination.rows("lost_columns", columns=list(columns), required_tables=list(LEGACY_TABLES))
    return Finding(lost, {"columns": len(columns)})


@claim(f"alembic_version says {HEAD}, or a later revision of the application.", MIGRATE)
def revision_is_at_head(examination: Examination) -> Finding:
    revision = current_revision(examination.connection)
    behind = revision is None or any(part in REVISIONS[:-1] for part in revision.split(", "))
    shown = revision or "none, this is a legacy database"
    return Finding([{"revision": shown, "head": HEAD}] if behind else [], note=f"revision {shown}")


@claim(
    "Every table, column, default, constraint, index, view and function is as defined.",
    MIGRATE,
)
def schema_is_as_defined(examination: Examination) -> Finding:
    pending = schema_state(examination.connection).pending
    return Finding([{"differs": name} for name in pending])


@claim(
    f"The extensions {' and '.join(EXTENSIONS)} are installed.",
    f"{MIGRATE}; without the right to, let an administrator run CREATE EXTENSION for each",
)
def extensions_are_installed(examination: Examination) -> Finding:
    missing = examination.rows("missing_extensions", names=list(EXTENSIONS))
    return Finding(missing, {"extensions": len(EXTENSIONS)})


@claim(
    "No index of a table that we work on is unusable.",
    f"for an index of ours {MIGRATE}; for another one: REINDEX INDEX CONCURRENTLY its name",
)
def no_index_is_invalid(examination: Examination) -> Finding:
    tables = [*LEGACY_TABLES, *NEW_TABLES, *WORKING_TABLES, MATERIALIZED_VIEW]
    return Finding(examination.rows("invalid_indexes", tables=tables))


@claim(
    "Every constraint of ours is known to hold for old rows as well.",
    f"{MIGRATE}; for a constraint of the application: ALTER TABLE its table VALIDATE CONSTRAINT its name",
)
def every_constraint_is_validated(examination: Examination) -> Finding:
    names = [constraint.name for table in (*TABLES, *ALTERED_TABLES) for constraint in table.constraints]
    unvalidated = examination.rows(
        "unvalidated_constraints",
        tables=[*LEGACY_TABLES, *NEW_TABLES, *WORKING_TABLES],
        our_tables=[*NEW_TABLES, *WORKING_TABLES],
        our_names=names,
    )
    return Finding(unvalidated, {"constraints": len(names)})


@claim(
    "The owner of contents, as whom the application works, may read and write the new tables.",
    "run GRANT SELECT, INSERT, UPDATE, DELETE ON the table TO the role, or give it the table with "
    "ALTER TABLE … OWNER TO",
)
def the_application_may_use_the_new_tables(examination: Examination) -> Finding:
    return Finding(examination.rows("missing_privileges", tables=list(NEW_TABLES)), only_warns=True)


@claim("The three views answer.", MIGRATE)
def views_answer(examination: Examination) -> Finding:
    return _answers(examination, VIEWS)


@claim("The four functions answer.", MIGRATE)
def functions_answer(examination: Examination) -> Finding:
    return _answers(examination, tuple(FUNCTIONS))


def _answers(examination: Examination, names: tuple[str, ...]) -> Finding:
    """Ask each for a topic or user that has a period, if there is one."""
    entity = examination.first("an_entity")
    asked = NOBODY if entity is None else dict(entity._mapping)
    silent = []
    not_ours = []
    for name in names:
        try:
            if name == WRITING_FUNCTION:
                with examination.database.transaction() as connection:
                    connection.execute(queries[name])
            else:
                with examination.connection.begin_nested():
                    examination.connection.execute(queries[name], asked).all()
        except DBAPIError as error:
            if isinstance(error.orig, InsufficientPrivilege | ReadOnlySqlTransaction):
                not_ours.append(name)
            else:
                silent.append({"name": name, "error": one_line(error)})
    note = f"this role may not ask {', '.join(not_ours)}" if not_ours else ""
    return Finding(silent, {"asked": len(names) - len(not_ours)}, note)


@claim(
    f"{MATERIALIZED_VIEW} was filled, so that it can be read.",
    f"run `temporal-pipeline update`, whose last step fills it; if it is missing, {MIGRATE}",
)
def trend_view_is_populated(examination: Examination) -> Finding:
    never_filled = examination.rows("never_populated", Queries("temporal_pipeline.defs.trends"))
    missing = not holds(examination.connection, relation_exists(MATERIALIZED_VIEW))
    return Finding([{"view": MATERIALIZED_VIEW, "reason": "is missing"}] if missing else never_filled)


@claim(
    "The server sees trigrams in Chinese text, without which no similar query in Chinese is ever found.",
    "create the database with LC_CTYPE C.UTF-8 or another UTF-8 locale, and restore into it",
)
def trigrams_work_for_chinese(examination: Examination) -> Finding:
    schema = Queries("temporal_pipeline.defs.schema")
    if not examination.connection.scalar(schema["has_trigrams"]):
        return Finding(note="not examined without pg_trgm")
    trigrams = examination.connection.scalar(schema["trigrams_of"], {"sample": CHINESE}) or []
    return Finding([] if trigrams else [{"sample": CHINESE}], {"trigrams": len(trigrams)}, only_warns=True)


RULES = (
    no_column_of_the_application_is_lost,
    revision_is_at_head,
    schema_is_as_defined,
    extensions_are_installed,
    no_index_is_invalid,
    every_constraint_is_validated,
    the_application_may_use_the_new_tables,
    views_answer,
    functions_answer,
    trend_view_is_populated,
    trigrams_work_for_chinese,
)
