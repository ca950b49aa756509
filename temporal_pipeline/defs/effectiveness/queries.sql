-- name: unmeasured_periods
-- Active periods whose members are frozen and whose queries were not measured yet, neighbours of an entity together.
SELECT p.id, p.entity_type, p.entity_id, e.name, p.period_number, p.content_count
FROM analysis_periods p
JOIN temporal_pipeline.entity e ON e.entity_type = p.entity_type AND e.entity_id = p.entity_id
JOIN temporal_pipeline.period_stage frozen ON frozen.period_id = p.id AND frozen.stage = 'snapshots'
WHERE p.status = 'active'
  AND NOT EXISTS (
      SELECT FROM temporal_pipeline.period_stage done
      WHERE done.period_id = p.id AND done.stage = 'effectiveness'
  )
  AND (CAST(:entity_ids AS uuid[]) IS NULL OR p.entity_id = ANY (CAST(:entity_ids AS uuid[])))
  AND p.period_end > coalesce(CAST(:since AS timestamptz), '-infinity')
ORDER BY p.entity_type, p.entity_id, p.period_number;

-- name: crawls_of_periods
-- What the tasks of some periods asked for and what they brought: frozen members by the task that found them, and tasks that found nothing new.
WITH found AS (
    SELECT s.period_id, c.task_id, c.platform, count(*) AS contents, count(s.relevance_score) AS scored,
           count(*) FILTER (WHERE s.relevance_score >= CAST(:relevant AS double precision)) AS relevant,
           count(*) FILTER (WHERE s.relevance_score >= CAST(:high_value AS double precision)) AS high_value,
           coalesce(sum(s.relevance_score), 0) AS relevance_sum
    FROM period_content_snapshots s
    -- A member that points to another period was found by that one's queries.
    JOIN contents c ON c.id = s.content_id AND c.analysis_period_id = s.period_id
    WHERE s.period_id = ANY (CAST(:periods AS uuid[]))
    GROUP BY s.period_id, c.task_id, c.platform
), crawl AS (
    SELECT f.*, count(*) OVER (PARTITION BY f.period_id, f.task_id) AS platforms FROM found f
    UNION ALL
    SELECT t.period_id, t.id, NULL, 0, 0, 0, 0, 0, 1
    FROM tasks t
    WHERE t.period_id = ANY (CAST(:periods AS uuid[]))
      AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
      AND NOT EXISTS (SELECT FROM found f WHERE f.period_id = t.period_id AND f.task_id = t.id)
), told AS (
    SELECT c.*, CASE WHEN c.platform IS NULL THEN t.label END AS label,
           coalesce(t.payload->>'action', t.result->>'action') AS action,
           t.payload->>'query' AS asked,
           coalesce(t.payload->>'username', t.result->>'username') AS username,
           t.result->>'query' AS widened,
           -- Its own account counts once: in the period that it belongs to, if it worked on one platform.
           CASE WHEN c.platforms = 1 AND coalesce(t.period_id, c.period_id) = c.period_id
                THEN temporal_pipeline.metric_number(t.result->'tweets_found') END AS own_account
    FROM crawl c LEFT JOIN tasks t ON t.id = c.task_id
)
SELECT period_id, platform, label, action, asked, username, widened, count(*) AS runs,
       sum(CASE WHEN own_account >= 0 THEN own_account ELSE contents END) AS found,
       CAST(sum(contents) AS bigint) AS contents, CAST(sum(scored) AS bigint) AS scored,
       CAST(sum(relevant) AS bigint) AS relevant, CAST(sum(high_value) AS bigint) AS high_value,
       sum(relevance_sum) AS relevance_sum
FROM told
GROUP BY period_id, platform, label, action, asked, username, widened;

-- name: insert_missing_rows
-- One row per period, platform and query; rows that are there already, the application's among them, stay as they are.
INSERT INTO crawl_effectiveness
    (period_id, entity_type, entity_id, platform, query, total_found, relevant_count, high_value_count,
     effectiveness_score, avg_relevance, coverage_ratio, recommendations)
SELECT n.period_id, p.entity_type, p.entity_id, n.platform, n.query, n.total_found, n.relevant_count,
       n.high_value_count, n.score, n.avg_relevance, n.coverage, n.recommendation
FROM unnest(
    CAST(:periods AS uuid[]), CAST(:platforms AS text[]), CAST(:queries AS text[]),
    CAST(:total_found AS int[]), CAST(:relevant AS int[]), CAST(:high_value AS int[]),
    CAST(:scores AS double precision[]), CAST(:avg_relevance AS double precision[]),
    CAST(:coverage AS double precision[]), CAST(:recommendations AS text[])
) AS n (period_id, platform, query, total_found, relevant_count, high_value_count, score, avg_relevance,
        coverage, recommendation)
JOIN analysis_periods p ON p.id = n.period_id
-- By period only: on a table that grew since it was analysed, the planner likes the other indexes too well.
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(e.platform = n.platform AND e.query = n.query), false) AS is_there
    FROM (SELECT platform, query FROM crawl_effectiveness WHERE period_id = n.period_id OFFSET 0) e
) already
WHERE NOT already.is_there
RETURNING period_id, platform, query;

-- name: mark_measured
-- The queries of these periods are measured and stay as they are.
INSERT INTO temporal_pipeline.period_stage (period_id, stage, method)
SELECT id, 'effectiveness', CAST(:method AS text) FROM unnest(CAST(:periods AS uuid[])) AS measured (id)
ON CONFLICT (period_id, stage) DO NOTHING;

-- name: lock_unlinked_tasks
-- The next crawl tasks of measured periods that do not know their row yet, in order of id, locked; those that the application holds are not, and say so.
WITH page AS MATERIALIZED (
    SELECT t.id, p.id AS period_id
    FROM tasks t
    -- A task that no period has claimed belongs where most of what it found is.
    JOIN analysis_periods p ON p.id = coalesce(t.period_id, (
        SELECT c.analysis_period_id FROM contents c
        WHERE c.task_id = t.id AND c.analysis_period_id IS NOT NULL
        GROUP BY c.analysis_period_id ORDER BY count(*) DESC, c.analysis_period_id LIMIT 1
    ))
    JOIN temporal_pipeline.period_stage measured
      ON measured.period_id = p.id AND measured.stage = 'effectiveness'
    WHERE t.effectiveness_id IS NULL
      AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
      AND t.id > CAST(:after AS uuid)
      AND (CAST(:entity_ids AS uuid[]) IS NULL OR p.entity_id = ANY (CAST(:entity_ids AS uuid[])))
    ORDER BY t.id
    LIMIT CAST(:batch_size AS int)
), free AS (
    SELECT t.id, t.label, t.payload, t.result
    FROM page JOIN tasks t ON t.id = page.id AND t.effectiveness_id IS NULL
    FOR NO KEY UPDATE OF t SKIP LOCKED
)
SELECT page.id, page.period_id, free.id IS NULL AS is_held, free.label,
       coalesce(free.payload->>'action', free.result->>'action') AS action,
       free.payload->>'query' AS asked,
       coalesce(free.payload->>'username', free.result->>'username') AS username,
       free.result->>'query' AS widened,
       ARRAY(
           SELECT c.platform FROM contents c
           WHERE c.task_id = page.id AND c.analysis_period_id = page.period_id
           GROUP BY c.platform ORDER BY count(*) DESC, c.platform
       ) AS platforms
FROM page LEFT JOIN free ON free.id = page.id
ORDER BY page.id;

-- name: rows_of_periods
-- The rows of some periods, to be found by platform and query; of two for the same, the older one comes last.
SELECT id, period_id, platform, query FROM crawl_effectiveness
WHERE period_id = ANY (CAST(:periods AS uuid[]))
ORDER BY created_at DESC, id DESC;

-- name: link_tasks
-- Tell locked tasks which row counts what they found.
UPDATE tasks t SET effectiveness_id = n.effectiveness_id, period_id = coalesce(t.period_id, n.period_id)
FROM unnest(CAST(:tasks AS uuid[]), CAST(:rows AS uuid[]), CAST(:periods AS uuid[]))
     AS n (id, effectiveness_id, period_id)
WHERE t.id = n.id;

-- name: measure_durations
-- How long the next finished tasks took, in seconds; those that the application holds are skipped.
WITH page AS (
    SELECT t.id FROM tasks t
    WHERE t.duration_seconds IS NULL AND t.completed_at IS NOT NULL
      -- Beyond these years a time is a mistake, and the difference of two may be no interval.
      AND t.completed_at >= t.started_at AND t.started_at >= '1970-01-01' AND t.completed_at < '9999-01-01'
      AND t.id > CAST(:after AS uuid)
      AND (CAST(:entity_ids AS uuid[]) IS NULL
           OR t.payload->>'topic_id' = ANY (CAST(CAST(:entity_ids AS uuid[]) AS text[]))
           OR t.payload->>'user_id' = ANY (CAST(CAST(:entity_ids AS uuid[]) AS text[])))
    ORDER BY t.id
    LIMIT CAST(:batch_size AS int)
    FOR NO KEY UPDATE OF t SKIP LOCKED
)
UPDATE tasks t SET duration_seconds = extract(epoch FROM t.completed_at - t.started_at)
FROM page WHERE t.id = page.id
RETURNING t.id;

-- name: effectiveness_state
-- How many rows there are, and a digest of what they say.
SELECT count(*) AS rows,
       md5(concat_ws(',', count(*), sum(hashtextextended(concat_ws('|', period_id, platform, query, total_found,
           relevant_count, high_value_count), 0)))) AS digest
FROM crawl_effectiveness;

-- name: unlinked_tasks_with_contents
-- Crawl tasks with frozen contents in a measured period that belong to no period, or to no row although their measured period has one for their platform.
SELECT t.id, t.label, t.period_id, t.effectiveness_id
FROM tasks t
WHERE (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
  AND (t.period_id IS NULL OR t.effectiveness_id IS NULL AND EXISTS (
      SELECT FROM crawl_effectiveness e
      JOIN temporal_pipeline.period_stage done ON done.period_id = e.period_id AND done.stage = 'effectiveness'
      WHERE e.period_id = t.period_id
        AND (e.platform = split_part(t.label, ':', 2) OR e.platform IN (
            SELECT c.platform FROM contents c WHERE c.task_id = t.id AND c.analysis_period_id = t.period_id
        ))
  ))
  AND EXISTS (
      SELECT FROM contents c
      JOIN analysis_periods p ON p.id = c.analysis_period_id AND p.status = 'active'
      JOIN temporal_pipeline.period_stage done ON done.period_id = p.id AND done.stage = 'effectiveness'
      JOIN period_content_snapshots s ON s.period_id = p.id AND s.content_id = c.id
      WHERE c.task_id = t.id
  )
ORDER BY t.id;

-- name: scores_out_of_range
-- Rows with a share that is no number from 0 to 1.
SELECT id, period_id, platform, query, effectiveness_score, avg_relevance, coverage_ratio
FROM crawl_effectiveness
WHERE effectiveness_score NOT BETWEEN 0 AND 1 OR avg_relevance NOT BETWEEN 0 AND 1
   OR coverage_ratio NOT BETWEEN 0 AND 1
ORDER BY id;

-- name: periods_without_queries
-- Measured active periods that have frozen contents of their own and no row.
SELECT p.id, p.entity_type, p.entity_id, p.period_number
FROM analysis_periods p
JOIN temporal_pipeline.period_stage done ON done.period_id = p.id AND done.stage = 'effectiveness'
WHERE p.status = 'active'
  AND NOT EXISTS (SELECT FROM crawl_effectiveness e WHERE e.period_id = p.id)
  AND EXISTS (
      SELECT FROM period_content_snapshots s
      JOIN contents c ON c.id = s.content_id AND c.analysis_period_id = p.id
      WHERE s.period_id = p.id
  )
ORDER BY p.entity_type, p.entity_id, p.period_number;
