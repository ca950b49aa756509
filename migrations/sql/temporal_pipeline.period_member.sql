-- The members of a period: what is frozen, and until all of it is, also the contents linked to it.
CREATE OR REPLACE VIEW temporal_pipeline.period_member AS
SELECT s.period_id, s.content_id
FROM period_content_snapshots s
UNION ALL
SELECT l.period_id, l.content_id
FROM temporal_pipeline.linked_content l
WHERE NOT EXISTS (
    SELECT FROM temporal_pipeline.period_stage done WHERE done.period_id = l.period_id AND done.stage = 'snapshots'
) AND NOT EXISTS (
    SELECT FROM period_content_snapshots s WHERE s.period_id = l.period_id AND s.content_id = l.content_id
)
