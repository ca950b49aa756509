-- What was known of an entity: the snapshots of every active period that overlaps the asked window, bounds included.
CREATE OR REPLACE FUNCTION get_content_timeline(
    entity_type varchar(20),
    entity_id uuid,
    start_time timestamptz DEFAULT NULL,
    end_time timestamptz DEFAULT NULL,
    min_relevance double precision DEFAULT 0.0
)
RETURNS TABLE (
    content_id uuid,
    period_id uuid,
    period_number integer,
    contribution_type varchar(32),
    relevance_score double precision,
    text_snapshot text,
    period_start timestamptz,
    period_end timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT s.content_id, p.id, p.period_number, s.contribution_type, s.relevance_score, s.text_snapshot,
           p.period_start, p.period_end
    FROM analysis_periods p
    JOIN period_content_snapshots s ON s.period_id = p.id
    WHERE p.entity_type = get_content_timeline.entity_type
      AND p.entity_id = get_content_timeline.entity_id
      AND p.status = 'active'
      -- A period holds its start and not its end.
      AND (get_content_timeline.start_time IS NULL OR p.period_end > get_content_timeline.start_time)
      AND (get_content_timeline.end_time IS NULL OR p.period_start <= get_content_timeline.end_time)
      AND coalesce(s.relevance_score, 0) >= coalesce(get_content_timeline.min_relevance, 0)
    ORDER BY p.period_number DESC, s.relevance_score DESC NULLS LAST, s.content_id
$$
