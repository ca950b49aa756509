-- What a database holds, by natural keys: the same whenever the same contents came into the same periods.
-- Ids, and when it was done, differ from run to run.
WITH period AS (
    SELECT *, concat_ws('/', entity_type, entity_id, period_number, status) AS key FROM analysis_periods
), line AS (
    SELECT 'periods' AS part,
           key || (to_jsonb(period) - '{id,key,analyzed_at,created_at,updated_at,execution_log}'::text[])::text AS line
    FROM period
    UNION ALL
    SELECT 'contents', concat_ws('/', c.id, key, c.published_at, c.discovered_at, c.relevance_score)
    FROM contents c LEFT JOIN period ON period.id = c.analysis_period_id
    UNION ALL
    SELECT 'tasks', concat_ws('/', t.id, key) FROM tasks t JOIN period ON period.id = t.period_id
    UNION ALL
    SELECT 'entities', concat_ws('/', e.id, key, e.current_period_number, e.total_periods, e.avg_period_duration_hours)
    FROM (SELECT id, last_period_id, current_period_number, total_periods, avg_period_duration_hours FROM topics
          UNION ALL
          SELECT id, last_period_id, current_period_number, total_periods, avg_period_duration_hours FROM users) e
         LEFT JOIN period ON period.id = e.last_period_id
    UNION ALL
    SELECT 'prepared contents', concat_ws('/', content_id, method, scored, note) FROM temporal_pipeline.prepared_content
    UNION ALL
    SELECT 'finished cuts', concat_ws('/', since, held) FROM temporal_pipeline.cut WHERE finished_at IS NOT NULL
    UNION ALL
    SELECT 'unfinished cuts', '' FROM temporal_pipeline.cut WHERE finished_at IS NULL
    UNION ALL
    SELECT 'periods of cuts', concat_ws('/', c.entity_type, c.entity_id, c.ready, key)
    FROM temporal_pipeline.period_cut c LEFT JOIN period ON period.id = c.period_id
    UNION ALL
    SELECT 'problems', concat_ws('/', stage, entity_type, entity_id) FROM temporal_pipeline.problem
)
SELECT part, count(*) AS rows, md5(string_agg(line, E'\n' ORDER BY line)) AS digest FROM line GROUP BY part ORDER BY part;
