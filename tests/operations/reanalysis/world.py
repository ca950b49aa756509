"""A topic with a burst that is not over yet, as updates leave it; and what a database holds, without ids."""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness.measuring import measure_periods
from temporal_pipeline.defs.events.searching import detect_events
from temporal_pipeline.defs.periods.reanalysis import period_called
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from temporal_pipeline.defs.trends.refreshing import refresh_view
from temporal_pipeline.entities import Entity
from temporal_pipeline.operations.reanalysis import Reanalysis, reanalyse_period
from tests.crosshot_rows import add_content, add_topic, add_user, at
from tests.defs.events.world import BURST, crawl_hour
from tests.defs.events.world import rows as write
from tests.defs.periods.world import cut, rows
from tests.query.world import insert

NOTE = "Ask the operators in spring."


@dataclass(frozen=True)
class World:
    """A topic with Periods 0 and 1, and a user who shares posts of the first."""

    topic: Entity
    user: Entity


def make_world(database: Database) -> World:
    """A burst in hour 20 that goes on, Period 0 until hour 22, Period 1 until hour 24, and a person's open note."""
    with database.transaction() as connection:
        topic, user = add_topic(connection), add_user(connection)
        for hour in range(22):
            if hour == BURST:
                crawl_hour(
                    connection, hour, 30, topic=topic, words="an outage of everything", likes=range(30)
                )
            else:
                crawl_hour(connection, hour, 2, topic=topic)
        add_content(connection, topic=topic, user=user, crawled_at=at(3.5))
    update(database)
    with database.transaction() as connection:
        for hour in (22, 23):
            crawl_hour(connection, hour, 2, topic=topic)
    update(database)
    add_note(database, topic)
    return World(Entity("topic", topic, "AI agents"), Entity("user", user, "ada"))


def add_note(database: Database, topic: uuid.UUID, number: int = 0) -> uuid.UUID:
    """A person's observation, of the present state of a period."""
    [period] = rows(
        database,
        "SELECT id FROM analysis_periods WHERE entity_id = :topic AND period_number = :number AND status = 'active'",
        topic=topic,
        number=number,
    )
    with database.transaction() as connection:
        return insert(
            connection,
            "temporal_events",
            {
                "period_id": period.id,
                "entity_type": "topic",
                "entity_id": topic,
                "event_type": "observation",
                "title": NOTE,
                "description": "",
                "first_detected_at": at(21),
            },
        )


def update(database: Database) -> None:
    """All stages, once."""
    run_id = uuid.uuid4().hex
    assert cut(database).failed == []
    write(database, "UPDATE temporal_pipeline.prepared_content SET note = 'made by a test'")
    assert freeze_periods(database, run_id).failed == []
    assert measure_periods(database, run_id).failed == []
    assert detect_events(database, run_id).failed == []
    refresh_view(database)


def again(
    database: Database, entity: Entity, number: int = 0, reason: str = "again", **options: Any
) -> Reanalysis:
    """A period analysed again, as the verb does it."""
    with database.transaction(read_only=True) as connection:
        period = period_called(connection, entity, str(number))
    return reanalyse_period(database, entity, period.id, reason, uuid.uuid4().hex, **options)


# Periods by owner, number and their place in the chain of those that were superseded.
_STATES = """
    WITH RECURSIVE state AS (
        SELECT p.id, p.superseded_by, concat_ws(' ', p.entity_type, p.period_number, 'state', 0) AS name, 0 AS place
        FROM analysis_periods p
        WHERE NOT EXISTS (SELECT FROM analysis_periods old WHERE old.superseded_by = p.id)
        UNION ALL
        SELECT p.id, p.superseded_by, concat_ws(' ', p.entity_type, p.period_number, 'state', place + 1), place + 1
        FROM state JOIN analysis_periods p ON p.id = state.superseded_by
    )
"""
_CONTENT = {
    "periods": """
        SELECT name, status, supersession_reason, content_count, p.metrics, p.metrics_delta, summary, insights,
               cardinality(tasks_dispatched), tasks_summary, completeness_score, knowledge_doc
        FROM state JOIN analysis_periods p USING (id)
    """,
    "members": """
        SELECT name, content_id, text_snapshot, s.relevance_score, contribution_type
        FROM period_content_snapshots s JOIN state ON state.id = s.period_id
    """,
    "contents": "SELECT c.id, name FROM contents c LEFT JOIN state ON state.id = c.analysis_period_id",
    "tasks": """
        SELECT t.id, state.name, home.name AS measured, e.query FROM tasks t LEFT JOIN state ON state.id = t.period_id
        LEFT JOIN crawl_effectiveness e ON e.id = t.effectiveness_id LEFT JOIN state home ON home.id = e.period_id
    """,
    "events": """
        SELECT name, v.title, v.description, v.severity, v.metadata->>'state', v.metadata->>'key',
               v.metadata->>'onset', v.resolved_at IS NULL, v.resolution_note, v.first_detected_at,
               (SELECT array_agg(k.content_id ORDER BY k.content_id) FROM event_contents k WHERE k.event_id = v.id),
               jsonb_array_length(v.metadata->'history')
        FROM temporal_events v JOIN state ON state.id = v.period_id
    """,
    "effectiveness": """
        SELECT name, platform, query, total_found, relevant_count, e.effectiveness_score, recommendations
        FROM crawl_effectiveness e JOIN state ON state.id = e.period_id
    """,
    "accounts": """
        SELECT entity_type, platform, normal_form, periods, runs, contents, score, verdict
        FROM temporal_pipeline.query_effectiveness
    """,
    "hours": """
        SELECT name, hour, posts, approvals FROM temporal_pipeline.period_hour h JOIN state ON state.id = h.period_id
    """,
    "stages": """
        SELECT name, stage, method, unmeasured
        FROM temporal_pipeline.period_stage s JOIN state ON state.id = s.period_id
    """,
    "cuts": """
        SELECT c.kind, c.finished_at IS NULL, name FROM temporal_pipeline.cut c
        JOIN temporal_pipeline.period_cut k ON k.cut_id = c.id JOIN state ON state.id = k.period_id
    """,
    "counters": """
        SELECT total_periods, current_period_number, state.name FROM topics JOIN state ON state.id = last_period_id
    """,
    "view": "SELECT entity_type, period_number, metrics, prev_metrics FROM mv_period_metrics_trend",
    "problems": "SELECT stage, reason FROM temporal_pipeline.problem",
}


def content(database: Database) -> dict[str, list[str]]:
    """Everything that the pipeline has written, ids of its own and times of recording left out."""
    return {
        what: sorted(str(tuple(row)) for row in rows(database, _STATES + sql))
        for what, sql in _CONTENT.items()
    }


def events_of(database: Database, entity: Entity) -> list[Row[Any]]:
    """All events, with the status and number of their period."""
    return rows(
        database,
        "SELECT v.*, p.status, p.period_number FROM temporal_events v JOIN analysis_periods p ON p.id = v.period_id "
        "WHERE v.entity_id = :id ORDER BY v.created_at, v.id",
        id=entity.id,
    )
