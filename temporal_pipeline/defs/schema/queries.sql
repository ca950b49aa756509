-- name: missing_tables
-- Which of the named tables the database does not have.
SELECT name
FROM unnest(CAST(:names AS text[])) AS wanted (name)
WHERE to_regclass(name) IS NULL
ORDER BY name

-- name: has_version_table
-- Whether Alembic has ever been here.
SELECT to_regclass('alembic_version') IS NOT NULL

-- name: revisions
-- The revisions that the database claims to be at.
SELECT version_num FROM alembic_version ORDER BY version_num

-- name: lock_holders
-- Other sessions that hold or wait for locks on tables here, those with the oldest transactions first.
SELECT a.pid, extract(epoch FROM clock_timestamp() - min(a.xact_start)) AS age, a.state,
       left(regexp_replace(a.query, '\s+', ' ', 'g'), 120) AS query
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'm', 'v')
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema')
WHERE l.locktype = 'relation' AND l.granted AND a.pid <> pg_backend_pid() AND a.datname = current_database()
GROUP BY a.pid, a.state, a.query
ORDER BY age DESC
LIMIT 5

-- name: trigrams_of
-- The trigrams that the server sees in a text, none if its locale has no letters of that script.
SELECT show_trgm(CAST(:sample AS text))

-- name: temporal_tables
-- How many rows each table of the temporal schema holds.
SELECT 'analysis_periods' AS name, count(*) AS rows FROM analysis_periods
UNION ALL SELECT 'period_content_snapshots', count(*) FROM period_content_snapshots
UNION ALL SELECT 'temporal_events', count(*) FROM temporal_events
UNION ALL SELECT 'event_contents', count(*) FROM event_contents
UNION ALL SELECT 'crawl_effectiveness', count(*) FROM crawl_effectiveness

-- name: temporal_columns
-- The columns of the temporal tables.
SELECT c.relname AS table_name, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.oid IN (to_regclass('analysis_periods'), to_regclass('period_content_snapshots'),
                to_regclass('temporal_events'), to_regclass('event_contents'),
                to_regclass('crawl_effectiveness'))
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum

-- name: has_trigrams
-- Whether the extension for trigrams is there.
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')

-- name: no_time_limits
-- What may take long is waited for.
SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)

-- name: missing_names
-- Which tables, valid indexes, columns and constraints there are not, and which views and functions are not of their current text.
SELECT name
FROM (
    SELECT 1 AS kind, position, name
    FROM unnest(CAST(:relations AS text[])) WITH ORDINALITY AS wanted (name, position)
    LEFT JOIN pg_index i ON i.indexrelid = to_regclass(name)
    WHERE to_regclass(name) IS NULL OR NOT i.indisvalid
    UNION ALL
    SELECT 2, position, name
    FROM unnest(CAST(:columns AS text[])) WITH ORDINALITY AS wanted (name, position)
    LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(split_part(name, '.', 1))
                            AND a.attname = split_part(name, '.', 2)
    WHERE a.attname IS NULL
    UNION ALL
    SELECT 3, position, name
    FROM unnest(CAST(:constraints AS text[])) WITH ORDINALITY AS wanted (name, position)
    LEFT JOIN pg_constraint c ON c.conrelid = to_regclass(split_part(name, '.', 1))
                             AND c.conname = split_part(name, '.', 2) AND c.convalidated
    WHERE c.conname IS NULL
    UNION ALL
    SELECT 4, position, name
    FROM unnest(CAST(:texts AS text[]), CAST(:comments AS text[])) WITH ORDINALITY AS wanted (name, comment, position)
    WHERE wanted.comment IS DISTINCT FROM coalesce(
        obj_description(to_regclass(name), 'pg_class'), obj_description(to_regproc(name), 'pg_proc'))
) missing
ORDER BY kind, position
