-- Every topic and user with what the pipeline needs to know of it; an interval that makes no sense counts as the default.
CREATE OR REPLACE VIEW temporal_pipeline.entity AS
SELECT owner.entity_type, owner.entity_id, owner.name, owner.status, owner.last_crawl_at, owner.last_summary,
       owner.summary_data,
       make_interval(secs => 3600 * CASE
           WHEN hours.value > 0 AND hours.value <= 8766 THEN hours.value ELSE 6
       END) AS crawl_interval
FROM (
    SELECT 'topic' AS entity_type, id AS entity_id, name, status, last_crawl_at, last_summary, summary_data, config
    FROM topics
    UNION ALL
    SELECT 'user' AS entity_type, id, name, status, last_crawl_at, last_summary, summary_data, config
    FROM users
) owner
CROSS JOIN LATERAL (
    SELECT temporal_pipeline.metric_number(owner.config -> 'schedule_interval_hours') AS value
) hours
