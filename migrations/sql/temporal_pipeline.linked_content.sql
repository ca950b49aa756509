-- Contents of a period by their pointers; a user's period also has what the user wrote for a topic in the same cut.
CREATE OR REPLACE VIEW temporal_pipeline.linked_content AS
SELECT c.analysis_period_id AS period_id, c.id AS content_id
FROM contents c
WHERE c.analysis_period_id IS NOT NULL
UNION ALL
-- From the user's period to the topics' periods of its cut, then straight to the shared contents: whatever the planner
-- believes of freshly linked contents, the cost is that of the cut and not of the history. Hence the fences.
SELECT own.period_id, shared.id
FROM temporal_pipeline.period_cut own
CROSS JOIN LATERAL (
    SELECT k.period_id FROM temporal_pipeline.period_cut k
    WHERE k.cut_id = own.cut_id AND k.entity_type = 'topic' AND k.period_id IS NOT NULL
    OFFSET 0
) topic
CROSS JOIN LATERAL (
    SELECT c.id FROM contents c
    WHERE c.user_id = own.entity_id AND c.analysis_period_id = topic.period_id
      AND c.topic_id IS NOT NULL AND c.user_id IS NOT NULL
    OFFSET 0
) shared
WHERE own.entity_type = 'user' AND own.period_id IS NOT NULL
