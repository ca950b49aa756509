"""Examinations of the application's tables, and of ours beside them."""

from sqlalchemy import Connection

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.schema.definition.model import LEGACY_TABLES, TABLES
from temporal_pipeline.defs.schema.definition.private import PRIVATE_SCHEMA, PRIVATE_TABLES
from temporal_pipeline.defs.schema.upgrade import refuse_foreign_database
from temporal_pipeline.operations.doctor.finding import Verdict, fail, ok, warn

queries = Queries(__package__)

THEIRS = {"tables": list(LEGACY_TABLES)}
ALL = {
    "tables": [
        *LEGACY_TABLES,
        *(table.name for table in TABLES),
        *(f"{PRIVATE_SCHEMA}.{name}" for name in PRIVATE_TABLES),
    ]
}
KINDS = {"p": "partitioned", "v": "a view", "m": "a materialized view", "f": "a foreign table"}

# The columns that the pipeline reads, with their types; where the application may as well have another type
# of the same family, the family's first one.
_FAMILIES = {
    "text": ("text", "character varying", "character"),
    "text[]": ("text[]", "character varying[]"),
    "integer": ("integer", "smallint", "bigint"),
}
_ENTITY = {
    "id": "uuid",
    "name": "text",
    "config": "jsonb",
    "status": "text",
    "total_contents": "integer",
    "last_crawl_at": "timestamp with time zone",
    "last_summary": "text",
    "summary_data": "jsonb",
}
COLUMNS_READ = {
    "topics": _ENTITY | {"keywords": "text[]"},
    "users": _ENTITY | {"username": "text"},
    "contents": {
        "id": "uuid",
        "task_id": "uuid",
        "topic_id": "uuid",
        "user_id": "uuid",
        "platform": "text",
        "platform_content_id": "text",
        "source_url": "text",
        "crawled_at": "timestamp with time zone",
        "author_uid": "text",
        "author_username": "text",
        "text": "text",
        "hashtags": "text[]",
        "processing_status": "text",
        "media_downloaded": "boolean",
        "key_points": "jsonb",
        "metrics": "jsonb",
        "data": "jsonb",
    },
    "tasks": {
        "id": "uuid",
        "label": "text",
        "status": "text",
        "payload": "jsonb",
        "created_at": "timestamp with time zone",
        "started_at": "timestamp with time zone",
        "completed_at": "timestamp with time zone",
        "result": "jsonb",
    },
    "chat_messages": {
        "entity_type": "text",
        "entity_id": "uuid",
        "role": "text",
        "content": "text",
        "created_at": "timestamp with time zone",
    },
    "content_media": {"content_id": "uuid"},
}


def crosshot_database(connection: Connection) -> Verdict:
    """Without the application's tables this is some other database."""
    refuse_foreign_database(connection)
    return ok("the application's tables are here")


def plain_tables(connection: Connection) -> Verdict:
    """Foreign keys and indexes CONCURRENTLY need ordinary tables, and our writes must arrive in them."""
    oddities = []
    for row in connection.execute(queries["shapes"], THEIRS):
        if row.kind in KINDS:
            oddities.append(f"{row.name} is {KINDS[row.kind]}")
        elif row.has_relatives:
            oddities.append(f"{row.name} inherits or is inherited from")
        if row.is_unlogged:
            oddities.append(f"{row.name} is unlogged")
        oddities += [f"rule {rule} of {row.name} changes what is written" for rule in row.rules]
    if oddities:
        return fail(
            "a migration cannot work on these tables",
            "ALTER TABLE … SET LOGGED; ALTER TABLE … NO INHERIT …; DROP RULE … ON …; a partitioned table or "
            "a view has to be replaced by an ordinary table",
            oddities,
        )
    return ok("ordinary tables, all of them")


def application_columns(connection: Connection) -> Verdict:
    """What the pipeline reads is there, in a type that it understands."""
    columns_found = connection.execute(queries["columns"], {"tables": list(COLUMNS_READ)})
    found = {(row.table_name, row.name): row.type for row in columns_found}
    wrong = []
    for table, columns in COLUMNS_READ.items():
        for column, type_ in columns.items():
            actual = found.get((table, column))
            if actual is None:
                wrong.append(f"{table}.{column} {type_} is missing")
            elif actual not in _FAMILIES.get(type_, (type_,)):
                wrong.append(f"{table}.{column} is {actual}, not {type_}")
    wrong += [
        f"{row.name}.id has neither primary key nor unique index"
        for row in connection.execute(queries["without_key"], THEIRS)
    ]
    if wrong:
        return fail(
            f"{len(wrong)} columns are not as the pipeline reads them",
            "bring the application's own schema up to date, or add or convert these columns",
            wrong,
        )
    return ok(f"all {sum(map(len, COLUMNS_READ.values()))} columns that the pipeline reads")


def row_level_security(connection: Connection) -> Verdict:
    """Policies would hide rows from us, and these would never be linked."""
    names = connection.scalars(queries["secured_tables"], THEIRS).all()
    if names:
        role = connection.execute(queries["role"]).one().role
        return fail(
            f"policies hide rows of {', '.join(names)} from {role}",
            f"as a superuser: ALTER ROLE {role} BYPASSRLS",
        )
    return ok("no rows are hidden from us")


def triggers(connection: Connection) -> Verdict:
    """A backfill updates every content once; what hangs on that happens as often."""
    firing = connection.execute(queries["update_triggers"], THEIRS).all()
    unenforced = connection.execute(queries["unenforced_keys"], THEIRS).all()
    details = [f"{row.table_name}: trigger {row.name} fires for each updated row" for row in firing]
    details += [f"{row.table_name}: foreign key {row.name} is not enforced" for row in unenforced]
    remedies = []
    if firing:
        remedies.append(
            "make them AFTER UPDATE OF the columns that they are about, or expect a slower backfill"
        )
    if unenforced:
        tables = dict.fromkeys(row.table_name for row in unenforced)
        remedies.append("; ".join(f"ALTER TABLE {table} ENABLE TRIGGER ALL" for table in tables))
    if details:
        return warn(
            f"{len(firing)} triggers slow down a backfill, {len(unenforced)} foreign keys are switched off",
            "; ".join(remedies),
            details,
        )
    return ok("none that a backfill would fire")


def invalid_indexes(connection: Connection) -> Verdict:
    """A crash during CREATE INDEX CONCURRENTLY leaves an index that costs time and serves nobody."""
    rows = connection.execute(queries["invalid_indexes"], ALL).all()
    if rows:
        return warn(
            f"{len(rows)} indexes are invalid",
            "; ".join(f"REINDEX INDEX CONCURRENTLY {row.name}" for row in rows)
            + "; a migration replaces those that are its own",
            (f"{row.name} on {row.table_name}" for row in rows),
        )
    return ok("none")


def unvalidated_constraints(connection: Connection) -> Verdict:
    """What was not validated may not hold for old rows."""
    rows = connection.execute(queries["unvalidated_constraints"], ALL).all()
    if rows:
        return warn(
            f"{len(rows)} constraints were not validated",
            "; ".join(f"ALTER TABLE {row.table_name} VALIDATE CONSTRAINT {row.name}" for row in rows)
            + "; a migration does so for those that are its own",
            (f"{row.name} of {row.table_name}" for row in rows),
        )
    return ok("none")
