"""What the tests of periods look at."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import CutReport, perform_cut
from temporal_pipeline.defs.periods.linking import Cut, link_due
from temporal_pipeline.holding import hold
from tests.crosshot_rows import mark_prepared


def cut(database: Database, **options: Any) -> CutReport:
    """A run of the periods stage by itself, with all contents prepared."""
    with database.transaction() as connection:
        mark_prepared(connection)
    return perform_cut(database, uuid.uuid4().hex, **options)


def rows(database: Database, sql: str, **values: Any) -> list[Row[Any]]:
    with database.transaction(read_only=True) as connection:
        return list(connection.execute(text(sql), values).all())


def periods_of(database: Database, entity: uuid.UUID) -> list[Row[Any]]:
    """All periods of an entity that are not drafts, by number."""
    return rows(
        database,
        "SELECT * FROM analysis_periods WHERE entity_id = :entity AND status <> 'draft' "
        "ORDER BY period_number, created_at",
        entity=entity,
    )


def members(database: Database, period: uuid.UUID) -> set[uuid.UUID]:
    sql = "SELECT content_id FROM temporal_pipeline.period_member WHERE period_id = :period"
    return {row.content_id for row in rows(database, sql, period=period)}


def pointer(database: Database, content: uuid.UUID) -> uuid.UUID | None:
    [row] = rows(database, "SELECT analysis_period_id FROM contents WHERE id = :content", content=content)
    period: uuid.UUID | None = row.analysis_period_id
    return period


def digest(database: Database) -> dict[str, str]:
    """What every table holds, physical row versions included: equal digests mean that nothing was written."""
    tables = rows(
        database,
        "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND n.nspname IN ('public', 'temporal_pipeline')",
    )
    return {
        table.name: rows(
            database,
            f"SELECT md5(coalesce(string_agg(x, ',' ORDER BY x), '')) AS d "
            f"FROM (SELECT ctid::text || xmin::text || t::text AS x FROM {table.name} t) rows",
        )[0].d
        for table in tables
    }


def application_period(
    connection: Connection, topic: uuid.UUID, *, number: int, start: datetime, end: datetime
) -> uuid.UUID:
    """An active period as the application makes it."""
    period: uuid.UUID = connection.execute(
        text(
            "INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, period_number, "
            "duration_hours, summary, content_count) "
            "VALUES ('topic', :topic, :start, :end, :number, 5, 'by the application', 0) RETURNING id"
        ),
        {"topic": topic, "start": start, "end": end, "number": number},
    ).scalar_one()
    return period


def refuse_periods_of(connection: Connection, topic: uuid.UUID) -> None:
    """Make a topic fail: the database lets no period of it become active."""
    connection.execute(
        text(f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.entity_id = '{topic}' AND NEW.status = 'active' THEN
                    RAISE EXCEPTION 'no period for you';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE UPDATE ON analysis_periods FOR EACH ROW EXECUTE FUNCTION refuse();
        """)
    )


def end_session_with_lock(database: Database) -> None:
    """As an administrator or a failover does; returns when it is gone."""
    having = (
        "FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with database.engine.connect() as administrator:
        administrator.execute(text(f"SELECT pg_terminate_backend(pid) {having}"))
        while administrator.execute(text(f"SELECT {having}")).rowcount:
            pass


def link(database: Database, begun: Cut) -> None:
    """The first half of a cut."""
    with hold(database, "periods", 0) as held:
        link_due(held, begun, batch_size=100, workers=2)


def somebody_waits(database: Database) -> bool:
    """Whether a session waits for what another one has changed and not committed yet."""
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(rows(database, waiting))
