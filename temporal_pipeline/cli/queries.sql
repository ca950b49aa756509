-- name: legacy_entities
-- Topics and users of a database that has no periods yet, with how many contents each owns.
SELECT e.entity_type, e.name, e.status, coalesce(o.contents, 0) AS contents
FROM (
    SELECT 'topic' AS entity_type, id, name, status FROM topics
    UNION ALL
    SELECT 'user', id, name, status FROM users
) e
LEFT JOIN (
    -- Each by its own index, once.
    SELECT 'topic' AS entity_type, topic_id AS id, count(*) AS contents FROM contents
    WHERE topic_id IS NOT NULL GROUP BY topic_id
    UNION ALL
    SELECT 'user', user_id, count(*) FROM contents WHERE user_id IS NOT NULL GROUP BY user_id
) o ON o.entity_type = e.entity_type AND o.id = e.id
ORDER BY e.entity_type, e.name, e.id

-- name: legacy_contents
-- How many contents a database that has no periods yet holds, have neither topic nor user, or lie in the future.
SELECT count(*) AS contents, count(*) FILTER (WHERE topic_id IS NULL AND user_id IS NULL) AS unowned,
       count(*) FILTER (WHERE (crawled_at > now() OR crawled_at < '0001-01-02')
                              AND (topic_id IS NOT NULL OR user_id IS NOT NULL)) AS future
FROM contents

-- name: entities
-- Every topic and user with its active periods and drafts.
SELECT e.entity_type, e.entity_id, e.name, e.status, coalesce(p.periods, 0) AS periods,
       coalesce(p.drafts, 0) AS drafts, coalesce(p.has_period_zero, false) AS has_period_zero, p.contents,
       p.latest_end
FROM temporal_pipeline.entity e
LEFT JOIN (
    SELECT entity_type, entity_id,
           count(*) FILTER (WHERE status = 'active') AS periods,
           count(*) FILTER (WHERE status = 'draft') AS drafts,
           bool_or(period_number = 0 AND status IN ('active', 'archived')) AS has_period_zero,
           sum(content_count) FILTER (WHERE status = 'active') AS contents,
           max(period_end) FILTER (WHERE status = 'active') AS latest_end
    FROM analysis_periods GROUP BY entity_type, entity_id
) p ON p.entity_type = e.entity_type AND p.entity_id = e.entity_id
ORDER BY e.entity_type, e.name, e.entity_id

-- name: contents
-- How many contents there are, belong to a period, belong to nobody, or lie in the future; each by an index of its own.
SELECT (SELECT count(*) FROM contents) AS contents,
       (SELECT count(*) FROM contents WHERE analysis_period_id IS NOT NULL) AS linked,
       (SELECT count(*) FROM contents
        WHERE topic_id IS NULL AND user_id IS NULL AND analysis_period_id IS NULL) AS unowned,
       (SELECT count(*) FROM contents
        WHERE analysis_period_id IS NULL AND (topic_id IS NOT NULL OR user_id IS NOT NULL)
          AND (crawled_at > now() OR crawled_at < '0001-01-02')) AS future

-- name: contents_to_prepare
-- How many contents lack a time or a relevance and were never looked at for them.
SELECT count(*) FROM contents c
WHERE (c.relevance_score IS NULL OR c.published_at IS NULL OR c.discovered_at IS NULL)
  AND NOT EXISTS (SELECT FROM temporal_pipeline.prepared_content p WHERE p.content_id = c.id)

-- name: measured_linking
-- How many contents one of the latest cuts linked in how many seconds, if a single run made it and had enough to do.
SELECT p.contents, extract(epoch FROM c.finished_at - c.started_at) AS seconds
FROM (
    SELECT id, started_at, finished_at FROM temporal_pipeline.cut
    WHERE kind = 'update' AND finished_by = run_id AND finished_at > started_at
    ORDER BY id DESC LIMIT 10
) c
CROSS JOIN LATERAL (
    SELECT sum(p.content_count) AS contents
    FROM temporal_pipeline.period_cut k JOIN analysis_periods p ON p.id = k.period_id
    WHERE k.cut_id = c.id
) p
WHERE p.contents >= CAST(:least AS int)
ORDER BY c.id DESC LIMIT 1

-- name: last_cut
-- The latest cut, and how many periods it made.
SELECT c.id, c.kind, c.instant, c.started_at, c.finished_at, c.run_id,
       (SELECT count(*) FROM temporal_pipeline.period_cut k
        WHERE k.cut_id = c.id AND k.period_id IS NOT NULL) AS periods
FROM temporal_pipeline.cut c ORDER BY c.id DESC LIMIT 1

-- name: unfinished_cuts
-- Cuts that were begun and not finished, with the drafts that they left so far.
SELECT c.id, c.run_id, c.instant, c.started_at,
       (SELECT count(*) FROM temporal_pipeline.period_cut k JOIN analysis_periods p ON p.id = k.period_id
        WHERE k.cut_id = c.id AND p.status = 'draft') AS drafts
FROM temporal_pipeline.cut c WHERE c.finished_at IS NULL
ORDER BY c.id

-- name: is_at_work
-- Whether a process holds one of our advisory locks on this database: its cut is not abandoned.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid = CAST(CAST(:space AS bigint) AS oid)
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)

-- name: strangers
-- How many topics and users there are beside the given ones.
SELECT count(*) FROM (SELECT id FROM topics UNION ALL SELECT id FROM users) e
WHERE NOT e.id = ANY (CAST(:ids AS uuid[]))

-- name: totals
-- How much there is of everything that the graph makes.
SELECT (SELECT count(*) FROM analysis_periods WHERE status = 'active') AS periods,
       (SELECT count(DISTINCT (entity_type, entity_id)) FROM analysis_periods WHERE status = 'active') AS entities,
       (SELECT count(*) FROM period_content_snapshots) AS snapshots,
       (SELECT count(*) FROM temporal_events e JOIN analysis_periods p ON p.id = e.period_id
        WHERE p.status <> 'superseded' AND p.superseded_by IS NULL) AS events

-- name: strongest_event
-- The gravest event, with the post that shows it best as it was known then.
SELECT e.title, e.severity, post.text_snapshot AS text, post.author, post.published_at
FROM temporal_events e
JOIN analysis_periods p ON p.id = e.period_id AND p.status <> 'superseded' AND p.superseded_by IS NULL
LEFT JOIN LATERAL (
    SELECT s.text_snapshot, c.author_username AS author, c.published_at
    FROM event_contents x
    JOIN contents c ON c.id = x.content_id
    JOIN period_content_snapshots s ON s.content_id = x.content_id
    WHERE x.event_id = e.id AND s.text_snapshot <> ''
    ORDER BY x.relevance_to_event DESC NULLS LAST, c.published_at, s.created_at LIMIT 1
) post ON true
ORDER BY array_position(ARRAY['critical', 'warning', 'info'], e.severity::text), e.first_detected_at DESC LIMIT 1

-- name: queries_by_worth
-- What each search query brought in all periods, the most worthwhile first.
SELECT platform, query, sum(total_found) AS found, sum(relevant_count) AS relevant,
       sum(effectiveness_score * total_found) / sum(total_found) AS score
FROM crawl_effectiveness
WHERE effectiveness_score IS NOT NULL AND query NOT LIKE 'from:%'
GROUP BY platform, query
HAVING sum(total_found) > 0
ORDER BY score DESC, found DESC, platform, query

-- name: busiest_trend
-- Posts per hour in the last three periods of the topic with the most contents.
SELECT e.name,
       temporal_pipeline.metric_number(v.prev_prev_metrics->'contents_per_hour') AS before_last,
       temporal_pipeline.metric_number(v.prev_metrics->'contents_per_hour') AS last,
       temporal_pipeline.metric_number(v.metrics->'contents_per_hour') AS now
FROM mv_period_metrics_trend v
JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
WHERE v.entity_type = 'topic'
ORDER BY (SELECT sum(p.content_count) FROM analysis_periods p
          WHERE p.entity_type = v.entity_type AND p.entity_id = v.entity_id AND p.status = 'active') DESC,
         v.entity_id, v.period_number DESC
LIMIT 1
