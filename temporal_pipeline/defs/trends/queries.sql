-- name: view_is_populated
-- Whether the trend view was ever filled: reading it before that is an error.
SELECT relispopulated FROM pg_class WHERE oid = to_regclass('mv_period_metrics_trend');

-- name: never_populated
-- The trend view as an offender, if it was never filled.
SELECT relname AS view, 'was never filled' AS reason
FROM pg_class WHERE oid = to_regclass('mv_period_metrics_trend') AND NOT relispopulated;

-- name: digests
-- What identifies the active periods, what identifies that which the view says of them, and the view's rows.
SELECT (
    SELECT coalesce(sum(hashtextextended(
        ROW (entity_type, entity_id, period_number, analyzed_at, metrics, metrics_delta)::text, 0)), 0)::text
    FROM analysis_periods WHERE status = 'active'
) AS periods, (
    SELECT coalesce(sum(hashtextextended(
        ROW (entity_type, entity_id, period_number, analyzed_at, metrics, metrics_delta)::text, 0)), 0)::text
    FROM mv_period_metrics_trend
) AS view, (
    SELECT count(*) FROM mv_period_metrics_trend
) AS rows;

-- name: disagreements
-- Active periods that the view lacks or tells otherwise, and rows of the view without an active period.
SELECT coalesce(p.entity_type, v.entity_type) AS entity_type, coalesce(p.entity_id, v.entity_id) AS entity_id,
       coalesce(p.period_number, v.period_number) AS period_number,
       CASE WHEN v.entity_id IS NULL THEN 'not in the view'
            WHEN p.entity_id IS NULL THEN 'no longer active'
            ELSE 'other figures in the view'
       END AS reason
FROM (
    SELECT entity_type, entity_id, period_number, analyzed_at, metrics, metrics_delta,
           lag(metrics, 1) OVER numbered AS prev_metrics, lag(metrics, 2) OVER numbered AS prev_prev_metrics
    FROM analysis_periods WHERE status = 'active'
    WINDOW numbered AS (PARTITION BY entity_type, entity_id ORDER BY period_number)
) p
FULL JOIN mv_period_metrics_trend v
  ON v.entity_type = p.entity_type AND v.entity_id = p.entity_id AND v.period_number = p.period_number
WHERE p.entity_id IS NULL OR v.entity_id IS NULL
   OR (p.analyzed_at, p.metrics, p.metrics_delta, p.prev_metrics, p.prev_prev_metrics) IS DISTINCT FROM
      (v.analyzed_at, v.metrics, v.metrics_delta, v.prev_metrics, v.prev_prev_metrics)
ORDER BY 1, 2, 3;

-- name: refresh_concurrently
-- Bring the view up to date while others read it.
REFRESH MATERIALIZED VIEW CONCURRENTLY mv_period_metrics_trend;

-- name: fill
-- Fill the view for the first time: there is nothing yet that others could read.
REFRESH MATERIALIZED VIEW mv_period_metrics_trend;

-- name: rates_of_busiest
-- Posts per hour in the newest periods of the entities that got the most posts in those, the busiest first.
-- A period of the application's without a begin or an end that a calendar has cannot be drawn.
WITH recent AS (
    SELECT * FROM (
        SELECT p.entity_type, p.entity_id, p.period_number, p.period_start, p.period_end, p.content_count,
               rate.posts_per_hour AS rate,
               row_number() OVER (PARTITION BY p.entity_type, p.entity_id ORDER BY p.period_number DESC) AS age
        FROM analysis_periods p
        CROSS JOIN LATERAL (
            SELECT temporal_pipeline.metric_number(p.metrics->'contents_per_hour') AS posts_per_hour
        ) rate
        WHERE p.status = 'active' AND rate.posts_per_hour >= 0
          AND p.period_start >= '1970-01-01' AND p.period_end <= '9998-12-31'
    ) aged
    WHERE age <= CAST(:periods AS int)
), busiest AS (
    SELECT entity_type, entity_id, sum(content_count) AS posts
    FROM recent GROUP BY entity_type, entity_id
    ORDER BY posts DESC, entity_type, entity_id
    LIMIT CAST(:entities AS int)
)
SELECT b.entity_type, b.entity_id, coalesce(e.name, '(gone)') AS name,
       r.period_number, r.period_start, r.period_end, r.rate
FROM busiest b
JOIN recent r USING (entity_type, entity_id)
LEFT JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
ORDER BY b.posts DESC, b.entity_type, b.entity_id, r.period_number;

-- name: events_of
-- The events of some entities, of each since a time of its own, the oldest first; those of superseded periods are history.
SELECT t.entity_id, t.first_detected_at, t.severity, t.resolved_at IS NULL AS is_open
FROM unnest(CAST(:entity_ids AS uuid[]), CAST(:since AS timestamptz[])) AS wanted (entity_id, since)
JOIN temporal_events t ON t.entity_id = wanted.entity_id AND t.first_detected_at >= wanted.since
    AND t.first_detected_at <= '9998-12-31'
JOIN analysis_periods p ON p.id = t.period_id AND p.status <> 'superseded' AND p.superseded_by IS NULL
ORDER BY t.first_detected_at, t.id;

-- name: last_against_before
-- Each entity's last period beside the one before: posts, posts per hour, unresolved events, its best query.
WITH newest AS (
    SELECT DISTINCT ON (entity_type, entity_id)
           entity_type, entity_id, period_number, metrics, prev_metrics
    FROM mv_period_metrics_trend
    ORDER BY entity_type, entity_id, period_number DESC
), compared AS (
    SELECT n.*,
           temporal_pipeline.metric_number(n.metrics->'total_contents') AS posts,
           temporal_pipeline.metric_number(n.prev_metrics->'total_contents') AS posts_before,
           temporal_pipeline.metric_number(n.metrics->'contents_per_hour') AS rate,
           temporal_pipeline.metric_number(n.prev_metrics->'contents_per_hour') AS rate_before
    FROM newest n
)
SELECT c.entity_type, coalesce(e.name, '(gone)') AS name, c.period_number, c.posts, c.posts_before, c.rate,
       100 * (c.rate - c.rate_before) / nullif(c.rate_before, 0) AS rate_change_pct,
       unresolved.events AS open_events, best.platform AS best_platform, best.query AS best_query
FROM compared c
LEFT JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS events
    FROM temporal_events t JOIN analysis_periods p ON p.id = t.period_id AND p.status <> 'superseded' AND p.superseded_by IS NULL
    WHERE t.entity_type = c.entity_type AND t.entity_id = c.entity_id AND t.resolved_at IS NULL
) unresolved
LEFT JOIN LATERAL (
    SELECT ce.platform, ce.query
    FROM analysis_periods p JOIN crawl_effectiveness ce ON ce.period_id = p.id
    WHERE p.entity_type = c.entity_type AND p.entity_id = c.entity_id
      AND p.period_number = c.period_number AND p.status = 'active'
    ORDER BY ce.effectiveness_score DESC NULLS LAST, ce.platform, ce.query LIMIT 1
) best ON true
ORDER BY c.posts DESC NULLS LAST, c.entity_type, c.entity_id;
