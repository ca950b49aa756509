-- name: plant_topic_summaries
-- The application's own texts about topics, where it has none yet.
UPDATE topics SET last_summary = line.last_summary, summary_data = line.summary_data
FROM json_to_recordset(CAST(:rows AS json)) AS line (id uuid, last_summary text, summary_data jsonb)
WHERE topics.id = line.id AND topics.last_summary IS NULL AND topics.summary_data IS NULL

-- name: plant_user_summaries
-- The application's own texts about users, where it has none yet.
UPDATE users SET last_summary = line.last_summary, summary_data = line.summary_data
FROM json_to_recordset(CAST(:rows AS json)) AS line (id uuid, last_summary text, summary_data jsonb)
WHERE users.id = line.id AND users.last_summary IS NULL AND users.summary_data IS NULL

-- name: plant_chat_messages
-- What the analyst and the application said to each other, each message once.
INSERT INTO chat_messages (entity_type, entity_id, role, content, is_archived, created_at)
SELECT entity_type, entity_id, role, content, false, created_at
FROM json_to_recordset(CAST(:rows AS json)) AS line (
    entity_type text, entity_id uuid, role text, content text, created_at timestamptz)
WHERE NOT EXISTS (SELECT FROM chat_messages AS said
                  WHERE said.entity_type = line.entity_type AND said.entity_id = line.entity_id
                    AND said.created_at = line.created_at)
ORDER BY created_at

-- name: plant_topic_user
-- A user listed under a topic, which makes that user no owner of its posts.
INSERT INTO topic_users (topic_id, user_id) VALUES (CAST(:topic AS uuid), CAST(:user AS uuid))
ON CONFLICT DO NOTHING

-- name: plant_media
-- A picture for about every eighth post with an owner.
INSERT INTO content_media (content_id, media_type, url)
SELECT id, 'image', source_url || '/picture.jpg'
FROM contents
WHERE source_url LIKE 'https://%.example/%' AND md5(platform_content_id) LIKE ANY (ARRAY['0%', '1%'])
  AND (topic_id = ANY (CAST(:topics AS uuid[])) OR user_id = ANY (CAST(:users AS uuid[])))
  AND NOT EXISTS (SELECT FROM content_media WHERE content_media.content_id = contents.id)

-- name: plant_json_null_metrics
-- A content whose metrics are no object.
UPDATE contents SET metrics = CAST('null' AS jsonb)
WHERE id = CAST(:content AS uuid) AND metrics <> CAST('null' AS jsonb)

-- name: plant_dangling_ids
-- Contents that were deleted since a task found them.
UPDATE tasks SET result = jsonb_set(result, '{content_ids}', result -> 'content_ids' || CAST(:ids AS jsonb))
WHERE id = CAST(:task AS uuid) AND NOT result -> 'content_ids' @> CAST(:ids AS jsonb)

-- name: plant_old_last_crawl
-- A topic whose last crawl lies before its first content.
UPDATE topics SET last_crawl_at = CAST(:time AS timestamptz)
WHERE id = CAST(:topic AS uuid) AND last_crawl_at IS DISTINCT FROM CAST(:time AS timestamptz)

-- name: has_periods
-- Whether the temporal tables are there.
SELECT to_regclass('analysis_periods') IS NOT NULL

-- name: plant_application_period
-- An active period of a user, closed by the application after its own crawl, with its counters and contents.
WITH earlier AS (
    SELECT max(period_number) AS number, max(period_end) AS ended
    FROM analysis_periods
    WHERE entity_type = 'user' AND entity_id = CAST(:user AS uuid) AND status = 'active'
), period AS (
    INSERT INTO analysis_periods (id, entity_type, entity_id, period_start, period_end, analyzed_at, period_number,
                                  duration_hours, status, content_count, summary, summary_short, metrics)
    SELECT CAST(:period AS uuid), 'user', CAST(:user AS uuid), bounds.starts, bounds.ends, bounds.ends,
           COALESCE(earlier.number + 1, 0), EXTRACT(EPOCH FROM bounds.ends - bounds.starts) / 3600, 'active',
           cardinality(CAST(:contents AS uuid[])), CAST(:summary AS text), CAST(:summary AS text),
           jsonb_build_object('total_contents', cardinality(CAST(:contents AS uuid[])))
    FROM earlier
    CROSS JOIN LATERAL (SELECT COALESCE(earlier.ended, CAST(:crawled_at AS timestamptz)) AS starts) AS begin
    CROSS JOIN LATERAL (SELECT begin.starts,
                               GREATEST(CAST(:analyzed_at AS timestamptz),
                                        begin.starts + interval '1 minute') AS ends) AS bounds
    WHERE NOT EXISTS (SELECT FROM analysis_periods WHERE id = CAST(:period AS uuid))
      -- After a downgrade and a new migration the pipeline's Period 0 has them already.
      AND NOT EXISTS (
          SELECT FROM contents c
          WHERE c.id = ANY (CAST(:contents AS uuid[])) AND c.analysis_period_id IS NOT NULL
      )
    RETURNING id, entity_id, period_number, duration_hours
), counted AS (
    UPDATE users
    SET current_period_number = period.period_number, last_period_id = period.id,
        total_periods = users.total_periods + 1,
        first_analysis_at = COALESCE(users.first_analysis_at, CAST(:analyzed_at AS timestamptz)),
        avg_period_duration_hours = (
            SELECT avg(hours)
            FROM (SELECT duration_hours AS hours
                  FROM analysis_periods
                  WHERE entity_type = 'user' AND entity_id = CAST(:user AS uuid) AND status = 'active'
                  UNION ALL
                  SELECT period.duration_hours) AS durations)
    FROM period
    WHERE users.id = period.entity_id
)
UPDATE contents SET analysis_period_id = period.id
FROM period
WHERE contents.id = ANY (CAST(:contents AS uuid[])) AND contents.analysis_period_id IS NULL
