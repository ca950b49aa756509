"""Names, types, defaults and definitions that the Crosshot application and its operators rely on."""

import pytest
from sqlalchemy import Connection, text

# Columns: name, type, then what is not nullable or has a default.
TABLES = {
    "analysis_periods": """
        id uuid default gen_random_uuid() not null
        entity_type character varying(20) not null
        entity_id uuid not null
        period_start timestamp with time zone not null
        period_end timestamp with time zone not null
        analyzed_at timestamp with time zone default now() not null
        period_number integer not null
        duration_hours double precision not null
        status character varying(20) default 'active'::character varying not null
        superseded_by uuid
        supersession_reason text
        content_count integer default 0 not null
        summary text not null
        summary_short text
        insights jsonb default '{}'::jsonb not null
        metrics jsonb default '{}'::jsonb not null
        metrics_delta jsonb default '{}'::jsonb not null
        tasks_dispatched uuid[] default '{}'::uuid[] not null
        tasks_summary jsonb default '{}'::jsonb not null
        chat_summary text
        knowledge_version integer default 1 not null
        knowledge_doc text compression pglz
        knowledge_diff jsonb
        quality_score double precision
        completeness_score double precision
        execution_log jsonb default '{}'::jsonb
        created_at timestamp with time zone default now() not null
        updated_at timestamp with time zone default now() not null
    """,
    "period_content_snapshots": """
        id uuid default gen_random_uuid() not null
        period_id uuid not null
        content_id uuid not null
        contribution_type character varying(32) default 'general'::character varying not null
        relevance_score double precision
        text_snapshot text
        key_points_snapshot jsonb
        created_at timestamp with time zone default now() not null
    """,
    "temporal_events": """
        id uuid default gen_random_uuid() not null
        period_id uuid not null
        entity_type character varying(20) not null
        entity_id uuid not null
        event_type character varying(32) not null
        severity character varying(16) default 'info'::character varying not null
        title character varying(256) not null
        description text not null
        first_detected_at timestamp with time zone not null
        last_updated_at timestamp with time zone default now() not null
        resolved_at timestamp with time zone
        resolution_note text
        metadata jsonb default '{}'::jsonb not null
        created_at timestamp with time zone default now() not null
    """,
    "event_contents": """
        event_id uuid not null
        content_id uuid not null
        relevance_to_event double precision
        added_at timestamp with time zone default now() not null
    """,
    "crawl_effectiveness": """
        id uuid default gen_random_uuid() not null
        period_id uuid not null
        entity_type character varying(20) not null
        entity_id uuid not null
        platform character varying(16) not null
        query text not null
        total_found integer default 0 not null
        relevant_count integer default 0 not null
        high_value_count integer default 0 not null
        effectiveness_score double precision
        avg_relevance double precision
        coverage_ratio double precision
        recommendations text
        created_at timestamp with time zone default now() not null
    """,
    "v_period_timeline": """
        id uuid
        entity_type character varying(20)
        entity_id uuid
        period_number integer
        period_start timestamp with time zone
        period_end timestamp with time zone
        analyzed_at timestamp with time zone
        duration_hours double precision
        status character varying(20)
        content_count integer
        summary_short text
        insights jsonb
        metrics jsonb
        metrics_delta jsonb
        quality_score double precision
        completeness_score double precision
        unresolved_event_count bigint
        crawl_task_count bigint
    """,
    "v_entity_timeline_summary": """
        entity_type character varying(20)
        entity_id uuid
        total_periods bigint
        first_period_start timestamp with time zone
        last_period_end timestamp with time zone
        avg_period_duration double precision
        total_content_across_periods bigint
        avg_quality_score double precision
        avg_completeness_score double precision
    """,
    "v_crawl_effectiveness_ranking": """
        entity_type character varying(20)
        entity_id uuid
        platform character varying(16)
        query text
        effectiveness_score double precision
        total_found integer
        relevant_count integer
        high_value_count integer
        avg_relevance double precision
        created_at timestamp with time zone
        recent_avg_effectiveness double precision
    """,
    "mv_period_metrics_trend": """
        entity_type character varying(20)
        entity_id uuid
        period_number integer
        analyzed_at timestamp with time zone
        metrics jsonb
        metrics_delta jsonb
        prev_metrics jsonb
        prev_prev_metrics jsonb
    """,
}
ENTITY_COLUMNS = """
    current_period_number integer
    last_period_id uuid
    total_periods integer default 0 not null
    first_analysis_at timestamp with time zone
    avg_period_duration_hours double precision
"""
ADDED_COLUMNS = {
    "topics": ENTITY_COLUMNS,
    "users": ENTITY_COLUMNS,
    "contents": """
        analysis_period_id uuid
        published_at timestamp with time zone
        discovered_at timestamp with time zone default now()
        relevance_score double precision
    """,
    "tasks": """
        period_id uuid
        effectiveness_id uuid
        duration_seconds double precision
    """,
    "chat_messages": "period_id uuid",
}
# table → index → what follows USING in its definition, as PostgreSQL prints it
INDEXES = {
    "analysis_periods": {
        "analysis_periods_pkey": "btree (id)",
        "unique_active_period_number": (
            "unique btree (entity_type, entity_id, period_number) WHERE status::text = 'active'::text"
        ),
        "no_overlapping_periods": (
            "gist (entity_type, entity_id, tstzrange(period_start, period_end))"
            " WHERE status::text = 'active'::text"
        ),
        "idx_periods_topic": "btree (entity_id) WHERE entity_type::text = 'topic'::text",
        "idx_periods_user": "btree (entity_id) WHERE entity_type::text = 'user'::text",
        "idx_periods_analyzed_at": "btree (analyzed_at)",
        "idx_periods_status": "btree (status)",
    },
    "period_content_snapshots": {
        "period_content_snapshots_pkey": "btree (id)",
        "unique_period_content": "unique btree (period_id, content_id)",
        "idx_snapshot_content": "btree (content_id)",
        # Not the text, which the application's own version has: B-tree rows end at 2.7 kB.
        "idx_snapshot_period_covering": (
            "btree (period_id, relevance_score DESC) INCLUDE (content_id, contribution_type)"
        ),
    },
    "temporal_events": {
        "temporal_events_pkey": "btree (id)",
        "one_open_event_per_key": (
            "unique btree (entity_type, entity_id, (metadata ->> 'key'::text)) WHERE resolved_at IS NULL"
            " AND ((metadata ->> 'state'::text) = ANY (ARRAY['active'::text, 'recovering'::text]))"
        ),
        "idx_events_period": "btree (period_id)",
        "idx_events_entity": "btree (entity_type, entity_id, first_detected_at)",
        "idx_events_unresolved": ("btree (entity_type, entity_id, resolved_at) WHERE resolved_at IS NULL"),
        "idx_events_type": "btree (event_type)",
    },
    "event_contents": {
        "event_contents_pkey": "btree (event_id, content_id)",
        "idx_event_contents_content": "btree (content_id)",
    },
    "crawl_effectiveness": {
        "crawl_effectiveness_pkey": "btree (id)",
        "idx_effectiveness_period": "btree (period_id)",
        "idx_effectiveness_entity": "btree (entity_type, entity_id, created_at)",
        "idx_effectiveness_platform": "btree (platform)",
        "idx_effectiveness_query_trgm": "gin (query gin_trgm_ops)",
        "idx_effectiveness_score": "btree (effectiveness_score DESC NULLS LAST)",
    },
    "topics": {"idx_topics_last_period": "btree (last_period_id)"},
    "users": {"idx_users_last_period": "btree (last_period_id)"},
    "contents": {
        "idx_contents_period": "btree (analysis_period_id)",
        "idx_contents_published_at": "btree (published_at)",
        "idx_contents_discovered_at": "btree (discovered_at)",
        "idx_contents_relevance": "btree (relevance_score DESC NULLS LAST)",
        "idx_contents_unlinked": (
            "btree (crawled_at, id) INCLUDE (topic_id, user_id, discovered_at)"
            " WHERE analysis_period_id IS NULL AND (topic_id IS NOT NULL OR user_id IS NOT NULL)"
        ),
        "idx_contents_unowned": "btree (id) WHERE topic_id IS NULL AND user_id IS NULL",
        "idx_contents_unprepared": (
            "btree (id) WHERE relevance_score IS NULL OR published_at IS NULL OR discovered_at IS NULL"
        ),
        "idx_contents_shared": (
            "btree (user_id, analysis_period_id) WHERE topic_id IS NOT NULL AND user_id IS NOT NULL"
        ),
        "idx_contents_topic_time": (
            "btree (topic_id, COALESCE(published_at, crawled_at), id)"
            " WHERE topic_id IS NOT NULL AND analysis_period_id IS NOT NULL"
        ),
        "idx_contents_user_time": (
            "btree (user_id, COALESCE(published_at, crawled_at), id)"
            " WHERE user_id IS NOT NULL AND analysis_period_id IS NOT NULL"
        ),
    },
    "tasks": {
        "idx_tasks_period": "btree (period_id)",
        "idx_tasks_effectiveness": "btree (effectiveness_id)",
        "idx_tasks_crawl_topic": (
            "btree ((payload ->> 'topic_id'::text), COALESCE(started_at, created_at))"
            " WHERE label::text ~~ 'crawler:%'::text OR label::text ~~ 'searcher:%'::text"
        ),
        "idx_tasks_crawl_user": (
            "btree ((payload ->> 'user_id'::text), COALESCE(started_at, created_at))"
            " WHERE label::text ~~ 'crawler:%'::text OR label::text ~~ 'searcher:%'::text"
        ),
    },
    "chat_messages": {"idx_chat_messages_period": "btree (period_id)"},
    "mv_period_metrics_trend": {
        "idx_mv_period_metrics_entity": "unique btree (entity_type, entity_id, period_number)"
    },
}
NAMED_CONSTRAINTS = {
    "analysis_periods": {
        "valid_entity_type",
        "valid_status",
        "valid_period",
        "valid_quality_score",
        "valid_completeness_score",
        "no_overlapping_periods",
    },
    "period_content_snapshots": {
        "fk_snapshots_period",
        "fk_snapshots_content",
        "unique_period_content",
        "valid_relevance_score",
    },
    "contents": {"fk_contents_analysis_period", "valid_content_relevance"},
}
# table → column → where it points, and what happens when that goes
REFERENCES = {
    "analysis_periods": {"superseded_by": "analysis_periods n"},
    "period_content_snapshots": {"period_id": "analysis_periods c", "content_id": "contents c"},
    "temporal_events": {"period_id": "analysis_periods c"},
    "event_contents": {"event_id": "temporal_events c", "content_id": "contents c"},
    "crawl_effectiveness": {"period_id": "analysis_periods c"},
    "topics": {"last_period_id": "analysis_periods n"},
    "users": {"last_period_id": "analysis_periods n"},
    "contents": {
        "analysis_period_id": "analysis_periods n",
        "task_id": "tasks a",
        "topic_id": "topics n",
        "user_id": "users n",
    },
    "tasks": {"period_id": "analysis_periods n", "effectiveness_id": "crawl_effectiveness n"},
    "chat_messages": {"period_id": "analysis_periods n"},
}
FUNCTIONS = {
    "get_period_by_number": (
        "entity_type character varying, entity_id uuid, period_number integer",
        "SETOF analysis_periods",
    ),
    "get_content_timeline": (
        "entity_type character varying, entity_id uuid, start_time timestamp with time zone DEFAULT"
        " NULL::timestamp with time zone, end_time timestamp with time zone DEFAULT"
        " NULL::timestamp with time zone, min_relevance double precision DEFAULT 0.0",
        "TABLE(content_id uuid, period_id uuid, period_number integer, contribution_type character varying,"
        " relevance_score double precision, text_snapshot text, period_start timestamp with time zone,"
        " period_end timestamp with time zone)",
    ),
    "detect_metric_anomalies": (
        "entity_type character varying, entity_id uuid, metric_key text,"
        " threshold_factor double precision DEFAULT 2.0",
        "TABLE(period_id uuid, period_number integer, metric_value double precision,"
        " avg_value double precision, stddev_value double precision, z_score double precision)",
    ),
    "recompute_metrics_delta": ("period_id uuid", "jsonb"),
}

_COLUMNS = text("""
    SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || CASE a.attcompression WHEN 'p' THEN ' compression pglz' ELSE '' END
           || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
           || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = to_regclass(:relation) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
""")
_INDEXES = text("""
    SELECT c.relname, CASE WHEN i.indisunique AND NOT i.indisprimary THEN 'unique ' ELSE '' END
           || substring(pg_get_indexdef(c.oid, 0, true) FROM ' USING (.*)$')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass(:relation) AND i.indisvalid
""")
_CONSTRAINTS = text("""
    SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(:relation) AND convalidated
""")
_REFERENCES = text("""
    SELECT a.attname, c.confrelid::regclass::text || ' ' || c.confdeltype::text
    FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
    WHERE c.conrelid = to_regclass(:relation) AND c.contype = 'f' AND c.convalidated
""")
_FUNCTIONS = text("""
    SELECT proname, pg_get_function_arguments(oid), pg_get_function_result(oid)
    FROM pg_proc WHERE proname = ANY (:names)
""")


def _lines(block: str) -> list[str]:
    return [line.strip() for line in block.strip().splitlines()]


@pytest.mark.parametrize("relation", TABLES)
def test_relation_has_exactly_these_columns(connection: Connection, relation: str) -> None:
    assert list(connection.scalars(_COLUMNS, {"relation": relation})) == _lines(TABLES[relation])


@pytest.mark.parametrize("table", ADDED_COLUMNS)
def test_table_of_the_application_has_these_columns_at_its_end(connection: Connection, table: str) -> None:
    added = _lines(ADDED_COLUMNS[table])
    assert list(connection.scalars(_COLUMNS, {"relation": table}))[-len(added) :] == added


@pytest.mark.parametrize("relation", INDEXES)
def test_relation_has_these_indexes(connection: Connection, relation: str) -> None:
    found = dict(tuple(row) for row in connection.execute(_INDEXES, {"relation": relation}))
    if relation not in ADDED_COLUMNS:
        assert found == INDEXES[relation]
    assert {name: found.get(name) for name in INDEXES[relation]} == INDEXES[relation]


@pytest.mark.parametrize("table", NAMED_CONSTRAINTS)
def test_constraints_have_their_names(connection: Connection, table: str) -> None:
    assert set(connection.scalars(_CONSTRAINTS, {"relation": table})) >= NAMED_CONSTRAINTS[table]


@pytest.mark.parametrize("table", REFERENCES)
def test_references_act_on_deletion(connection: Connection, table: str) -> None:
    found = sorted(tuple(row) for row in connection.execute(_REFERENCES, {"relation": table}))
    assert found == sorted(REFERENCES[table].items())


def test_functions_have_these_signatures(connection: Connection) -> None:
    found = connection.execute(_FUNCTIONS, {"names": list(FUNCTIONS)}).all()
    assert sorted(tuple(row) for row in found) == sorted((n, *s) for n, s in FUNCTIONS.items())


@pytest.mark.parametrize(
    ("table", "column", "good", "bad"),
    [
        ("analysis_periods", "entity_type", ("topic", "user"), ("agent", "")),
        ("analysis_periods", "status", ("active", "draft", "superseded", "failed", "archived"), ("done",)),
        ("analysis_periods", "quality_score", (0, 1, None), (-0.1, 1.1)),
        ("analysis_periods", "completeness_score", (0, 1, None), (-0.1, 1.1)),
        ("period_content_snapshots", "relevance_score", (0, 1, None), (-0.1, 1.1)),
        ("temporal_events", "severity", ("info", "warning", "critical"), ("fatal",)),
        ("event_contents", "relevance_to_event", (0, 1, None), (-0.1, 1.1)),
        ("crawl_effectiveness", "effectiveness_score", (0, 1, None), (-0.1, 1.1)),
        ("crawl_effectiveness", "avg_relevance", (0, 1, None), (-0.1, 1.1)),
        ("crawl_effectiveness", "coverage_ratio", (0, 1, None), (-0.1, 1.1)),
        ("contents", "relevance_score", (0, 1, None), (-0.1, 1.1)),
    ],
)
def test_checks_accept_and_refuse(
    connection: Connection, table: str, column: str, good: tuple[object, ...], bad: tuple[object, ...]
) -> None:
    # The expression itself, on a row that has nothing else: no world has to be built around it.
    checks = connection.scalars(
        text("""
            SELECT pg_get_expr(c.conbin, c.conrelid) FROM pg_constraint c
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
            WHERE c.conrelid = to_regclass(:table) AND c.contype = 'c' AND a.attname = :column
        """),
        {"table": table, "column": column},
    ).all()
    assert len(checks) == 1
    accepts = text(
        f"SELECT coalesce({checks[0]}, true) FROM (SELECT (:value)::{_type(column)} AS {column}) t"
    )
    assert [connection.scalar(accepts, {"value": value}) for value in good] == [True] * len(good)
    assert [connection.scalar(accepts, {"value": value}) for value in bad] == [False] * len(bad)


def _type(column: str) -> str:
    return "text" if column in ("entity_type", "status", "severity") else "double precision"
