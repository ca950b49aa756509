-- name: memory
-- Whether there are periods, pointers to them, and everything that tells of cuts: none of it in a legacy database.
SELECT to_regclass('analysis_periods') IS NOT NULL AS has_periods,
       EXISTS (SELECT FROM pg_attribute
               WHERE attrelid = to_regclass('contents') AND attname = 'analysis_period_id') AS has_pointers

-- name: contents_by_owners
-- How many contents each pair of topic and user owns, crawled when, before there are pointers to periods.
SELECT topic_id, user_id,
       count(*) FILTER (WHERE due) AS contents,
       min(crawled_at) FILTER (WHERE due) AS first_crawled_at,
       max(crawled_at) FILTER (WHERE due) AS last_crawled_at,
       count(*) FILTER (WHERE NOT due) AS future
FROM (
    SELECT topic_id, user_id, crawled_at, crawled_at <= now() AND crawled_at >= '0001-01-02' AS due FROM contents
) c
GROUP BY topic_id, user_id

-- name: unlinked_contents_by_owners
-- How many contents without a period each pair of topic and user owns, crawled when; those without owner are one pair.
SELECT topic_id, user_id,
       count(*) FILTER (WHERE due) AS contents,
       min(crawled_at) FILTER (WHERE due) AS first_crawled_at,
       max(crawled_at) FILTER (WHERE due) AS last_crawled_at,
       count(*) FILTER (WHERE NOT due) AS future
FROM (
    SELECT topic_id, user_id, crawled_at, crawled_at <= now() AND crawled_at >= '0001-01-02' AS due
    FROM contents
    WHERE analysis_period_id IS NULL AND (topic_id IS NOT NULL OR user_id IS NOT NULL)
) c
GROUP BY topic_id, user_id
UNION ALL
SELECT NULL, NULL, count(*), NULL, NULL, 0 FROM contents WHERE topic_id IS NULL AND user_id IS NULL

-- name: entities_with_periods
-- Topics and users that have a period.
SELECT DISTINCT entity_type, entity_id FROM analysis_periods WHERE status = 'active'

-- name: open_drafts
-- Periods that a backfill began and did not close, with the contents that are linked to them so far.
SELECT p.entity_type, p.entity_id, linked.contents, linked.first_crawled_at, linked.last_crawled_at
FROM temporal_pipeline.period_cut k
JOIN analysis_periods p ON p.id = k.period_id AND p.status = 'draft'
CROSS JOIN LATERAL (
    SELECT count(*) AS contents, min(c.crawled_at) AS first_crawled_at, max(c.crawled_at) AS last_crawled_at
    FROM temporal_pipeline.linked_content l
    JOIN contents c ON c.id = l.content_id
    WHERE l.period_id = p.id
) linked

-- name: running_crawls
-- Topics and users that are being crawled, and whose oldest content has not waited for longer than their crawl interval.
WITH running AS (
    SELECT payload ->> 'topic_id' AS topic, payload ->> 'user_id' AS "user"
    FROM tasks
    WHERE status = 'running' AND (label LIKE 'crawler:%' OR label LIKE 'searcher:%')
), crawled AS (
    SELECT 'topic' AS entity_type, t.id AS entity_id, t.config, oldest.crawled_at
    FROM topics t
    CROSS JOIN LATERAL (SELECT min(c.crawled_at) AS crawled_at FROM contents c WHERE c.topic_id = t.id) oldest
    WHERE CAST(t.id AS text) IN (SELECT topic FROM running)
    UNION ALL
    SELECT 'user', u.id, u.config, oldest.crawled_at
    FROM users u
    CROSS JOIN LATERAL (
        SELECT min(c.crawled_at) AS crawled_at FROM contents c WHERE c.user_id = u.id AND c.topic_id IS NULL
    ) oldest
    WHERE CAST(u.id AS text) IN (SELECT "user" FROM running)
)
SELECT entity_type, entity_id
FROM (
    -- An interval that makes no sense counts as the default of six hours, as everywhere.
    SELECT *, CASE WHEN config ->> 'schedule_interval_hours' ~ '^[0-9]{1,4}([.][0-9]{1,9})?$'
                   THEN CAST(config ->> 'schedule_interval_hours' AS double precision) END AS hours
    FROM crawled
) c
WHERE now() - greatest(crawled_at, '0001-01-02')
      <= make_interval(secs => 3600 * CASE WHEN hours > 0 AND hours <= 8766 THEN hours ELSE 6 END)
