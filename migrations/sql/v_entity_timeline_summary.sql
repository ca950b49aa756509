-- One row per entity over its active periods; periods shorter than a minute do not count for the duration.
CREATE OR REPLACE VIEW v_entity_timeline_summary AS
SELECT p.entity_type, p.entity_id,
       count(*) AS total_periods,
       min(p.period_start) AS first_period_start,
       max(p.period_end) AS last_period_end,
       avg(p.duration_hours) FILTER (WHERE p.period_end - p.period_start >= make_interval(mins => 1))
           AS avg_period_duration,
       sum(p.content_count) AS total_content_across_periods,
       avg(p.quality_score) AS avg_quality_score,
       avg(p.completeness_score) AS avg_completeness_score
FROM analysis_periods p
WHERE p.status = 'active'
GROUP BY p.entity_type, p.entity_id
