-- name: unprepared_in_pages
-- Places of the contents in a range of pages that were never prepared.
SELECT CAST(c.place AS text)
FROM (
    SELECT ctid AS place, id, topic_id, user_id, crawled_at, relevance_score, published_at, discovered_at
    FROM contents WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:end AS tid)
    -- A fence, so that the rows are found by their places, whatever the planner believes of the other conditions.
    OFFSET 0
) c
WHERE (c.relevance_score IS NULL OR c.published_at IS NULL OR c.discovered_at IS NULL)
  AND (CAST(:everybody AS boolean) OR coalesce(c.topic_id, c.user_id) = ANY (CAST(:entity_ids AS uuid[])))
  AND c.crawled_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
  -- Not EXISTS, which the planner may answer by reading the whole table.
  AND (SELECT true FROM temporal_pipeline.prepared_content p WHERE p.content_id = c.id) IS NULL;

-- name: unprepared_page
-- The next contents in order of id that were never prepared, and their places.
SELECT c.id, CAST(c.ctid AS text) AS place
FROM contents c
WHERE (c.relevance_score IS NULL OR c.published_at IS NULL OR c.discovered_at IS NULL)
  AND c.id > CAST(:after AS uuid)
  AND NOT EXISTS (SELECT FROM temporal_pipeline.prepared_content p WHERE p.content_id = c.id)
  AND (CAST(:everybody AS boolean) OR coalesce(c.topic_id, c.user_id) = ANY (CAST(:entity_ids AS uuid[])))
  AND c.crawled_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
ORDER BY c.id
LIMIT CAST(:batch_size AS int);

-- name: read_contents
-- What is needed to prepare the contents at some places, and nothing for what they have already.
-- Texts and dates beyond what a score or a time needs are cut off, and crawl times that Python has no name for
-- are replaced, so that no single row can exhaust memory or stop its batch.
SELECT c.id, CAST(c.place AS text) AS place, c.topic_id, c.user_id,
       CASE WHEN c.relevance_score IS NULL THEN left(c.text, CAST(:characters AS int)) END AS text,
       CASE WHEN c.relevance_score IS NULL THEN array_to_string(c.hashtags, ' ') END AS hashtags,
       c.processing_status,
       coalesce(c.key_points NOT IN ('null', '[]', '{}', '""'), false) AS has_key_points,
       coalesce(temporal_pipeline.metric_number(c.metrics->'like_count'), 0)
           + coalesce(temporal_pipeline.metric_number(c.metrics->'retweet_count'), 0)
           + coalesce(temporal_pipeline.metric_number(c.metrics->'reply_count'), 0)
           + coalesce(temporal_pipeline.metric_number(c.metrics->'quote_count'), 0) AS reactions,
       CASE WHEN c.published_at BETWEEN '0001-01-02 00:00:00+00' AND '9999-12-01 00:00:00+00'
            THEN c.published_at END AS published_at,
       least(greatest(c.crawled_at, '0001-01-02 00:00:00+00'), '9999-12-01 00:00:00+00') AS crawled_at,
       c.published_at IS NULL AS lacks_published_at,
       c.relevance_score IS NULL AS lacks_relevance,
       CASE WHEN c.published_at IS NULL THEN ARRAY(
           -- Concatenated with nothing and fenced, the document is read from its place once and not for each key.
           SELECT left(d.document->>k.key, 100)
           FROM (SELECT c.data || '{}'::jsonb AS document OFFSET 0) d,
                unnest(CAST(:date_keys AS text[])) WITH ORDINALITY AS k (key, position)
           ORDER BY k.position
       ) END AS dates
FROM (SELECT ctid AS place, * FROM contents WHERE ctid = ANY (CAST(:places AS tid[])) OFFSET 0) c
-- Another content may have come to a place meanwhile.
WHERE (c.relevance_score IS NULL OR c.published_at IS NULL OR c.discovered_at IS NULL)
  AND (SELECT true FROM temporal_pipeline.prepared_content p WHERE p.content_id = c.id) IS NULL;

-- name: unprepared_by_owner
-- How many contents were never prepared, per primary owner; contents without an owner under a null id.
SELECT coalesce(c.topic_id, c.user_id) AS entity_id, count(*) AS contents,
       count(*) FILTER (WHERE c.relevance_score IS NULL) AS without_relevance,
       count(*) FILTER (WHERE c.published_at IS NULL) AS without_publication_time
FROM contents c
WHERE (c.relevance_score IS NULL OR c.published_at IS NULL OR c.discovered_at IS NULL)
  AND NOT EXISTS (SELECT FROM temporal_pipeline.prepared_content p WHERE p.content_id = c.id)
  AND (CAST(:everybody AS boolean) OR coalesce(c.topic_id, c.user_id) = ANY (CAST(:entity_ids AS uuid[])))
  AND c.crawled_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
GROUP BY 1
ORDER BY 2 DESC, 1;

-- name: write_answers
-- Fill what is missing in contents that are still as they were read, and mark them as prepared; the ids of these.
-- Whatever the application changes gets another place: an answer to a text of before is not written. What it holds is left.
WITH answer AS (
    SELECT * FROM unnest(
        CAST(:places AS tid[]), CAST(:ids AS uuid[]), CAST(:published AS timestamptz[]),
        CAST(:scores AS double precision[]), CAST(:notes AS text[])
    ) AS a (place, id, published_at, relevance_score, note)
), held AS MATERIALIZED (
    SELECT ctid AS place, id, discovered_at IS NULL AS is_undiscovered
    FROM contents WHERE ctid = ANY (CAST(:places AS tid[]))
    FOR NO KEY UPDATE SKIP LOCKED
), free AS MATERIALIZED (
    SELECT a.*, held.is_undiscovered FROM held JOIN answer a ON a.place = held.place AND a.id = held.id
), filled AS (
    UPDATE contents c
    SET published_at = coalesce(c.published_at, a.published_at),
        discovered_at = coalesce(c.discovered_at, c.crawled_at),
        relevance_score = coalesce(c.relevance_score, a.relevance_score)
    FROM free a
    WHERE c.ctid = a.place
      -- A row that gains nothing is not written anew, with all its indexes.
      AND (a.is_undiscovered OR a.published_at IS NOT NULL OR a.relevance_score IS NOT NULL)
)
INSERT INTO temporal_pipeline.prepared_content (content_id, method, scored, note, relevance_score)
SELECT id, CAST(:method AS text), relevance_score IS NOT NULL, note, relevance_score FROM free
-- Two workers have the same content when it moved from one's pages to the other's.
ON CONFLICT (content_id) DO NOTHING
RETURNING content_id;

-- name: make_durable
-- Something of which the commit waits for the disk, and with it all that was committed before.
SELECT pg_logical_emit_message(true, 'temporal_pipeline', CAST('prepared' AS text));

-- name: content_state
-- How many contents there are, and a digest of which were prepared how.
SELECT (SELECT count(*) FROM contents) AS contents,
       md5(concat_ws(',', count(*), count(*) FILTER (WHERE scored), sum(uuid_hash_extended(content_id, 0)),
                     min(method), max(method), count(note))) AS digest
FROM temporal_pipeline.prepared_content;

-- name: scores_out_of_range
-- Contents whose relevance is no number from 0 to 1; a thousand are enough to see what is wrong.
SELECT id, relevance_score
FROM contents
WHERE relevance_score < 0 OR relevance_score > 1
LIMIT 1000;

-- name: prepared_without_answer
-- Prepared contents that still lack a value although no reason was noted; a thousand at the most.
SELECT c.id, c.relevance_score, c.published_at::text AS published_at, c.discovered_at::text AS discovered_at
FROM contents c
JOIN temporal_pipeline.prepared_content p ON p.content_id = c.id
WHERE (c.relevance_score IS NULL OR c.published_at IS NULL OR c.discovered_at IS NULL) AND p.note IS NULL
LIMIT 1000;

-- name: owners_to_learn
-- How many new contents, and how many with a text, each topic and user has from which nothing was learnt, and those whose learning is done but not their scoring.
SELECT o.entity_type, o.entity_id, count(*) AS contents, count(c.text) AS texts,
       coalesce(p.unscored, false) AS learned
FROM contents c
CROSS JOIN LATERAL (VALUES ('topic', c.topic_id), ('user', c.user_id)) AS o (entity_type, entity_id)
LEFT JOIN temporal_pipeline.language_profile p
       ON p.entity_type = o.entity_type AND p.entity_id = o.entity_id AND p.method = CAST(:language AS text)
WHERE o.entity_id IS NOT NULL
  AND (c.relevance_score IS NULL OR c.published_at IS NULL OR c.discovered_at IS NULL)
  AND NOT EXISTS (SELECT FROM temporal_pipeline.prepared_content done WHERE done.content_id = c.id)
  AND (CAST(:everybody AS boolean) OR coalesce(c.topic_id, c.user_id) = ANY (CAST(:entity_ids AS uuid[])))
  AND c.crawled_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
GROUP BY 1, 2, 5
ORDER BY 1, 2;

-- name: new_texts
-- Of some topics and users every so many-th new content, one owner after the other, in order of id.
SELECT o.entity_type, o.entity_id, left(c.text, CAST(:characters AS int)) AS text,
       array_to_string(c.hashtags, ' ') AS hashtags,
       CASE WHEN c.published_at BETWEEN '0001-01-02 00:00:00+00' AND '9999-12-01 00:00:00+00'
            THEN c.published_at END AS published_at,
       least(greatest(c.crawled_at, '0001-01-02 00:00:00+00'), '9999-12-01 00:00:00+00') AS crawled_at,
       CASE WHEN c.published_at IS NULL THEN ARRAY(
           SELECT left(c.data->>k.key, 100)
           FROM unnest(CAST(:date_keys AS text[])) WITH ORDINALITY AS k (key, position)
           WHERE c.data ? k.key
           ORDER BY k.position
       ) END AS dates
FROM contents c
CROSS JOIN LATERAL (VALUES ('topic', c.topic_id), ('user', c.user_id)) AS o (entity_type, entity_id)
JOIN unnest(CAST(:types AS text[]), CAST(:ids AS uuid[]), CAST(:strides AS bigint[]))
     AS wanted (entity_type, entity_id, stride)
  ON wanted.entity_type = o.entity_type AND wanted.entity_id = o.entity_id
WHERE uuid_hash_extended(c.id, 0) % wanted.stride = 0
  AND (c.relevance_score IS NULL OR c.published_at IS NULL OR c.discovered_at IS NULL)
  AND NOT EXISTS (SELECT FROM temporal_pipeline.prepared_content done WHERE done.content_id = c.id)
  AND (CAST(:everybody AS boolean) OR coalesce(c.topic_id, c.user_id) = ANY (CAST(:entity_ids AS uuid[])))
  AND c.crawled_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
ORDER BY o.entity_type, o.entity_id, c.id;

-- name: owned_contents
-- How many contents, and how many with a text, one topic or user has altogether.
SELECT count(*) AS contents, count(text) AS texts
FROM contents
WHERE (CAST(:entity_type AS text) = 'topic' AND topic_id = CAST(:entity_id AS uuid))
   OR (CAST(:entity_type AS text) = 'user' AND user_id = CAST(:entity_id AS uuid));

-- name: owned_texts
-- Of one topic or user every so many-th content, in order of id.
SELECT CAST(:entity_type AS text) AS entity_type, CAST(:entity_id AS uuid) AS entity_id,
       left(c.text, CAST(:characters AS int)) AS text, array_to_string(c.hashtags, ' ') AS hashtags,
       CASE WHEN c.published_at BETWEEN '0001-01-02 00:00:00+00' AND '9999-12-01 00:00:00+00'
            THEN c.published_at END AS published_at,
       least(greatest(c.crawled_at, '0001-01-02 00:00:00+00'), '9999-12-01 00:00:00+00') AS crawled_at,
       CASE WHEN c.published_at IS NULL THEN ARRAY(
           SELECT left(c.data->>k.key, 100)
           FROM unnest(CAST(:date_keys AS text[])) WITH ORDINALITY AS k (key, position)
           WHERE c.data ? k.key
           ORDER BY k.position
       ) END AS dates
FROM contents c
WHERE ((CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid))
       OR (CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid)))
  AND uuid_hash_extended(c.id, 0) % CAST(:stride AS bigint) = 0
ORDER BY c.id;

-- name: profiles
-- What was learnt of some topics and users by this method.
SELECT p.entity_type, p.entity_id, p.posts, p.counts, p.closeness_sum, p.closeness_squares, p.contents, p.hours
FROM temporal_pipeline.language_profile p
JOIN unnest(CAST(:types AS text[]), CAST(:ids AS uuid[])) AS wanted (entity_type, entity_id)
  ON wanted.entity_type = p.entity_type AND wanted.entity_id = p.entity_id
WHERE p.method = CAST(:language AS text);

-- name: forget_profile
-- Forget what was learnt of one topic or user, the hours included.
DELETE FROM temporal_pipeline.language_profile
WHERE entity_type = CAST(:entity_type AS text) AND entity_id = CAST(:entity_id AS uuid);

-- name: forget_the_gone
-- Forget what was learnt of topics and users that are gone.
DELETE FROM temporal_pipeline.language_profile p
WHERE NOT EXISTS (
    SELECT FROM temporal_pipeline.entity e WHERE e.entity_type = p.entity_type AND e.entity_id = p.entity_id
);

-- name: save_profile
-- Keep what was learnt of one topic or user.
INSERT INTO temporal_pipeline.language_profile
    (entity_type, entity_id, method, posts, counts, closeness_sum, closeness_squares, contents, hours, unscored)
VALUES (CAST(:entity_type AS text), CAST(:entity_id AS uuid), CAST(:language AS text),
        CAST(:posts AS double precision), CAST(:counts AS bytea), CAST(:closeness_sum AS double precision),
        CAST(:closeness_squares AS double precision), 0, 0, CAST(:unscored AS boolean))
ON CONFLICT (entity_type, entity_id) DO UPDATE
SET posts = excluded.posts, counts = excluded.counts, closeness_sum = excluded.closeness_sum,
    closeness_squares = excluded.closeness_squares, unscored = excluded.unscored, learned_at = now();

-- name: count_hours
-- Add contents to the hours of one topic or user, whose profile is there, and count hours and contents.
WITH added AS (
    INSERT INTO temporal_pipeline.busy_hour AS b (entity_type, entity_id, hour, contents)
    SELECT CAST(:entity_type AS text), CAST(:entity_id AS uuid), hour, contents
    FROM unnest(CAST(:hours AS timestamptz[]), CAST(:contents AS double precision[])) AS n (hour, contents)
    ORDER BY hour
    ON CONFLICT (entity_type, entity_id, hour) DO UPDATE SET contents = b.contents + excluded.contents
    RETURNING CAST(CAST(xmax AS text) AS bigint) = 0 AS is_new
)
UPDATE temporal_pipeline.language_profile
SET contents = contents + (SELECT coalesce(sum(c), 0) FROM unnest(CAST(:contents AS double precision[])) c),
    hours = hours + (SELECT count(*) FILTER (WHERE is_new) FROM added)
WHERE entity_type = CAST(:entity_type AS text) AND entity_id = CAST(:entity_id AS uuid);

-- name: hours_of_contents
-- How many contents some hours of some topics and users have.
SELECT b.entity_type, b.entity_id, b.hour, b.contents
FROM unnest(CAST(:types AS text[]), CAST(:ids AS uuid[]), CAST(:hours AS timestamptz[]))
     AS wanted (entity_type, entity_id, hour)
JOIN temporal_pipeline.busy_hour b
  ON b.entity_type = wanted.entity_type AND b.entity_id = wanted.entity_id AND b.hour = wanted.hour;

-- name: scoring_is_done
-- What is new from now on has to be learnt again.
UPDATE temporal_pipeline.language_profile p SET unscored = false
FROM unnest(CAST(:types AS text[]), CAST(:ids AS uuid[])) AS done (entity_type, entity_id)
WHERE p.entity_type = done.entity_type AND p.entity_id = done.entity_id AND p.unscored;

-- name: topic_keywords
-- The keywords of some topics.
SELECT id, keywords FROM topics WHERE id = ANY (CAST(:topics AS uuid[]));

-- name: topics_of_users
-- The topics that some users appear in.
SELECT user_id, topic_id FROM topic_users WHERE user_id = ANY (CAST(:users AS uuid[])) ORDER BY user_id, topic_id;

-- name: scored_by_method
-- Of the contents of one topic or user (as primary owner) how many were scored by which of our methods, had nothing to be scored, or were scored elsewhere.
SELECT CASE WHEN p.content_id IS NULL THEN 'not prepared yet'
            WHEN c.relevance_score IS NOT NULL
                 AND NOT (p.scored AND coalesce(p.relevance_score, c.relevance_score) = c.relevance_score)
                 THEN 'scored elsewhere'
            WHEN c.relevance_score IS NULL THEN 'without a score'
            ELSE p.method END AS method,
       count(*) AS contents
FROM contents c LEFT JOIN temporal_pipeline.prepared_content p ON p.content_id = c.id
WHERE (CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid))
   OR (CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid) AND c.topic_id IS NULL)
GROUP BY 1
ORDER BY 1;

-- name: ids_to_rescore
-- The next prepared contents of one topic or user (as primary owner) whose score is ours or missing, in order of id.
SELECT c.id
FROM contents c JOIN temporal_pipeline.prepared_content p ON p.content_id = c.id
WHERE ((CAST(:entity_type AS text) = 'topic' AND c.topic_id = CAST(:entity_id AS uuid))
       OR (CAST(:entity_type AS text) = 'user' AND c.user_id = CAST(:entity_id AS uuid) AND c.topic_id IS NULL))
  AND c.id > CAST(:after AS uuid)
  AND (c.relevance_score IS NULL
       OR p.scored AND coalesce(p.relevance_score, c.relevance_score) = c.relevance_score)
ORDER BY c.id
LIMIT CAST(:at_once AS int);

-- name: read_to_rescore
-- What is needed to score some contents, whether they have a score or not.
SELECT c.id, CAST(c.ctid AS text) AS place, c.topic_id, c.user_id,
       left(c.text, CAST(:characters AS int)) AS text,
       array_to_string(c.hashtags, ' ') AS hashtags,
       c.processing_status,
       coalesce(c.key_points NOT IN ('null', '[]', '{}', '""'), false) AS has_key_points,
       coalesce(temporal_pipeline.metric_number(c.metrics->'like_count'), 0)
           + coalesce(temporal_pipeline.metric_number(c.metrics->'retweet_count'), 0)
           + coalesce(temporal_pipeline.metric_number(c.metrics->'reply_count'), 0)
           + coalesce(temporal_pipeline.metric_number(c.metrics->'quote_count'), 0) AS reactions,
       CASE WHEN c.published_at BETWEEN '0001-01-02 00:00:00+00' AND '9999-12-01 00:00:00+00'
            THEN c.published_at END AS published_at,
       least(greatest(c.crawled_at, '0001-01-02 00:00:00+00'), '9999-12-01 00:00:00+00') AS crawled_at,
       c.published_at IS NULL AS lacks_published_at,
       true AS lacks_relevance,
       CASE WHEN c.published_at IS NULL THEN ARRAY(
           SELECT left(c.data->>k.key, 100)
           FROM unnest(CAST(:date_keys AS text[])) WITH ORDINALITY AS k (key, position)
           WHERE c.data ? k.key
           ORDER BY k.position
       ) END AS dates
FROM contents c
WHERE c.id = ANY (CAST(:ids AS uuid[]));

-- name: lock_contents
-- Which of some contents are still there and not held by the application, locked.
SELECT id FROM contents WHERE id = ANY (CAST(:ids AS uuid[])) FOR NO KEY UPDATE SKIP LOCKED;

-- name: write_scores
-- Replace our scores of a locked batch of contents, with their marks; a score that is somebody else's by now stays, and so does one that is the same.
WITH answer AS (
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:scores AS double precision[]), CAST(:notes AS text[]))
        AS a (id, relevance_score, note)
), ours AS (
    SELECT a.id, a.relevance_score, a.note
    FROM answer a
    JOIN contents c ON c.id = a.id
    JOIN temporal_pipeline.prepared_content p ON p.content_id = a.id
    WHERE c.relevance_score IS NULL
       OR p.scored AND coalesce(p.relevance_score, c.relevance_score) = c.relevance_score
), scored AS (
    UPDATE contents c SET relevance_score = o.relevance_score
    FROM ours o
    WHERE c.id = o.id AND c.relevance_score IS DISTINCT FROM o.relevance_score
)
UPDATE temporal_pipeline.prepared_content p
SET method = CAST(:method AS text), scored = o.relevance_score IS NOT NULL, note = o.note,
    relevance_score = o.relevance_score
FROM ours o
WHERE p.content_id = o.id
RETURNING p.content_id;

-- name: mark_of_content
-- The score that one content has, and what we noted of it.
SELECT c.relevance_score, p.method, p.note,
       p.scored AND coalesce(p.relevance_score, c.relevance_score) = c.relevance_score AS is_ours
FROM contents c LEFT JOIN temporal_pipeline.prepared_content p ON p.content_id = c.id
WHERE c.id = CAST(:id AS uuid);
