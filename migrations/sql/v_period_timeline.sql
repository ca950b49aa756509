-- Active periods of every entity with their figures, open events and crawl tasks.
CREATE OR REPLACE VIEW v_period_timeline AS
SELECT p.id, p.entity_type, p.entity_id, p.period_number, p.period_start, p.period_end, p.analyzed_at,
       p.duration_hours, p.status, p.content_count, p.summary_short, p.insights, p.metrics, p.metrics_delta,
       p.quality_score, p.completeness_score,
       (SELECT count(*) FROM temporal_events e WHERE e.period_id = p.id AND e.resolved_at IS NULL)
           AS unresolved_event_count,
       (SELECT count(*) FROM tasks t
        WHERE t.period_id = p.id AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%'))
           AS crawl_task_count
FROM analysis_periods p
WHERE p.status = 'active'
