-- A crawler's month in large: topics and users, crawl tasks, contents of which some have two owners.
INSERT INTO topics (id, type, name, icon, platforms, keywords, config, status, is_pinned, position,
                    total_contents, last_crawl_at, created_at, updated_at)
SELECT md5('topic' || n)::uuid, 'topic', 'topic ' || n, '', '{x}', ARRAY['keyword' || n, 'subject'],
       '{"schedule_interval_hours": 6}', 'active', false, n, 0, '2026-03-01Z', '2026-01-01Z', '2026-01-01Z'
FROM generate_series(0, %(topics)s - 1) n;

INSERT INTO users (id, name, platform, profile_url, username, config, status, is_pinned, position,
                   total_contents, last_crawl_at, created_at, updated_at)
SELECT md5('user' || n)::uuid, 'user ' || n, 'x', 'https://x.example/user' || n, 'user' || n,
       '{"schedule_interval_hours": 6}', 'active', false, n, 0, '2026-03-01Z', '2026-01-01Z', '2026-01-01Z'
FROM generate_series(0, %(users)s - 1) n;

-- One task per owner and six hours: 120 rounds.
INSERT INTO tasks (id, label, priority, status, payload, created_at, started_at, completed_at,
                   retry_count, max_retries, result)
SELECT md5('task' || kind || n || '/' || round)::uuid, 'crawler:x', 0, 'completed',
       CASE kind WHEN 'topic' THEN jsonb_build_object('topic_id', md5('topic' || n)::uuid, 'action', 'search',
                                                      'query', 'keyword' || n || ' ' || round %% 5)
                 ELSE jsonb_build_object('user_id', md5('user' || n)::uuid, 'action', 'timeline',
                                         'username', 'user' || n) END,
       at, at, at + interval '1 minute', 0, 3, '{"tweets_found": 7, "content_ids": []}'
FROM (SELECT 'topic' AS kind, generate_series(0, %(topics)s - 1) AS n
      UNION ALL SELECT 'user', generate_series(0, %(users)s - 1)) owner,
     LATERAL (SELECT round, timestamptz '2026-01-30Z' + round * interval '6 hours' AS at
              FROM generate_series(1, 120) round) crawl;

-- The first `largest` contents are all of topic 0; of the others 60 %% have a topic, 24 %% a user, 15 %% both, 1 %%
-- nobody. Without secondary indexes, which the caller makes afterwards, a million takes half a minute.
INSERT INTO contents (id, task_id, topic_id, user_id, platform, platform_content_id, source_url, crawled_at,
                      author_uid, author_username, text, lang, hashtags, media_downloaded, metrics, data)
SELECT md5('content' || n)::uuid,
       md5('task' || CASE WHEN topic IS NULL AND "user" IS NOT NULL THEN 'user' || "user"
                          ELSE 'topic' || coalesce(topic, 0) END || '/' || round)::uuid,
       md5('topic' || topic)::uuid, md5('user' || "user")::uuid, 'x', n::text,
       'https://x.example/author' || author || '/status/' || n, crawled_at, author::text, 'author' || author,
       'post ' || n || ' on keyword' || coalesce(topic, n %% 50) || ' and its subject, ' || repeat('word ', 10 + n %% 40),
       'en', CASE WHEN n %% 3 > 0 THEN ARRAY['subject' || n %% 50, 'tag' || author] ELSE '{}' END, false,
       jsonb_build_object('like_count', n %% 500, 'retweet_count', n %% 40, 'reply_count', n %% 30,
                          'quote_count', n %% 9, 'views_count', n %% 9000),
       jsonb_build_object('created_at', to_char((crawled_at - interval '1 minute' * abs(hashint4(n + 1) %% 360)) AT TIME ZONE 'UTC',
                                                'Dy Mon DD HH24:MI:SS +0000 YYYY'))
FROM (SELECT n, 1 + abs(hashint4(n) %% 120) AS round, abs(hashint4(n + 2) %% 5000) AS author,
             CASE WHEN n < %(largest)s THEN 0 WHEN n %% 20 < 15 THEN n %% %(topics)s END AS topic,
             CASE WHEN n >= %(largest)s AND n %% 20 >= 12 AND n %% 100 < 99 THEN n / 7 %% %(users)s END AS "user"
      FROM generate_series(0, %(rows)s - 1) n) owner,
     LATERAL (SELECT timestamptz '2026-01-30Z' + round * interval '6 hours' + interval '1 second' * (n %% 60)
                     AS crawled_at) crawl;
