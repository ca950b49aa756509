"""Examinations of the server and the database as a whole."""

from sqlalchemy import Connection

from temporal_pipeline.database import OLDEST_SERVER, Queries
from temporal_pipeline.defs.schema.apply import for_a_superuser
from temporal_pipeline.defs.schema.definition.model import EXTENSIONS
from temporal_pipeline.operations.doctor.finding import Verdict, fail, ok, warn

queries = Queries(__package__)

# The newest version that the tests run on.
NEWEST_SERVER = 18
ENCODING = "UTF8"
CHINESE_TEXT = "人工智能"
# A run holds its lock, its work and Dagster's three or so at the same time.
CONNECTIONS_NEEDED = 5
# What a run's longest statement or transaction may take on a large database, and its computing in between.
SHORTEST_TIME_LIMITS_SECONDS = {
    "statement_timeout": 60,
    "transaction_timeout": 60,
    "idle_in_transaction_session_timeout": 10,
}


def version_verdict(version: int) -> Verdict:
    """`version` as 180003 for 18.3."""
    major, minor = divmod(version, 10_000)
    found = f"PostgreSQL {major}.{minor}"
    if major < OLDEST_SERVER:
        return fail(f"{found} is too old", f"use PostgreSQL {OLDEST_SERVER} to {NEWEST_SERVER}")
    if major > NEWEST_SERVER:
        return warn(
            f"{found} is newer than any that the pipeline was tested on",
            f"try a migration on a copy first; tested are {OLDEST_SERVER} to {NEWEST_SERVER}",
        )
    return ok(found)


def encoding_verdict(encoding: str) -> Verdict:
    """Texts of all languages need an encoding that has their letters."""
    if encoding == ENCODING:
        return ok(encoding)
    return fail(
        f"the database's encoding is {encoding}",
        f"dump it, create a database with ENCODING '{ENCODING}' TEMPLATE template0, and restore into that",
    )


def writable(connection: Connection) -> Verdict:
    """A standby or a read-only default lets nobody migrate."""
    state = connection.execute(queries["writability"]).one()
    if state.is_standby:
        return fail("the server is a standby, which only reads", "set DATABASE_URL to the primary")
    if state.is_read_only:
        role = connection.execute(queries["role"]).one()
        return fail(
            "default_transaction_read_only is on",
            f"ALTER DATABASE {role.database} RESET default_transaction_read_only; "
            f"ALTER ROLE {role.role} RESET default_transaction_read_only; or the same in postgresql.conf",
        )
    return ok("the server takes writes")


def extensions(connection: Connection) -> Verdict:
    """Both are installed where they are found, or can be."""
    rows = connection.execute(queries["extensions"], {"names": list(EXTENSIONS)}).all()
    missing = [row.name for row in rows if not row.is_installed and not row.is_available]
    if missing:
        return fail(
            f"the server does not know {' and '.join(missing)}",
            "install PostgreSQL's contrib modules on the server (package postgresql-contrib)",
        )
    hidden = [row for row in rows if row.is_installed and not row.is_visible]
    if hidden:
        schema = connection.execute(queries["role"]).one().schema
        return fail(
            "; ".join(f"{row.name} is in schema {row.schema}, which is not in search_path" for row in hidden),
            "; ".join(f"ALTER EXTENSION {row.name} SET SCHEMA {schema}" for row in hidden),
        )
    refused = [row.name for row in rows if not row.is_installed and not row.is_creatable]
    if refused:
        return fail(f"we may not create {' and '.join(refused)}", for_a_superuser(connection))
    return ok(
        ", ".join(f"{row.name} {'installed' if row.is_installed else 'can be created'}" for row in rows)
    )


def chinese_trigrams(connection: Connection) -> Verdict:
    """Where Chinese characters are no letters, similar Chinese queries are not found."""
    ctype = connection.scalar(queries["ctype"])
    [trigram_extension] = connection.execute(queries["extensions"], {"names": ["pg_trgm"]}).all()
    if trigram_extension.is_visible:
        trigrams = connection.scalar(queries["trigrams"], {"sample": CHINESE_TEXT})
        if trigrams:
            return ok(f"{trigrams} trigrams in {CHINESE_TEXT}, ctype {ctype}")
    elif ctype not in ("C", "POSIX"):
        return ok(f"expected with ctype {ctype}; pg_trgm is not there yet")
    return warn(
        f"ctype {ctype} has no Chinese letters: the similarity of Chinese texts is 0",
        "dump the database, create one with LC_CTYPE 'C.UTF-8' TEMPLATE template0, and restore into that",
    )


def free_connections(connection: Connection) -> Verdict:
    """The pipeline needs a few connections at once."""
    free = connection.execute(queries["free_connections"]).one()
    limits = {
        "max_connections of the server": free.on_server,
        "CONNECTION LIMIT of the database": free.in_database,
        "CONNECTION LIMIT of the role": free.of_role,
    }
    tightest = min((left, limit) for limit, left in limits.items() if left is not None)
    if tightest[0] < CONNECTIONS_NEEDED:
        return fail(
            f"{max(tightest[0], 0)} connections are free, {CONNECTIONS_NEEDED} are needed",
            f"end connections that nobody needs, or raise {tightest[1]}",
        )
    return ok(f"{tightest[0]} more allowed")


def lock_table(connection: Connection) -> Verdict:
    """pg_dump locks every table and sequence in one transaction."""
    row = connection.execute(queries["lock_table"]).one()
    if row.relations > row.locks // 2:
        enough = row.per_transaction * (1 + 2 * row.relations // row.locks)
        return warn(
            f"{row.relations} relations to dump, and room for {row.locks} locks, which others need too",
            f"ALTER SYSTEM SET max_locks_per_transaction = {enough}; then restart the server",
        )
    return ok(f"room for {row.locks} locks, {row.relations} relations to dump")


def time_limits(connection: Connection) -> Verdict:
    """A migration sets its own limits; the other runs live with those of their role."""
    names = list(SHORTEST_TIME_LIMITS_SECONDS)
    rows = connection.execute(queries["time_limits"], {"names": names}).all()
    tight = [row for row in rows if row.milliseconds < 1000 * SHORTEST_TIME_LIMITS_SECONDS[row.name]]
    if tight:
        role = connection.execute(queries["role"]).one()
        return warn(
            ", ".join(f"{row.name} is {row.milliseconds} ms" for row in tight)
            + ": longer steps of a run would be cancelled",
            "; ".join(
                f"ALTER ROLE {role.role} IN DATABASE {role.database} SET {row.name} = '10min'"
                for row in tight
            ),
        )
    return ok(", ".join(f"{row.name} {row.milliseconds // 1000} s" for row in rows) or "none that matter")
