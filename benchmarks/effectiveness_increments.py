"""What one more period costs, however long the history is; and how fast its ranking is read."""

import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, text

from benchmarks.live import settle, throwaway_database, throwaway_server
from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness.measuring import measure_periods
from temporal_pipeline.defs.schema.upgrade import upgrade

HISTORY = Path(__file__).with_name("effectiveness_history.sql")
ROWS_PER_ENTITY = 1_000
REPEATS = 15

_ENTITIES = text("SELECT id FROM topics ORDER BY id LIMIT :number")
_PERIOD = text("""
    INSERT INTO analysis_periods (entity_type, entity_id, period_number, period_start, period_end, duration_hours,
                                  status, content_count, summary)
    SELECT entity_type, entity_id, max(period_number) + 1, max(period_end), max(period_end) + interval '1 day', 24,
           'active', 200, ''
    FROM analysis_periods WHERE entity_id = :entity GROUP BY entity_type, entity_id
    RETURNING id
""")
_TASKS = text("""
    INSERT INTO tasks (id, label, priority, status, payload, created_at, started_at, completed_at, retry_count,
                       max_retries, result, period_id)
    SELECT gen_random_uuid(), 'crawler:x', 0, 'completed',
           jsonb_build_object('action', 'search', 'topic_id', CAST(:entity AS uuid), 'query', 'query ' || q),
           p.period_start, p.period_start, p.period_start + interval '20 seconds', 0, 3,
           '{"action": "search", "tweets_found": 10}', p.id
    FROM analysis_periods p, generate_series(1, 20) q WHERE p.id = :period
""")
_CONTENTS = text("""
    INSERT INTO contents (id, task_id, topic_id, platform, platform_content_id, source_url, crawled_at, author_uid,
                          text, hashtags, media_downloaded, metrics, data, analysis_period_id, relevance_score)
    SELECT made.id, t.id, :entity, 'x', made.id::text, '', t.started_at, '1', 'a post', '{}', false, '{}', '{}',
           :period, (abs(hashtext(made.id::text)) % 100) / 100.0
    FROM tasks t, generate_series(1, 10) n, LATERAL (SELECT CAST(md5(t.id::text || n) AS uuid) AS id) made
    WHERE t.period_id = :period
""")
_FREEZE = text("""
    INSERT INTO period_content_snapshots (period_id, content_id, relevance_score)
    SELECT analysis_period_id, id, relevance_score FROM contents WHERE analysis_period_id = :period
""")
_MARK = text(
    "INSERT INTO temporal_pipeline.period_stage (period_id, stage, method) VALUES (:period, 'snapshots', '')"
)
# The fence keeps every column and the order; what a client does with the rows is its own affair.
_ALL = text("SELECT count(*) FROM (SELECT * FROM v_crawl_effectiveness_ranking OFFSET 0) v")
_ONE_ENTITY = text("""
    SELECT count(*) FROM (
        SELECT * FROM v_crawl_effectiveness_ranking WHERE entity_type = 'topic' AND entity_id = :entity OFFSET 0
    ) v
""")
# The same said plainly: every column of the key in its own collation, then all rows in one order.
_PLAINLY = text("""
    SELECT count(*) FROM (
        SELECT e.*, avg(e.effectiveness_score) OVER (
                   PARTITION BY e.entity_type, e.entity_id, e.platform, e.query ORDER BY p.period_number
                   ROWS BETWEEN 2 PRECEDING AND CURRENT ROW
               ) AS recent_avg_effectiveness
        FROM crawl_effectiveness e JOIN analysis_periods p ON p.id = e.period_id AND p.status = 'active'
        ORDER BY recent_avg_effectiveness DESC NULLS LAST, e.created_at DESC OFFSET 0
    ) v
""")


def increments(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Per number of existing rows: median seconds of a period of 20 queries and 200 posts, and of reading."""
    with throwaway_server() as server:
        return [_measured(server, rows) for rows in sizes]


def _measured(server: str, rows: int) -> dict[str, Any]:
    with throwaway_database(server) as database:
        create_legacy_tables(database)
        upgrade(database)
        fill(database, max(rows // ROWS_PER_ENTITY, 1))
        with database.transaction(read_only=True) as connection:
            entities = list(connection.scalars(_ENTITIES, {"number": REPEATS}))
        settle(database)
        # The first run warms up.
        seconds = [measured_period(database, entities[run % len(entities)]) for run in range(REPEATS + 1)][1:]
        one = [
            timed(database, lambda c, entity=entity: c.execute(_ONE_ENTITY, {"entity": entity}))
            for entity in entities * 2
        ]
        return {
            "rows": rows,
            "new_period": statistics.median(seconds),
            "new_period_longest": max(seconds),
            "view_of_one_entity": statistics.median(one),
            "view_of_all": min(timed(database, lambda c: c.execute(_ALL)) for _ in range(3)),
            "view_of_all_said_plainly": min(timed(database, lambda c: c.execute(_PLAINLY)) for _ in range(3)),
        }


def fill(database: Database, entities: int) -> None:
    """Give a migrated database the history of so many topics, 1,000 rows each."""
    with psycopg.connect(libpq_url(database), autocommit=True) as connection:
        with psycopg.ClientCursor(connection) as cursor, connection.transaction():
            cursor.execute(HISTORY.read_bytes(), {"entities": entities})
        connection.execute("VACUUM ANALYZE")


def measured_period(database: Database, entity: uuid.UUID) -> float:
    """Seconds to measure one new period, with linking its tasks."""
    with database.transaction() as connection:
        key = {"entity": entity}
        key |= {"period": connection.execute(_PERIOD, key).scalar_one()}
        for statement in (_TASKS, _CONTENTS, _FREEZE, _MARK):
            connection.execute(statement, key)
    started = time.monotonic()
    report = measure_periods(database, "benchmark")
    seconds = time.monotonic() - started
    assert (report.periods, report.rows_written, report.tasks_linked) == (1, 20, 20), report
    return seconds


def timed(database: Database, work: Callable[[Connection], object]) -> float:
    """Seconds of something that reads."""
    with database.transaction(read_only=True) as connection:
        started = time.monotonic()
        work(connection)
        return time.monotonic() - started
