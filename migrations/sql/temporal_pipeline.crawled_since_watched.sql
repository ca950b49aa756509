-- Topics and users that were crawled since they were watched for events, and when their newest finished crawl began.
CREATE OR REPLACE VIEW temporal_pipeline.crawled_since_watched AS
SELECT w.entity_type, w.entity_id, w.watched_until, crawl.newest
FROM temporal_pipeline.entity_watch w
CROSS JOIN LATERAL (
    -- Two branches, each of which one index answers.
    SELECT max(later.began) AS newest
    FROM (
        SELECT t.id, coalesce(t.started_at, t.created_at) AS began, t.status, t.completed_at
        FROM tasks t
        WHERE w.entity_type = 'topic' AND t.payload->>'topic_id' = CAST(w.entity_id AS text)
          AND coalesce(t.started_at, t.created_at) > w.watched_until
          AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
        UNION ALL
        SELECT t.id, coalesce(t.started_at, t.created_at), t.status, t.completed_at
        FROM tasks t
        WHERE w.entity_type = 'user' AND t.payload->>'user_id' = CAST(w.entity_id AS text)
          AND coalesce(t.started_at, t.created_at) > w.watched_until
          AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
    ) later
    WHERE later.began <= now()
      -- A task that failed was a crawl only if it found something.
      AND (later.status = 'completed'
           OR later.completed_at IS NOT NULL AND EXISTS (SELECT FROM contents c WHERE c.task_id = later.id))
) crawl
WHERE crawl.newest IS NOT NULL
