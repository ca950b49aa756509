"""Examinations of what the role may do."""

from itertools import groupby

from sqlalchemy import Connection

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.schema.apply import for_a_superuser
from temporal_pipeline.defs.schema.definition.model import (
    EXTENSIONS,
    FUNCTIONS,
    LEGACY_TABLES,
    MATERIALIZED_VIEW,
    TABLES,
    VIEWS,
)
from temporal_pipeline.defs.schema.definition.private import PRIVATE_SCHEMA, PRIVATE_TABLES
from temporal_pipeline.defs.schema.definition.repeatable import METRIC_NUMBER, PRIVATE_VIEWS
from temporal_pipeline.operations.doctor.finding import Verdict, fail, ok, warn

queries = Queries(__package__)

OURS = (*(table.name for table in TABLES), *(f"{PRIVATE_SCHEMA}.{name}" for name in PRIVATE_TABLES))
# We alter them, so that only their owner will do.
RELATIONS = (*LEGACY_TABLES, *OURS, *VIEWS, MATERIALIZED_VIEW, *PRIVATE_VIEWS)
ON_THEIR_TABLES = "SELECT, UPDATE, REFERENCES"
ON_OUR_TABLES = "SELECT, INSERT, UPDATE, DELETE"


def search_path(connection: Connection) -> Verdict:
    """What we create lies beside the application's tables."""
    rows = connection.execute(queries["schemas_of_tables"], {"tables": list(LEGACY_TABLES)}).all()
    elsewhere = [row for row in rows if row.schema != row.current]
    if elsewhere:
        role = connection.execute(queries["role"]).one()
        return fail(
            f"new tables would go into schema {elsewhere[0].current or '(none)'}, the application's are elsewhere",
            f"ALTER ROLE {role.role} IN DATABASE {role.database} SET search_path = {elsewhere[0].schema}",
            (f"{row.name} is in schema {row.schema}" for row in elsewhere),
        )
    return ok(f"schema {rows[0].current}")


def right_to_create(connection: Connection) -> Verdict:
    """The tables go into the application's schema; our own schema and the extensions into the database."""
    may = connection.execute(queries["right_to_create"], {"private": PRIVATE_SCHEMA}).one()
    extensions = connection.execute(queries["extensions"], {"names": list(EXTENSIONS)}).all()
    role = connection.execute(queries["role"]).one()
    if not may.in_schema:
        return fail(
            f"{role.role} may not create tables in schema {role.schema}",
            f"as its owner: GRANT CREATE ON SCHEMA {role.schema} TO {role.role}",
        )
    if may.in_private_schema is None and not may.in_database:
        return fail(f"{role.role} may not create a schema in {role.database}", for_a_superuser(connection))
    if may.in_private_schema is False:
        return fail(
            f"{role.role} may not create in schema {PRIVATE_SCHEMA}",
            f"as a superuser: ALTER SCHEMA {PRIVATE_SCHEMA} OWNER TO {role.role}",
        )
    if may.in_database:
        return ok(f"in database {role.database} and schema {role.schema}")
    installed = all(row.is_installed for row in extensions)
    return ok(
        f"in schema {role.schema} and {PRIVATE_SCHEMA}; "
        + ("nothing in the database is left to create" if installed else "extensions: see there")
    )


def ownership(connection: Connection) -> Verdict:
    """Only its owner alters a table."""
    rows = connection.execute(
        queries["foreign_owners"],
        {"relations": list(RELATIONS), "functions": [METRIC_NUMBER, *FUNCTIONS]},
    ).all()
    if rows:
        role = connection.execute(queries["role"]).one().role
        owners = sorted({row.owner for row in rows})
        by_owner = groupby(sorted(rows, key=lambda row: row.owner), key=lambda row: row.owner)
        return fail(
            f"{len(rows)} tables, views or functions that a migration alters belong to others than {role}",
            f"run it as {owners[0]}"
            if len(owners) == 1
            else f"as a superuser: GRANT {', '.join(owners)} TO {role}",
            (f"of {owner}: {', '.join(row.name for row in owned)}" for owner, owned in by_owner),
        )
    return ok("all tables that a migration alters are ours")


def table_rights(connection: Connection) -> Verdict:
    """An owner may have taken rights away from itself."""
    wanted = dict.fromkeys(LEGACY_TABLES, ON_THEIR_TABLES) | dict.fromkeys(
        (*OURS, "alembic_version"), ON_OUR_TABLES
    )
    rows = connection.execute(
        queries["missing_rights"], {"tables": list(wanted), "privileges": list(wanted.values())}
    ).all()
    if rows:
        role = connection.execute(queries["role"]).one().role
        return fail(
            f"{role} may not do on {len(rows)} tables what the pipeline does",
            "; ".join(f"GRANT {row.privileges} ON {row.name} TO {role}" for row in rows),
        )
    return ok("reads and writes what it has to")


def sees_other_sessions(connection: Connection) -> Verdict:
    """Who blocks a migration can only be named, and waited for, where it is shown."""
    if connection.scalar(queries["sees_others"]):
        return ok("sessions of all roles are shown")
    role = connection.execute(queries["role"]).one().role
    return warn(
        f"sessions of other roles are hidden from {role}: long transactions of theirs go unnoticed",
        f"as a superuser: GRANT pg_read_all_stats TO {role}",
    )
