-- Ten questions in plain SQL, for psql, Grafana, Metabase and the like. Names of topics and users are in `topics` and
-- `users`; put your own filter where one is shown. What was known at an earlier time is asked with
-- `temporal-pipeline query … --as-of`, which takes care of what was superseded or changed since.

-- 1. Which topics and users are there, since when, and how well are they crawled?
SELECT e.name, s.entity_type, s.total_periods, s.first_period_start, s.last_period_end,
       s.total_content_across_periods, round(s.avg_completeness_score::numeric, 2) AS coverage
FROM v_entity_timeline_summary s
JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
ORDER BY s.last_period_end DESC, e.name;

-- 2. What was new in the last period of each?
SELECT DISTINCT ON (p.entity_type, p.entity_id)
       e.name, p.period_number, p.period_start, p.period_end, p.content_count, p.unresolved_event_count, p.summary_short
FROM v_period_timeline p
JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
ORDER BY p.entity_type, p.entity_id, p.period_number DESC;

-- 3. How did one topic develop? A line per period, for a chart of posts per hour.
SELECT p.period_end AS time, (p.metrics->>'contents_per_hour')::float AS posts_per_hour, p.completeness_score AS coverage
FROM v_period_timeline p
JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
WHERE e.name = 'Solid-state batteries'
ORDER BY p.period_number;

-- 4. What changed most against the period before, in per cent, where rates can be compared?
SELECT e.name, t.period_number, (t.prev_metrics->>'contents_per_hour')::float AS before,
       (t.metrics->>'contents_per_hour')::float AS now,
       (t.metrics_delta->'pct'->>'contents_per_hour')::float AS change_pct
FROM mv_period_metrics_trend t
JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
WHERE t.metrics_delta->'pct' ? 'contents_per_hour'
ORDER BY abs((t.metrics_delta->'pct'->>'contents_per_hour')::float) DESC, e.name, t.period_number
LIMIT 10;

-- 5. Which events were there, which of them are not over, and how many posts show each?
SELECT e.name, v.severity, v.title, v.first_detected_at, v.resolved_at, count(k.content_id) AS evidence
FROM temporal_events v
JOIN analysis_periods p ON p.id = v.period_id AND p.status = 'active'
JOIN temporal_pipeline.entity e ON e.entity_type = v.entity_type AND e.entity_id = v.entity_id
LEFT JOIN event_contents k ON k.event_id = v.id
GROUP BY v.id, e.name
ORDER BY v.resolved_at IS NOT NULL, v.first_detected_at DESC, v.id
LIMIT 20;

-- 6. Which posts show the latest events, the weightiest first, as they were when they were frozen?
SELECT v.title, k.relevance_to_event, c.author_username, s.text_snapshot
FROM temporal_events v
JOIN event_contents k ON k.event_id = v.id
JOIN contents c ON c.id = k.content_id
LEFT JOIN period_content_snapshots s ON s.content_id = c.id AND s.period_id = c.analysis_period_id
ORDER BY v.first_detected_at DESC, v.id, k.relevance_to_event DESC NULLS LAST, c.id
LIMIT 10;

-- 7. Which crawl queries are worth their cost lately, and which are not?
SELECT DISTINCT ON (r.entity_type, r.entity_id, r.platform, r.query)
       e.name, r.platform, r.query, r.recent_avg_effectiveness, r.total_found, r.relevant_count
FROM v_crawl_effectiveness_ranking r
JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
ORDER BY r.entity_type, r.entity_id, r.platform, r.query, r.created_at DESC;

-- 8. What was said about a topic on a day, the most relevant first within each period?
SELECT t.period_number, t.relevance_score, t.text_snapshot
FROM topics
CROSS JOIN LATERAL get_content_timeline('topic', topics.id, '2026-02-24', '2026-02-25', 0.7) t
WHERE topics.name = 'Solid-state batteries'
ORDER BY t.period_number DESC, t.relevance_score DESC, t.content_id
LIMIT 20;

-- 9. Which periods were analysed again, why, and what did the posts in them grow by?
SELECT e.name, old.period_number, old.supersession_reason, new.analyzed_at AS since,
       (new.metrics->>'total_likes')::float - (old.metrics->>'total_likes')::float AS likes
FROM analysis_periods old
JOIN analysis_periods new ON new.id = old.superseded_by
JOIN temporal_pipeline.entity e ON e.entity_type = old.entity_type AND e.entity_id = old.entity_id
ORDER BY new.analyzed_at DESC, e.name;

-- 10. Where did crawls miss a part of a period, so that silence there says nothing?
SELECT e.name, p.period_number, p.period_start, p.period_end, round(100 * (1 - p.completeness_score)::numeric, 1) AS missed_pct
FROM v_period_timeline p
JOIN temporal_pipeline.entity e USING (entity_type, entity_id)
WHERE p.completeness_score < 1
ORDER BY p.completeness_score, e.name, p.period_number
LIMIT 20;
