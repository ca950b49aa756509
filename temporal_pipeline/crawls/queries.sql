-- name: crawls_of
-- The crawls of many topics or users: tasks that name them or that found their contents, with their times.
WITH wanted AS (
    SELECT DISTINCT entity_id FROM unnest(CAST(:entity_ids AS uuid[])) AS entity_id
), found AS (
    SELECT w.entity_id, c.task_id, min(c.crawled_at) AS first_found, max(c.crawled_at) AS last_found,
           greatest(min(least(c.published_at, c.crawled_at)), '1970-01-01') AS earliest_post
    FROM wanted w JOIN contents c ON c.topic_id = w.entity_id
    WHERE CAST(:entity_type AS text) = 'topic'
      AND c.crawled_at <= coalesce(CAST(:until AS timestamptz), 'infinity')
    GROUP BY w.entity_id, c.task_id
    UNION ALL
    SELECT w.entity_id, c.task_id, min(c.crawled_at), max(c.crawled_at),
           greatest(min(least(c.published_at, c.crawled_at)), '1970-01-01')
    FROM wanted w JOIN contents c ON c.user_id = w.entity_id
    WHERE CAST(:entity_type AS text) = 'user'
      AND c.crawled_at <= coalesce(CAST(:until AS timestamptz), 'infinity')
    GROUP BY w.entity_id, c.task_id
), named AS (
    SELECT w.entity_id, t.id AS task_id
    FROM wanted w JOIN tasks t ON t.payload->>'topic_id' = CAST(w.entity_id AS text)
    WHERE CAST(:entity_type AS text) = 'topic' AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
    UNION ALL
    SELECT w.entity_id, t.id
    FROM wanted w JOIN tasks t ON t.payload->>'user_id' = CAST(w.entity_id AS text)
    WHERE CAST(:entity_type AS text) = 'user' AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
), timed AS (
    SELECT entity_id, f.earliest_post, (t.payload->>'action' = 'timeline') IS TRUE AS timeline,
           CASE WHEN t.status IN ('running', 'completed', 'failed') OR t.completed_at IS NOT NULL
                THEN coalesce(t.started_at, t.created_at)
                ELSE f.first_found END AS began,
           CASE WHEN t.status = 'running' THEN NULL
                WHEN t.status = 'completed'
                THEN coalesce(t.completed_at, f.last_found, t.started_at, t.created_at)
                ELSE coalesce(t.completed_at, f.last_found) END AS ended
    FROM named n FULL JOIN found f USING (entity_id, task_id) JOIN tasks t ON t.id = task_id
    -- A task that waits or that failed was a crawl only if it found something.
    WHERE f.task_id IS NOT NULL OR t.status IN ('running', 'completed')
)
SELECT entity_id, began, ended, earliest_post, timeline
FROM timed
WHERE began <= coalesce(CAST(:until AS timestamptz), 'infinity')
ORDER BY entity_id, began, ended;

-- name: schedule_intervals
-- The configured hours between two crawls of topics or users, as text, since people write that configuration.
SELECT id AS entity_id, config->>'schedule_interval_hours' AS hours
FROM topics WHERE CAST(:entity_type AS text) = 'topic' AND id = ANY (CAST(:entity_ids AS uuid[]))
UNION ALL
SELECT id, config->>'schedule_interval_hours'
FROM users WHERE CAST(:entity_type AS text) = 'user' AND id = ANY (CAST(:entity_ids AS uuid[]));
