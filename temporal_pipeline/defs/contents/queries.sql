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
       CASE WHEN c.relevance_score IS NULL AND c.topic_id IS NOT NULL
            THEN left(c.text, CAST(:characters AS int)) END AS text,
       CASE WHEN c.relevance_score IS NULL AND c.topic_id IS NOT NULL
            THEN array_to_string(c.hashtags, ' ') END AS hashtags,
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

-- name: topic_keywords
-- The keywords of some topics.
SELECT id, keywords FROM topics WHERE id = ANY (CAST(:topics AS uuid[]));

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
INSERT INTO temporal_pipeline.prepared_content (content_id, method, scored, note)
SELECT id, CAST(:method AS text), relevance_score IS NOT NULL, note FROM free
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
