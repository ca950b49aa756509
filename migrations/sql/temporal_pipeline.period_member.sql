-- The members of a period: its snapshots once they are frozen, until then the contents linked to it.
CREATE OR REPLACE VIEW temporal_pipeline.period_member AS
SELECT s.period_id, s.content_id
FROM period_content_snapshots s
WHERE EXISTS (
    SELECT FROM temporal_pipeline.period_stage done WHERE done.period_id = s.period_id AND done.stage = 'snapshots'
)
UNION ALL
SELECT l.period_id, l.content_id
FROM temporal_pipeline.linked_content l
WHERE NOT EXISTS (
    SELECT FROM temporal_pipeline.period_stage done WHERE done.period_id = l.period_id AND done.stage = 'snapshots'
)
