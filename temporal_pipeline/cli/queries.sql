-- name: legacy_entities
-- Topics and users of a database that has no periods yet, with how many contents each owns.
SELECT e.entity_type, e.name, e.status, owned.contents
FROM (
    SELECT 'topic' AS entity_type, id, name, status FROM topics
    UNION ALL
    SELECT 'user', id, name, status FROM users
) e
CROSS JOIN LATERAL (
    SELECT count(*) AS contents FROM contents c
    WHERE c.topic_id = e.id AND e.entity_type = 'topic' OR c.user_id = e.id AND e.entity_type = 'user'
) owned
ORDER BY e.entity_type, e.name

-- name: legacy_contents
-- How many contents a database that has no periods yet holds, and how many of them have neither topic nor user.
SELECT count(*) AS contents, count(*) FILTER (WHERE topic_id IS NULL AND user_id IS NULL) AS unowned
FROM contents

-- name: entities
-- Every topic and user with its active periods and drafts.
SELECT e.entity_type, e.entity_id, e.name, e.status, coalesce(p.periods, 0) AS periods,
       coalesce(p.drafts, 0) AS drafts, p.contents, p.latest_end
FROM temporal_pipeline.entity e
LEFT JOIN (
    SELECT entity_type, entity_id,
           count(*) FILTER (WHERE status = 'active') AS periods,
           count(*) FILTER (WHERE status = 'draft') AS drafts,
           sum(content_count) FILTER (WHERE status = 'active') AS contents,
           max(period_end) FILTER (WHERE status = 'active') AS latest_end
    FROM analysis_periods GROUP BY entity_type, entity_id
) p ON p.entity_type = e.entity_type AND p.entity_id = e.entity_id
ORDER BY e.entity_type, e.name, e.entity_id

-- name: contents
-- How many contents there are, how many belong to a period, wait, have no owner, or lie in the future.
SELECT count(*) AS contents,
       count(analysis_period_id) AS linked,
       count(*) FILTER (WHERE analysis_period_id IS NULL AND owned AND crawled_at <= now()) AS waiting,
       count(*) FILTER (WHERE NOT owned) AS unowned,
       count(*) FILTER (WHERE analysis_period_id IS NULL AND owned AND crawled_at > now()) AS future
FROM (
    SELECT analysis_period_id, crawled_at, topic_id IS NOT NULL OR user_id IS NOT NULL AS owned FROM contents
) c

-- name: last_cut
-- The latest cut, and how many periods it made.
SELECT c.id, c.kind, c.instant, c.started_at, c.finished_at, c.run_id,
       (SELECT count(*) FROM temporal_pipeline.period_cut k
        WHERE k.cut_id = c.id AND k.period_id IS NOT NULL) AS periods
FROM temporal_pipeline.cut c ORDER BY c.id DESC LIMIT 1

-- name: unfinished_cuts
-- How many cuts were begun and not finished.
SELECT count(*) FROM temporal_pipeline.cut WHERE finished_at IS NULL

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
        WHERE p.status <> 'superseded') AS events

-- name: strongest_event
-- The gravest event, with the post that shows it best as it was known then.
SELECT e.title, e.severity, post.text_snapshot AS text, post.author, post.published_at
FROM temporal_events e
JOIN analysis_periods p ON p.id = e.period_id AND p.status <> 'superseded'
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
