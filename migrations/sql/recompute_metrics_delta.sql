-- Stores and returns how the numbers in a period's metrics differ from the entity's active period before; percentages under pct.
CREATE OR REPLACE FUNCTION recompute_metrics_delta(period_id uuid)
RETURNS jsonb
LANGUAGE sql
AS $$
    WITH period AS (
        SELECT p.id, p.entity_type, p.entity_id, p.period_number,
               CASE WHEN jsonb_typeof(p.metrics) = 'object' THEN p.metrics ELSE '{}' END AS metrics
        FROM analysis_periods p
        WHERE p.id = recompute_metrics_delta.period_id
    ),
    previous AS (
        SELECT q.metrics
        FROM period
        JOIN analysis_periods q ON q.entity_type = period.entity_type AND q.entity_id = period.entity_id
                               AND q.status = 'active' AND q.period_number < period.period_number
        ORDER BY q.period_number DESC
        LIMIT 1
    ),
    pair AS (
        -- As numeric: the difference of two large floating-point numbers may not be one any more.
        SELECT metric.key,
               CAST(temporal_pipeline.metric_number(metric.value) AS numeric) AS now,
               CAST(temporal_pipeline.metric_number(previous.metrics -> metric.key) AS numeric) AS before
        FROM period, previous, jsonb_each(period.metrics) AS metric
    ),
    delta AS (
        SELECT coalesce(jsonb_object_agg(key, trim_scale(round(now - before, 6))), '{}') AS differences,
               jsonb_object_agg(key, trim_scale(round(100 * (now - before) / abs(nullif(before, 0)), 2)))
                   FILTER (WHERE before <> 0) AS percentages
        FROM pair
        WHERE now IS NOT NULL AND before IS NOT NULL
    )
    UPDATE analysis_periods p
    SET metrics_delta = delta.differences
            || CASE WHEN delta.percentages IS NULL THEN '{}'
                    ELSE jsonb_build_object('pct', delta.percentages) END,
        updated_at = now()
    FROM delta
    WHERE p.id = recompute_metrics_delta.period_id
    RETURNING p.metrics_delta
$$
