"""States in which a database may arrive, other than legacy and at our own head."""

# What the application's `create_all` makes of its models: no exclusion constraint, no partial index, no server
# defaults, references and indexes named by SQLAlchemy and PostgreSQL; the text of a snapshot in an index.
CREATE_ALL = """
CREATE TABLE analysis_periods (
    id uuid NOT NULL,
    entity_type varchar(20) NOT NULL,
    entity_id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    analyzed_at timestamptz NOT NULL,
    period_number integer NOT NULL,
    duration_hours double precision NOT NULL,
    status varchar(20) NOT NULL,
    superseded_by uuid,
    supersession_reason text,
    content_count integer NOT NULL,
    summary text NOT NULL,
    summary_short text,
    insights jsonb,
    metrics jsonb NOT NULL,
    metrics_delta jsonb NOT NULL,
    tasks_dispatched uuid[] NOT NULL,
    tasks_summary jsonb NOT NULL,
    chat_summary text,
    knowledge_version integer NOT NULL,
    knowledge_doc text,
    knowledge_diff jsonb,
    quality_score double precision,
    completeness_score double precision,
    execution_log jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (superseded_by) REFERENCES analysis_periods (id) ON DELETE SET NULL
);
CREATE INDEX ix_analysis_periods_analyzed_at ON analysis_periods (analyzed_at);
CREATE INDEX ix_analysis_periods_status ON analysis_periods (status);

CREATE TABLE period_content_snapshots (
    id uuid NOT NULL,
    period_id uuid NOT NULL,
    content_id uuid NOT NULL,
    contribution_type varchar(32) NOT NULL,
    relevance_score double precision,
    text_snapshot text,
    key_points_snapshot jsonb,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (period_id, content_id),
    FOREIGN KEY (period_id) REFERENCES analysis_periods (id) ON DELETE CASCADE,
    FOREIGN KEY (content_id) REFERENCES contents (id)
);
CREATE INDEX ix_period_content_snapshots_content_id ON period_content_snapshots (content_id);
CREATE INDEX ix_period_content_snapshots_covering ON period_content_snapshots (period_id, relevance_score DESC)
    INCLUDE (content_id, contribution_type, text_snapshot);

CREATE TABLE temporal_events (
    id uuid NOT NULL,
    period_id uuid NOT NULL,
    entity_type varchar(20) NOT NULL,
    entity_id uuid NOT NULL,
    event_type varchar(32) NOT NULL,
    severity varchar(16) NOT NULL,
    title varchar(256) NOT NULL,
    description text NOT NULL,
    first_detected_at timestamptz NOT NULL,
    last_updated_at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolution_note text,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (period_id) REFERENCES analysis_periods (id) ON DELETE CASCADE
);
CREATE INDEX ix_temporal_events_period_id ON temporal_events (period_id);

CREATE TABLE event_contents (
    event_id uuid NOT NULL,
    content_id uuid NOT NULL,
    relevance_to_event double precision,
    added_at timestamptz NOT NULL,
    PRIMARY KEY (event_id, content_id),
    FOREIGN KEY (event_id) REFERENCES temporal_events (id) ON DELETE CASCADE,
    FOREIGN KEY (content_id) REFERENCES contents (id) ON DELETE CASCADE
);

CREATE TABLE crawl_effectiveness (
    id uuid NOT NULL,
    period_id uuid NOT NULL,
    entity_type varchar(20) NOT NULL,
    entity_id uuid NOT NULL,
    platform varchar(16) NOT NULL,
    query text NOT NULL,
    total_found integer NOT NULL,
    relevant_count integer NOT NULL,
    high_value_count integer NOT NULL,
    effectiveness_score double precision,
    avg_relevance double precision,
    coverage_ratio double precision,
    recommendations text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (period_id) REFERENCES analysis_periods (id) ON DELETE CASCADE
);
CREATE INDEX ix_crawl_effectiveness_period_id ON crawl_effectiveness (period_id);
"""
# Names of references are no part of the contract, and the application's later migrations may speak of them.
NAMES_THAT_STAY = """
ALTER TABLE analysis_periods RENAME CONSTRAINT analysis_periods_superseded_by_fkey TO fk_periods_superseded_by;
ALTER TABLE temporal_events RENAME CONSTRAINT temporal_events_period_id_fkey TO fk_events_period;
ALTER TABLE event_contents RENAME CONSTRAINT event_contents_event_id_fkey TO fk_event_contents_event;
ALTER TABLE event_contents RENAME CONSTRAINT event_contents_content_id_fkey TO fk_event_contents_content;
ALTER TABLE crawl_effectiveness
    RENAME CONSTRAINT crawl_effectiveness_period_id_fkey TO fk_effectiveness_period;
"""

# From our head to the head of the application's own migrations: nothing that is ours alone, and its own
# definitions of an index, the views and the functions.
TO_THE_HEAD_OF_THE_APPLICATION = """
DROP VIEW temporal_pipeline.period_member, temporal_pipeline.linked_content, temporal_pipeline.entity;
DROP SCHEMA temporal_pipeline CASCADE;
DROP INDEX idx_contents_unlinked, idx_contents_unowned, idx_contents_unprepared, idx_contents_shared,
    idx_contents_topic_time, idx_contents_user_time, idx_tasks_crawl_topic, idx_tasks_crawl_user;

DROP INDEX idx_snapshot_period_covering;
CREATE INDEX idx_snapshot_period_covering ON period_content_snapshots (period_id, relevance_score DESC)
    INCLUDE (content_id, contribution_type, text_snapshot);

DROP VIEW v_period_timeline, v_entity_timeline_summary, v_crawl_effectiveness_ranking;
CREATE VIEW v_period_timeline AS
SELECT ap.*, 0::bigint AS unresolved_event_count, 0::bigint AS crawl_task_count FROM analysis_periods ap;
CREATE VIEW v_entity_timeline_summary AS
SELECT entity_type, entity_id, count(*) AS total_periods, min(period_start) AS first_period_start,
       max(period_end) AS last_period_end, avg(duration_hours) AS avg_period_duration,
       sum(content_count) AS total_content_across_periods, avg(quality_score) AS avg_quality_score,
       avg(completeness_score) AS avg_completeness_score
FROM analysis_periods WHERE status = 'active' GROUP BY entity_type, entity_id;
CREATE VIEW v_crawl_effectiveness_ranking AS
SELECT entity_type, entity_id, platform, query, effectiveness_score, total_found, relevant_count,
       high_value_count, avg_relevance, created_at,
       avg(effectiveness_score) OVER (PARTITION BY entity_type, entity_id, platform ORDER BY created_at
                                      ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS recent_avg_effectiveness
FROM crawl_effectiveness;

DROP MATERIALIZED VIEW mv_period_metrics_trend;
CREATE MATERIALIZED VIEW mv_period_metrics_trend AS
SELECT entity_type, entity_id, period_number, analyzed_at, metrics, metrics_delta,
       lag(metrics) OVER w AS prev_metrics, lag(metrics, 2) OVER w AS prev_prev_metrics
FROM analysis_periods WHERE status = 'active'
WINDOW w AS (PARTITION BY entity_type, entity_id ORDER BY period_number);
CREATE INDEX idx_mv_period_metrics_entity ON mv_period_metrics_trend (entity_type, entity_id, period_number);

DROP FUNCTION get_period_by_number, get_content_timeline, detect_metric_anomalies, recompute_metrics_delta;
CREATE FUNCTION get_period_by_number(p_type varchar, p_entity uuid, p_number integer)
RETURNS SETOF analysis_periods LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT * FROM analysis_periods
    WHERE entity_type = p_type AND entity_id = p_entity AND period_number = p_number AND status = 'active';
END $$;
CREATE FUNCTION get_content_timeline(p_type text, p_entity uuid, p_start timestamptz)
RETURNS TABLE (content_id uuid) LANGUAGE sql AS 'SELECT id FROM contents';
CREATE FUNCTION recompute_metrics_delta(p_period uuid) RETURNS jsonb LANGUAGE sql AS $$SELECT '{}'::jsonb$$;
"""
# A revision that the application added after the three that we share.
LATER_REVISION = "UPDATE alembic_version SET version_num = '20260415_0100'"
