-- name: crawls_of
-- The crawls of many topics or users: tasks that name them or that found their contents, with their times.
-- A time before 1970 or after 9998 is a mistake (infinity too, which Python has no name for) and counts as missing.
-- With `since`, contents are read back to where the crawls of the day before it began, and one more that is over.
WITH wanted AS (
    SELECT DISTINCT entity_id,
           CASE WHEN CAST(:since AS timestamptz) IS NULL THEN '1970-01-01' ELSE greatest('1970-01-01', least((
               SELECT min(c.crawled_at) FROM contents c
               WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = entity_id
                      OR CAST(:entity_type AS text) = 'user' AND c.user_id = entity_id)
                 AND c.task_id IN (
                     SELECT late.task_id FROM contents late
                     WHERE (CAST(:entity_type AS text) = 'topic' AND late.topic_id = entity_id
                            OR CAST(:entity_type AS text) = 'user' AND late.user_id = entity_id)
                       AND late.crawled_at >= CAST(:since AS timestamptz) - interval '1 day'
                 )
           ), coalesce((
               SELECT c.crawled_at FROM contents c JOIN tasks t ON t.id = c.task_id AND t.status <> 'running'
               WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = entity_id
                      OR CAST(:entity_type AS text) = 'user' AND c.user_id = entity_id)
                 AND c.crawled_at < CAST(:since AS timestamptz) - interval '1 day'
               ORDER BY c.crawled_at DESC LIMIT 1
           -- Crawls that found nothing may have been before.
           ), '1970-01-01'))) END AS horizon
    FROM unnest(CAST(:entity_ids AS uuid[])) AS entity_id
), found AS (
    SELECT w.entity_id, c.task_id, min(c.crawled_at) AS first_found, max(c.crawled_at) AS last_found,
           min(CASE WHEN c.published_at >= '1970-01-01' THEN least(c.published_at, c.crawled_at)
                    ELSE c.crawled_at END) AS earliest_post
    FROM wanted w
    -- Entity by entity, and two branches, each of which one index answers.
    CROSS JOIN LATERAL (
        SELECT c.task_id, c.crawled_at, c.published_at FROM contents c
        WHERE CAST(:entity_type AS text) = 'topic' AND c.topic_id = w.entity_id
          AND c.crawled_at BETWEEN '1970-01-01' AND least(CAST(:until AS timestamptz), '9998-12-31')
          -- Not the horizon alone: the planner would expect it to leave out most of a history that is wanted whole.
          AND (CAST(:since AS timestamptz) IS NULL OR c.crawled_at >= w.horizon)
        UNION ALL
        SELECT c.task_id, c.crawled_at, c.published_at FROM contents c
        WHERE CAST(:entity_type AS text) = 'user' AND c.user_id = w.entity_id
          AND c.crawled_at BETWEEN '1970-01-01' AND least(CAST(:until AS timestamptz), '9998-12-31')
          AND (CAST(:since AS timestamptz) IS NULL OR c.crawled_at >= w.horizon)
    ) c
    GROUP BY w.entity_id, c.task_id
), named AS (
    SELECT w.entity_id, t.*
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT t.id AS task_id, t.status, t.payload, t.created_at, t.started_at, t.completed_at FROM tasks t
        WHERE CAST(:entity_type AS text) = 'topic' AND t.payload->>'topic_id' = CAST(w.entity_id AS text)
          AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
          AND (CAST(:since AS timestamptz) IS NULL OR coalesce(t.started_at, t.created_at) >= w.horizon)
        UNION ALL
        SELECT t.id, t.status, t.payload, t.created_at, t.started_at, t.completed_at FROM tasks t
        WHERE CAST(:entity_type AS text) = 'user' AND t.payload->>'user_id' = CAST(w.entity_id AS text)
          AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
          AND (CAST(:since AS timestamptz) IS NULL OR coalesce(t.started_at, t.created_at) >= w.horizon)
    ) t
), crawl AS (
    SELECT entity_id, t.status, f.first_found, f.last_found, f.earliest_post,
           (t.payload->>'action' = 'timeline') IS TRUE AS timeline,
           t.completed_at IS NOT NULL AS is_over,
           CASE WHEN t.created_at BETWEEN '1970-01-01' AND '9998-12-31' THEN t.created_at END AS created_at,
           CASE WHEN t.started_at BETWEEN '1970-01-01' AND '9998-12-31' THEN t.started_at END AS started_at,
           CASE WHEN t.completed_at BETWEEN '1970-01-01' AND '9998-12-31' THEN t.completed_at END AS completed_at
    FROM named n FULL JOIN found f USING (entity_id, task_id)
    CROSS JOIN LATERAL (
        SELECT n.status, n.payload, n.created_at, n.started_at, n.completed_at WHERE n.status IS NOT NULL
        UNION ALL
        SELECT t.status, t.payload, t.created_at, t.started_at, t.completed_at FROM tasks t
        WHERE n.status IS NULL AND t.id = f.task_id
    ) t
    -- A task that waits or that failed was a crawl only if it found something.
    WHERE f.task_id IS NOT NULL OR t.status IN ('running', 'completed')
), timed AS (
    SELECT entity_id, earliest_post, timeline,
           CASE WHEN status IN ('running', 'completed', 'failed') OR is_over
                THEN coalesce(started_at, created_at, first_found)
                ELSE first_found END AS began,
           CASE WHEN status = 'running' THEN NULL
                WHEN status = 'completed' THEN coalesce(completed_at, last_found, started_at, created_at)
                ELSE coalesce(completed_at, last_found) END AS ended
    FROM crawl
)
SELECT entity_id, began, ended, earliest_post, timeline
FROM timed
WHERE began <= coalesce(CAST(:until AS timestamptz), 'infinity')
ORDER BY entity_id, began, ended;
