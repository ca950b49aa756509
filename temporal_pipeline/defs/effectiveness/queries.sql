-- name: unmeasured_periods
-- Active periods whose members are frozen and whose queries were not measured yet, neighbours of an entity together.
SELECT p.id, p.entity_type, p.entity_id, e.name, p.period_number, p.period_end, p.content_count
FROM temporal_pipeline.period_stage frozen
JOIN analysis_periods p ON p.id = frozen.period_id AND p.status = 'active'
JOIN temporal_pipeline.entity e ON e.entity_type = p.entity_type AND e.entity_id = p.entity_id
WHERE frozen.stage = 'snapshots' AND frozen.unmeasured
  AND (CAST(:entity_ids AS uuid[]) IS NULL OR p.entity_id = ANY (CAST(:entity_ids AS uuid[])))
  AND p.period_end > coalesce(CAST(:since AS timestamptz), '-infinity')
ORDER BY p.entity_type, p.entity_id, p.period_number;

-- name: forget_earlier_measurements
-- Rows that an earlier method wrote for these periods; rows of the application stay.
DELETE FROM crawl_effectiveness e
USING temporal_pipeline.period_stage done
WHERE done.period_id = ANY (CAST(:periods AS uuid[])) AND done.stage = 'effectiveness'
  -- Our rows and our mark are of one transaction.
  AND e.period_id = done.period_id AND e.created_at = done.done_at;

-- name: finders_of_periods
-- The crawl tasks of some periods, by platform: what they asked for, how their runs went, and the members that they found first.
WITH found AS (
    SELECT s.period_id, c.task_id, c.platform, min(c.crawled_at) AS first_found,
           count(*) AS contents, count(s.relevance_score) AS scored,
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
    SELECT t.period_id, t.id, NULL, NULL, 0, 0, 0, 0, 0, 1
    FROM tasks t
    WHERE t.period_id = ANY (CAST(:periods AS uuid[]))
      AND (t.label LIKE 'crawler:%' OR t.label LIKE 'searcher:%')
      AND NOT EXISTS (SELECT FROM found f WHERE f.period_id = t.period_id AND f.task_id = t.id)
), told AS (
    SELECT c.*, t.label, t.status,
           coalesce(t.payload->>'action', t.result->>'action') AS action,
           t.payload->>'query' AS asked,
           coalesce(t.payload->>'username', t.result->>'username') AS username,
           t.result->>'query' AS widened,
           -- A run counts once: in the period that it belongs to. Its own account too, if it worked on one platform.
           coalesce(t.period_id, c.period_id) = c.period_id AS is_own,
           coalesce(t.duration_seconds, 0) AS seconds,
           coalesce(t.started_at, c.first_found, t.created_at) AS ran_at,
           CASE WHEN c.platforms = 1 AND coalesce(t.period_id, c.period_id) = c.period_id
                THEN temporal_pipeline.metric_number(t.result->'tweets_found') END AS own_account
    FROM crawl c JOIN tasks t ON t.id = c.task_id
)
SELECT period_id, task_id, platform, label, action, asked, username, widened,
       is_own, status = 'failed' AS failed,
       status = 'completed' OR status = 'failed' OR contents > 0 OR own_account IS NOT NULL AS is_over,
       seconds, CASE WHEN own_account >= 0 THEN own_account ELSE contents END AS found,
       contents, scored, relevant, high_value, relevance_sum
FROM told
ORDER BY period_id, ran_at, task_id, platform;

-- name: overlaps
-- Of each numbered query of some periods: how many contents it is known to have found, how many nobody else did, and how many each other one found too.
WITH finder AS (
    SELECT * FROM unnest(
        CAST(:periods AS uuid[]), CAST(:tasks AS uuid[]), CAST(:platforms AS text[]), CAST(:queries AS int[])
    ) AS f (period_id, task_id, platform, query)
), listed AS (
    SELECT f.period_id, f.query, f.platform,
           -- What is no id is nobody's; the cast must not see it.
           CASE WHEN told.id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
                THEN CAST(told.id AS uuid) END AS content_id
    FROM finder f
    JOIN tasks t ON t.id = f.task_id AND coalesce(t.period_id, f.period_id) = f.period_id
    CROSS JOIN LATERAL jsonb_array_elements_text(
        CASE WHEN jsonb_typeof(t.result->'content_ids') = 'array' THEN t.result->'content_ids' ELSE '[]' END
    ) AS told (id)
), found AS (
    SELECT f.period_id, f.query, c.id AS content_id
    FROM finder f
    JOIN contents c ON c.task_id = f.task_id AND c.platform = f.platform AND c.analysis_period_id = f.period_id
    UNION
    SELECT l.period_id, l.query, c.id
    FROM listed l JOIN contents c ON c.id = l.content_id AND c.platform = l.platform
), counted AS (
    SELECT *, count(*) OVER (PARTITION BY period_id, content_id) AS finders FROM found
), pair AS (
    SELECT a.query, b.query AS other, count(*) AS contents
    FROM counted a
    JOIN counted b ON b.period_id = a.period_id AND b.content_id = a.content_id AND b.query <> a.query
    WHERE a.finders > 1 AND b.finders > 1
    GROUP BY a.query, b.query
)
SELECT c.query, count(*) AS identified, count(*) FILTER (WHERE c.finders = 1) AS unique_contents,
       coalesce((SELECT jsonb_object_agg(p.other, p.contents) FROM pair p WHERE p.query = c.query), '{}') AS shared
FROM counted c
GROUP BY c.query;

-- name: platform_sums
-- What all entities together tell: sums over their queries, by platform.
SELECT platform, sum(relevant) AS relevant, sum(scored) AS scored, sum(pair_excess) AS pair_excess,
       sum(pair_spread) AS pair_spread
FROM temporal_pipeline.entity_effectiveness
GROUP BY platform
ORDER BY platform;

-- name: summaries_of_entities
-- The sums over the queries of some entities, by platform.
SELECT * FROM temporal_pipeline.entity_effectiveness
WHERE entity_id = ANY (CAST(:entity_ids AS uuid[]))
ORDER BY entity_type, entity_id, platform;

-- name: accounts_of_queries
-- What is remembered of some queries.
SELECT q.*
FROM unnest(CAST(:types AS text[]), CAST(:ids AS uuid[]), CAST(:platforms AS text[]), CAST(:forms AS text[]))
     AS wanted (entity_type, entity_id, platform, normal_form)
JOIN temporal_pipeline.query_effectiveness q
  ON q.entity_id = wanted.entity_id AND q.entity_type = wanted.entity_type
 AND q.platform = wanted.platform AND q.normal_form = wanted.normal_form;

-- name: history_of_entity
-- What each query of an entity brought in its active periods that were measured, oldest first.
SELECT m.*, e.query
FROM temporal_pipeline.query_measurement m
JOIN analysis_periods p ON p.id = m.period_id AND p.status = 'active'
JOIN crawl_effectiveness e ON e.id = m.effectiveness_id
WHERE m.entity_id = CAST(:entity_id AS uuid) AND m.entity_type = CAST(:entity_type AS text)
ORDER BY m.period_end, m.platform, m.normal_form;

-- name: insert_rows
-- One row per period, platform and query.
INSERT INTO crawl_effectiveness
    (id, period_id, entity_type, entity_id, platform, query, total_found, relevant_count, high_value_count,
     effectiveness_score, avg_relevance, coverage_ratio, recommendations)
SELECT n.id, n.period_id, n.entity_type, n.entity_id, n.platform, n.query, n.total_found, n.relevant_count,
       n.high_value_count, n.effectiveness_score, n.avg_relevance, n.coverage_ratio, n.recommendations
FROM jsonb_populate_recordset(CAST(NULL AS crawl_effectiveness), CAST(:rows AS jsonb)) AS n;

-- name: insert_measurements
-- What each query brought beyond what the application's table tells, and how it was judged.
INSERT INTO temporal_pipeline.query_measurement
SELECT n.*
FROM jsonb_populate_recordset(CAST(NULL AS temporal_pipeline.query_measurement), CAST(:rows AS jsonb)) AS n;

-- name: respell_recent_rows
-- A query whose spelling has changed keeps one name over the rows that a moving average of three looks at.
UPDATE crawl_effectiveness e SET query = n.query
FROM jsonb_populate_recordset(CAST(NULL AS temporal_pipeline.query_effectiveness), CAST(:rows AS jsonb)) AS n
CROSS JOIN LATERAL (
    SELECT m.effectiveness_id, m.ours
    FROM temporal_pipeline.query_measurement m
    WHERE m.entity_id = n.entity_id AND m.entity_type = n.entity_type
      AND m.platform = n.platform AND m.normal_form = n.normal_form
    ORDER BY m.period_end DESC LIMIT 3
) recent
WHERE e.id = recent.effectiveness_id AND recent.ours AND e.query <> n.query;

-- name: rejudge_measurements
-- How queries are judged once an earlier period was measured again.
UPDATE temporal_pipeline.query_measurement m
SET score = n.score, score_lower = n.score_lower, score_upper = n.score_upper, rank_key = n.rank_key,
    entity_mean = n.entity_mean, prior_strength = n.prior_strength, verdict = n.verdict
FROM jsonb_populate_recordset(CAST(NULL AS temporal_pipeline.query_measurement), CAST(:rows AS jsonb)) AS n
WHERE m.effectiveness_id = n.effectiveness_id;

-- name: rejudge_rows
-- The same in the application's table, where the rows are ours; since when it says so is remembered.
WITH changed AS (
    UPDATE crawl_effectiveness e
    SET effectiveness_score = n.effectiveness_score, recommendations = n.recommendations
    FROM jsonb_populate_recordset(CAST(NULL AS crawl_effectiveness), CAST(:rows AS jsonb)) AS n
    JOIN temporal_pipeline.query_measurement m ON m.effectiveness_id = n.id AND m.ours
    WHERE e.id = n.id
      AND (e.effectiveness_score, e.recommendations)
          IS DISTINCT FROM (n.effectiveness_score, n.recommendations)
    RETURNING e.id
)
UPDATE temporal_pipeline.query_measurement m SET rejudged_at = now()
FROM changed WHERE m.effectiveness_id = changed.id;

-- name: forget_accounts
-- Accounts that are written anew, and all those of entities that begin anew.
DELETE FROM temporal_pipeline.query_effectiveness q
USING jsonb_populate_recordset(CAST(NULL AS temporal_pipeline.query_effectiveness), CAST(:rows AS jsonb)) AS n
WHERE q.entity_id = n.entity_id AND q.entity_type = n.entity_type
  AND (n.platform IS NULL OR q.platform = n.platform AND q.normal_form = n.normal_form);

-- name: insert_accounts
-- What is remembered of queries.
INSERT INTO temporal_pipeline.query_effectiveness
SELECT n.*
FROM jsonb_populate_recordset(CAST(NULL AS temporal_pipeline.query_effectiveness), CAST(:rows AS jsonb)) AS n;

-- name: forget_summaries
-- Sums that are written anew.
DELETE FROM temporal_pipeline.entity_effectiveness s
USING jsonb_populate_recordset(CAST(NULL AS temporal_pipeline.entity_effectiveness), CAST(:rows AS jsonb)) AS n
WHERE s.entity_id = n.entity_id AND s.entity_type = n.entity_type;

-- name: insert_summaries
-- The sums over the queries of entities.
INSERT INTO temporal_pipeline.entity_effectiveness
SELECT n.*
FROM jsonb_populate_recordset(CAST(NULL AS temporal_pipeline.entity_effectiveness), CAST(:rows AS jsonb)) AS n;

-- name: mark_measured
-- The queries of these periods are measured.
WITH measured AS (
    UPDATE temporal_pipeline.period_stage SET unmeasured = false
    WHERE period_id = ANY (CAST(:periods AS uuid[])) AND stage = 'snapshots'
)
INSERT INTO temporal_pipeline.period_stage (period_id, stage, method, run_id)
SELECT id, 'effectiveness', CAST(:method AS text), CAST(:run_id AS text)
FROM unnest(CAST(:periods AS uuid[])) AS done (id)
ON CONFLICT (period_id, stage) DO UPDATE SET method = excluded.method, run_id = excluded.run_id, done_at = now();

-- name: accounts_of_entity
-- What is remembered of all queries of an entity, and their scores in their last periods, oldest first.
SELECT q.*, recent.times, recent.scores
FROM temporal_pipeline.query_effectiveness q
CROSS JOIN LATERAL (
    SELECT array_agg(past.period_end ORDER BY past.period_end) AS times,
           array_agg(past.score ORDER BY past.period_end) AS scores
    FROM (
        SELECT m.score, m.period_end
        FROM temporal_pipeline.query_measurement m
        JOIN analysis_periods p ON p.id = m.period_id AND p.status = 'active'
        WHERE m.entity_id = q.entity_id AND m.entity_type = q.entity_type
          AND m.platform = q.platform AND m.normal_form = q.normal_form
        ORDER BY m.period_end DESC LIMIT CAST(:recent AS int)
    ) past
) recent
WHERE q.entity_id = CAST(:entity_id AS uuid) AND q.entity_type = CAST(:entity_type AS text)
ORDER BY q.platform, q.normal_form;

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
-- How many rows the pipeline has measured, and a digest of what their sums say.
SELECT coalesce(sum(measurements), 0) AS rows,
       md5(concat_ws(',', count(*), sum(hashtextextended(concat_ws('|', entity_type, entity_id, platform, as_of,
           queries, measurements, relevant, scored), 0)))) AS digest
FROM temporal_pipeline.entity_effectiveness;

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
