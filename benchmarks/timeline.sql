-- A long history in large: every entity has its periods of six hours, one crawl and its posts in each, measured queries,
-- and now and then an event with its evidence. Entity 0 has `largest` periods. Recorded when each period ended.
SET session_replication_role = replica;
SET timezone = 'UTC';

INSERT INTO topics (id, type, name, icon, platforms, keywords, config, status, is_pinned, position, total_contents,
                    created_at, updated_at)
SELECT md5('topic' || n)::uuid, 'topic', 'topic ' || n, '', '{x}', '{subject}', '{"schedule_interval_hours": 6}',
       'active', false, n, 0, '2020-01-01Z', '2020-01-01Z'
FROM generate_series(0, %(entities)s - 1) n;

CREATE TEMPORARY TABLE made AS
SELECT md5('period' || topic || '/' || number)::uuid AS id, md5('topic' || topic)::uuid AS topic_id, topic, number,
       timestamptz '2020-01-01Z' + number * interval '6 hours' AS begins,
       timestamptz '2020-01-01Z' + (number + 1) * interval '6 hours' AS ends,
       row_number() OVER (ORDER BY topic, number) - 1 AS place
FROM (SELECT 0 AS topic, generate_series(0, %(largest)s - 1) AS number
      UNION ALL
      SELECT 1 + n %% (%(entities)s - 1), n / (%(entities)s - 1) FROM generate_series(0, %(periods)s - %(largest)s - 1) n) chosen;

INSERT INTO analysis_periods (id, entity_type, entity_id, period_start, period_end, analyzed_at, created_at, updated_at,
                              period_number, duration_hours, content_count, summary, summary_short, metrics,
                              completeness_score, quality_score)
SELECT id, 'topic', topic_id, begins, ends, ends, ends, ends, number, 6, 10, repeat('What was said in this period. ', 20),
       'Ten posts by ten authors, about as many as before.',
       jsonb_build_object('total_contents', 10, 'total_likes', number %% 70, 'total_views', number * 13 %% 999,
                          'avg_relevance', 0.7, 'contents_per_hour', 1.67, 'platforms', '{"x": 10}'::jsonb),
       CASE WHEN number %% 20 = 0 THEN 0.8 ELSE 1 END, 0.9
FROM made;

INSERT INTO tasks (id, label, priority, status, payload, created_at, started_at, completed_at, retry_count, max_retries,
                   period_id)
SELECT md5('task' || place)::uuid, 'crawler:x', 0, 'completed',
       jsonb_build_object('topic_id', topic_id, 'action', 'search', 'query', 'subject ' || number %% 5),
       ends - interval '1 minute', ends - interval '1 minute', ends, 0, 3, id
FROM made;

INSERT INTO contents (id, task_id, topic_id, platform, platform_content_id, source_url, crawled_at, author_username, text,
                      hashtags, media_downloaded, metrics, data, analysis_period_id, published_at, discovered_at,
                      relevance_score)
SELECT md5('content' || n)::uuid, md5('task' || place)::uuid, topic_id, 'x', n::text, 'https://x.example/status/' || n,
       ends - interval '30 seconds', 'author' || n %% 5000,
       'post ' || n || ' on word' || n %% 97 || ' and its subject, ' || repeat('word ', n %% 30), '{}', false,
       '{"like_count": 3}', '{}', id, begins + interval '1 minute' * abs(hashint8(n) %% 350), ends, (n %% 100) / 100.0
FROM generate_series(0, %(snapshots)s - 1) n JOIN made ON made.place = n %% %(periods)s;

INSERT INTO period_content_snapshots (period_id, content_id, relevance_score, text_snapshot, created_at)
SELECT analysis_period_id, id, relevance_score, text, discovered_at FROM contents;

INSERT INTO crawl_effectiveness (period_id, entity_type, entity_id, platform, query, total_found, relevant_count,
                                 effectiveness_score, created_at)
SELECT id, 'topic', topic_id, 'x', 'subject ' || q, 10, 5, ((number * 7 + q * 13) %% 100) / 100.0, ends
FROM made, generate_series(1, 3) q;

INSERT INTO temporal_events (id, period_id, entity_type, entity_id, event_type, severity, title, description,
                             first_detected_at, created_at, last_updated_at, resolved_at, metadata)
SELECT md5('event' || place)::uuid, id, 'topic', topic_id, 'anomaly', 'warning', 'topic ' || topic || ': many posts',
       'Many more posts than usual.', ends, ends, over, CASE WHEN place %% 30 > 0 THEN over END,
       jsonb_build_object('detector', 'temporal_pipeline', 'state', 'resolved', 'onset', to_jsonb(begins), 'history',
           jsonb_build_array(jsonb_build_object('at', ends, 'state', 'active', 'severity', 'warning', 'title', 'early'),
                             jsonb_build_object('at', over, 'state', 'resolved', 'resolved_at', over)))
FROM made, LATERAL (SELECT ends + interval '12 hours' AS over) later
WHERE place %% 10 = 0;

INSERT INTO event_contents (event_id, content_id, relevance_to_event, added_at)
SELECT md5('event' || made.place)::uuid, c.id, c.relevance_score, made.ends
FROM made JOIN contents c ON c.analysis_period_id = made.id
WHERE made.place %% 10 = 0;

INSERT INTO temporal_pipeline.prepared_content (content_id, method, scored) SELECT id, 'synthetic', true FROM contents;
