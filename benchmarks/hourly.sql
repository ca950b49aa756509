-- Topics that are crawled every hour, with posts of every hour, as the stages before the events leave them.
INSERT INTO topics (id, type, name, icon, platforms, keywords, config, status, is_pinned, position,
                    total_contents, last_crawl_at, created_at, updated_at)
SELECT md5('topic' || n)::uuid, 'topic', 'topic ' || n, '', '{x}', ARRAY['keyword' || n],
       '{"schedule_interval_hours": 1}', 'active', false, n, 0, NULL, '2026-01-01Z', '2026-01-01Z'
FROM generate_series(1, %(topics)s) n;

INSERT INTO tasks (id, label, priority, status, payload, created_at, started_at, completed_at,
                   retry_count, max_retries, result)
SELECT md5('task' || n || '/' || hour)::uuid, 'crawler:x', 0, 'completed',
       jsonb_build_object('topic_id', md5('topic' || n)::uuid, 'action', 'search', 'query', 'keyword' || n),
       at, at, at + interval '1 minute', 0, 3, jsonb_build_object('tweets_found', %(posts)s)
FROM generate_series(1, %(topics)s) n, generate_series(1, %(hours)s) hour,
     LATERAL (SELECT timestamptz '2026-01-05Z' + hour * interval '1 hour' AS at) crawl;

-- The last hour is a period of its own: what came since the search before.
INSERT INTO analysis_periods (id, entity_type, entity_id, period_start, period_end, period_number, duration_hours,
                              status, content_count, summary, metrics)
SELECT md5('period' || n || '/' || number)::uuid, 'topic', md5('topic' || n)::uuid,
       timestamptz '2026-01-05 00:01Z' + CASE number WHEN 0 THEN 0 ELSE %(hours)s - 1 END * interval '1 hour',
       timestamptz '2026-01-05 00:01Z' + CASE number WHEN 0 THEN %(hours)s - 1 ELSE %(hours)s END * interval '1 hour',
       number, 1, 'active', 1, '', '{}'
FROM generate_series(1, %(topics)s) n, generate_series(0, 1) number;

-- As many posts an hour as asked for, with a day's rise and fall, a burst of ten times that here and there.
INSERT INTO contents (id, task_id, topic_id, platform, platform_content_id, source_url, crawled_at, text, hashtags,
                      media_downloaded, metrics, data, published_at, discovered_at, relevance_score,
                      analysis_period_id)
SELECT md5('content' || n || '/' || hour || '/' || i)::uuid, md5('task' || n || '/' || hour)::uuid,
       md5('topic' || n)::uuid, 'x', n || '/' || hour || '/' || i, 'https://x.example/' || i, at, 'a post', '{}', false,
       jsonb_build_object('like_count', abs(hashint4(n + hour * 7 + i)) %% 50, 'reply_count', i %% 7), '{}',
       at - interval '30 minutes', at, 0.5,
       md5('period' || n || '/' || CASE WHEN hour = %(hours)s THEN 1 ELSE 0 END)::uuid
FROM generate_series(1, %(topics)s) n, generate_series(1, %(hours)s) hour,
     LATERAL (SELECT timestamptz '2026-01-05Z' + hour * interval '1 hour' AS at) crawl,
     generate_series(1, greatest(1, CAST(%(posts)s * (1 + 0.5 * sin(hour * 0.2618)
         + CASE WHEN abs(hashint4(n * 1000 + hour)) %% 500 = 0 THEN 9 ELSE 0 END) AS int))) i;

INSERT INTO period_content_snapshots (period_id, content_id, relevance_score, text_snapshot)
SELECT analysis_period_id, id, relevance_score, text FROM contents;
UPDATE analysis_periods p SET content_count = counted.n
FROM (SELECT analysis_period_id, count(*) AS n FROM contents GROUP BY 1) counted WHERE counted.analysis_period_id = p.id;
INSERT INTO temporal_pipeline.period_stage (period_id, stage, method)
SELECT id, 'snapshots', 'benchmark' FROM analysis_periods WHERE period_number = 0;
