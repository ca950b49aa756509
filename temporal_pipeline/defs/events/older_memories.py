"""What the application's older memories hold, alerts and analysis notes, becomes events of Period 0, once."""

from sqlalchemy import Connection, text

from temporal_pipeline.defs.events.reading import queries

_IS_THERE = text("SELECT to_regclass(CAST(:table AS text)) IS NOT NULL")


def remember_older_memories(connection: Connection) -> int:
    """Turn alerts and notes that are not events yet into some. Returns how many became one.

    Some databases have these tables, some don't. What belongs to an entity without a Period 0 waits for it.
    """
    return sum(
        connection.execute(queries[query]).rowcount
        for table, query in (
            ("public.alerts", "remember_alerts"),
            ("public.analysis_notes", "remember_notes"),
        )
        if connection.scalar(_IS_THERE, {"table": table})
    )
