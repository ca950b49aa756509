-- Periods with the time at which each was recorded, and the time at which another took its place or it was put away.
CREATE OR REPLACE VIEW temporal_pipeline.recorded_period AS
-- A fence would read all periods where one entity is asked for.
WITH record AS NOT MATERIALIZED (
    SELECT p.id, p.entity_type, p.entity_id, p.period_number, p.status, p.superseded_by, p.updated_at,
           p.completeness_score,
           greatest(p.period_start, '1970-01-01') AS period_start, least(p.period_end, '9998-12-31') AS period_end,
           -- The clock that closed a draft of ours is later than the draft.
           least(greatest(p.analyzed_at, p.created_at, CASE
               WHEN k.period_id IS NOT NULL AND p.execution_log->>'finished_at' ~ '^[0-9]{4}-[01][0-9]-[0-3][0-9]T'
               THEN CAST(p.execution_log->>'finished_at' AS timestamptz)
           END), '9998-12-31') AS recorded_at
    FROM analysis_periods p LEFT JOIN temporal_pipeline.period_cut k ON k.period_id = p.id
    WHERE p.status NOT IN ('draft', 'failed')
)
SELECT r.id, r.entity_type, r.entity_id, r.period_number, r.status, r.superseded_by, r.completeness_score,
       r.period_start, r.period_end, r.recorded_at,
       CASE WHEN r.status <> 'active' THEN coalesce(successor.recorded_at, r.updated_at) END AS ended_at
FROM record r
LEFT JOIN record successor ON successor.id = r.superseded_by
