-- Metrics of every active period beside those of the two before it; refreshed after a run.
DROP MATERIALIZED VIEW IF EXISTS mv_period_metrics_trend;
CREATE MATERIALIZED VIEW mv_period_metrics_trend AS
SELECT p.entity_type, p.entity_id, p.period_number, p.analyzed_at, p.metrics, p.metrics_delta,
       lag(p.metrics, 1) OVER numbered AS prev_metrics,
       lag(p.metrics, 2) OVER numbered AS prev_prev_metrics
FROM analysis_periods p
WHERE p.status = 'active'
WINDOW numbered AS (PARTITION BY p.entity_type, p.entity_id ORDER BY p.period_number);
CREATE UNIQUE INDEX idx_mv_period_metrics_entity
    ON mv_period_metrics_trend (entity_type, entity_id, period_number)
