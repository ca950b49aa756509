-- name: missing_legacy_tables
-- Which of the application's tables the search path does not find.
SELECT name FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS expected (name, position)
WHERE to_regclass(name) IS NULL
ORDER BY position

-- name: present_rows
-- Which of the given topics, users and tasks exist.
SELECT 'topic' AS kind, id FROM topics WHERE id = ANY (CAST(:topics AS uuid[]))
UNION ALL
SELECT 'user', id FROM users WHERE id = ANY (CAST(:users AS uuid[]))
UNION ALL
SELECT 'task', id FROM tasks WHERE id = ANY (CAST(:tasks AS uuid[]))

-- name: insert_topics
-- Add the topics that are not there yet and tell which were added.
INSERT INTO topics (id, type, name, icon, platforms, keywords, config, status, is_pinned, position,
                    total_contents, created_at, updated_at)
SELECT id, 'topic', name, '', platforms, keywords, CAST('{}' AS jsonb), status, false, 0,
       0, created_at, created_at
FROM json_to_recordset(CAST(:rows AS json)) AS line (
    id uuid, name text, platforms text[], keywords text[], status text, created_at timestamptz)
ON CONFLICT DO NOTHING
RETURNING id

-- name: insert_users
-- Add the users that are not there yet and tell which were added.
INSERT INTO users (id, name, platform, profile_url, username, config, status, is_pinned, position,
                   total_contents, created_at, updated_at)
SELECT id, name, platform, profile_url, username, CAST('{}' AS jsonb), status, false, 0,
       0, created_at, created_at
FROM json_to_recordset(CAST(:rows AS json)) AS line (
    id uuid, name text, platform text, profile_url text, username text, status text, created_at timestamptz)
ON CONFLICT DO NOTHING
RETURNING id

-- name: save_tasks
-- Add tasks, or bring those that went on since they were written to their later state, never back; a crawl that ended moves last_crawl_at.
WITH saved AS (
    INSERT INTO tasks (id, label, priority, status, payload, created_at, started_at, completed_at,
                       retry_count, max_retries, result)
    SELECT id, label, 0, status, payload, created_at, started_at, completed_at, 0, 3, result
    FROM json_to_recordset(CAST(:rows AS json)) AS line (
        id uuid, label text, status text, payload jsonb, created_at timestamptz,
        started_at timestamptz, completed_at timestamptz, result jsonb)
    ORDER BY id
    ON CONFLICT (id) DO UPDATE
    SET status = excluded.status, started_at = excluded.started_at,
        completed_at = excluded.completed_at, result = excluded.result
    WHERE tasks.completed_at IS NULL
      AND (excluded.completed_at IS NOT NULL
           OR (tasks.started_at IS NULL AND excluded.started_at IS NOT NULL)
           OR array_position(CAST(:stages AS text[]), CAST(excluded.status AS text))
              > array_position(CAST(:stages AS text[]), CAST(tasks.status AS text)))
    RETURNING id, label, status, payload, completed_at
), crawls AS (
    SELECT CAST(payload ->> 'topic_id' AS uuid) AS topic_id, CAST(payload ->> 'user_id' AS uuid) AS user_id,
           completed_at
    FROM saved
    WHERE status = 'completed' AND completed_at IS NOT NULL
      AND (label LIKE 'crawler:%' OR label LIKE 'searcher:%')
), topics_crawled AS (
    UPDATE topics SET last_crawl_at = latest.completed_at,
                      updated_at = GREATEST(topics.updated_at, latest.completed_at)
    FROM (SELECT topic_id, max(completed_at) AS completed_at FROM crawls GROUP BY topic_id) AS latest
    WHERE topics.id = latest.topic_id
      AND (topics.last_crawl_at IS NULL OR topics.last_crawl_at < latest.completed_at)
), users_crawled AS (
    UPDATE users SET last_crawl_at = latest.completed_at,
                     updated_at = GREATEST(users.updated_at, latest.completed_at)
    FROM (SELECT user_id, max(completed_at) AS completed_at FROM crawls GROUP BY user_id) AS latest
    WHERE users.id = latest.user_id
      AND (users.last_crawl_at IS NULL OR users.last_crawl_at < latest.completed_at)
)
SELECT id FROM saved

-- name: known_contents
-- When the contents that are already there were first found and, as far as a replay did it, last crawled.
SELECT platform, platform_content_id, crawled_at, data ->> 'recrawled_at' AS recrawled_at
FROM contents
JOIN unnest(CAST(:platforms AS text[]), CAST(:keys AS text[])) AS line (platform, platform_content_id)
     USING (platform, platform_content_id)

-- name: insert_contents
-- Add contents found for the first time and count them at their topic and user; tells how many were added.
WITH added AS (
    INSERT INTO contents (id, task_id, topic_id, user_id, platform, platform_content_id, source_url, crawled_at,
                          author_username, text, lang, hashtags, media_downloaded, metrics, data)
    SELECT id, task_id, topic_id, user_id, platform, platform_content_id, source_url, crawled_at,
           author_username, text, lang, hashtags, false, metrics, data
    FROM json_to_recordset(CAST(:rows AS json)) AS line (
        id uuid, task_id uuid, topic_id uuid, user_id uuid, platform text, platform_content_id text,
        source_url text, crawled_at timestamptz, author_username text, text text, lang text, hashtags text[],
        metrics jsonb, data jsonb)
    ON CONFLICT DO NOTHING
    RETURNING topic_id, user_id
), topics_counted AS (
    UPDATE topics SET total_contents = topics.total_contents + found.contents
    FROM (SELECT topic_id, count(*) AS contents FROM added GROUP BY topic_id) AS found
    WHERE topics.id = found.topic_id
), users_counted AS (
    UPDATE users SET total_contents = users.total_contents + found.contents
    FROM (SELECT user_id, count(*) AS contents FROM added GROUP BY user_id) AS found
    WHERE users.id = found.user_id
)
SELECT count(*) FROM added

-- name: update_contents
-- Put the newer text, metrics and data of contents that were crawled again in place, unless a newer crawl did so already.
UPDATE contents
SET text = line.text, metrics = line.metrics,
    data = CASE WHEN jsonb_typeof(contents.data) = 'object' THEN contents.data ELSE CAST('{}' AS jsonb) END || line.data
FROM json_to_recordset(CAST(:rows AS json)) AS line (
    platform text, platform_content_id text, text text, metrics jsonb, data jsonb)
WHERE contents.platform = line.platform AND contents.platform_content_id = line.platform_content_id
  AND COALESCE(contents.data ->> 'recrawled_at', '') < line.data ->> 'recrawled_at'

-- name: record_found_contents
-- Append to the result of each completed task the contents that it found, in the order of finding and each once.
WITH line AS (
    SELECT task_id, platform, platform_content_id, position
    FROM unnest(CAST(:tasks AS uuid[]), CAST(:platforms AS text[]), CAST(:keys AS text[]))
         WITH ORDINALITY AS line (task_id, platform, platform_content_id, position)
), listed AS (
    SELECT tasks.id AS task_id, content_id
    FROM tasks,
         jsonb_array_elements_text(CASE WHEN jsonb_typeof(tasks.result -> 'content_ids') = 'array'
                                        THEN tasks.result -> 'content_ids' END) AS content_id
    WHERE tasks.id = ANY (CAST(:tasks AS uuid[]))
), found AS (
    SELECT line.task_id, jsonb_agg(contents.id ORDER BY line.position) AS content_ids,
           count(*) FILTER (WHERE contents.task_id = line.task_id) AS new_count
    FROM line
    JOIN contents USING (platform, platform_content_id)
    WHERE (line.task_id, CAST(contents.id AS text)) NOT IN (
        SELECT task_id, content_id FROM listed WHERE content_id IS NOT NULL)
    GROUP BY line.task_id
)
UPDATE tasks
SET result = tasks.result
    || jsonb_build_object('content_ids', tasks.result -> 'content_ids' || found.content_ids)
    || CASE WHEN jsonb_typeof(tasks.result -> 'new_count') = 'number'
            THEN jsonb_build_object('new_count', CAST(tasks.result ->> 'new_count' AS bigint) + found.new_count)
            ELSE CAST('{}' AS jsonb) END
FROM found
WHERE tasks.id = found.task_id AND jsonb_typeof(tasks.result -> 'content_ids') = 'array'
