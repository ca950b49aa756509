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
-- Other sessions that hold a lock of such a mode on such a table (the two lists go in parallel), the oldest transactions first.
WITH wanted AS (
    SELECT DISTINCT to_regclass(w.name) AS relation, w.mode
    FROM unnest(CAST(:tables AS text[]), CAST(:modes AS text[])) AS w (name, mode)
)
SELECT l.pid, min(CAST(CAST(l.relation AS regclass) AS text)) AS table_name,
       -- Of sessions that are not ours to see we know neither age nor query.
       coalesce(extract(epoch FROM clock_timestamp() - min(coalesce(a.xact_start, p.prepared))), 0)::float AS age,
       coalesce(a.state, CASE WHEN l.pid IS NULL THEN 'prepared transaction' ELSE '?' END) AS state,
       coalesce(left(regexp_replace(regexp_replace(a.query, '\s+', ' ', 'g'), '(password )''[^'']*''?', '\1…', 'gi'), 120), p.gid, '?') AS query,
       coalesce(a.backend_type = 'autovacuum worker' AND a.query NOT LIKE '%wraparound%', false) AS yields,
       coalesce(a.backend_type = 'autovacuum worker' AND a.query LIKE '%wraparound%', false)
           AS is_unyielding_vacuum
FROM wanted
JOIN pg_locks l ON l.relation = wanted.relation AND l.mode = wanted.mode AND l.locktype = 'relation' AND l.granted
 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
 AND l.pid IS DISTINCT FROM pg_backend_pid()
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_prepared_xacts p ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction
GROUP BY l.pid, a.state, a.query, a.backend_type, p.gid
ORDER BY age DESC

-- name: sessions
-- Some sessions, described as lock holders are; 0 stands for a prepared transaction.
SELECT s.pid, coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float AS age,
       coalesce(a.state, CASE WHEN s.pid = 0 THEN 'prepared transaction' ELSE '?' END) AS state,
       coalesce(left(regexp_replace(regexp_replace(a.query, '\s+', ' ', 'g'), '(password )''[^'']*''?', '\1…', 'gi'), 120), '?') AS query,
       coalesce(a.backend_type = 'autovacuum worker' AND a.query LIKE '%wraparound%', false)
           AS is_unyielding_vacuum
FROM unnest(CAST(:pids AS int[])) AS s (pid)
LEFT JOIN pg_stat_activity a ON a.pid = s.pid
ORDER BY age DESC

-- name: backend
-- For whom a session waits, and how far it has come if it builds an index.
SELECT pg_blocking_pids(CAST(:pid AS int)) AS blocked_by, b.phase,
       coalesce(CAST(b.blocks_done AS float) / nullif(b.blocks_total, 0),
                CAST(b.tuples_done AS float) / nullif(b.tuples_total, 0), 0) AS share
FROM (SELECT) one LEFT JOIN pg_stat_progress_create_index b ON b.pid = CAST(:pid AS int)

-- name: cancel
-- End what a session is doing.
SELECT pg_cancel_backend(CAST(:pid AS int))

-- name: wait_for_autovacuum
-- A little longer than PostgreSQL waits before it looks for deadlocks, and with that asks autovacuum to go.
SELECT set_config(
    'lock_timeout',
    CAST(CAST(extract(epoch FROM current_setting('deadlock_timeout')::interval + CAST(:more AS interval)) * 1000 AS int) AS text),
    true)

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

-- name: own_time_limits
-- What takes long may take long; a lock is waited for as long as asked.
SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', CAST(:lock_timeout AS text), false)

-- name: takes_writes
-- Whether this server and session may write at all.
SELECT pg_is_in_recovery() AS is_standby, current_setting('default_transaction_read_only')::boolean AS is_read_only

-- name: schema_of_tables
-- In which schema the named tables lie, if it is not the one in which new ones would be made.
SELECT quote_ident(n.nspname) AS name, quote_ident(current_schema()) AS own,
       quote_ident(current_user) AS role, quote_ident(current_database()) AS database
FROM unnest(CAST(:names AS text[])) AS wanted (name)
JOIN pg_class c ON c.oid = to_regclass(wanted.name)
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IS DISTINCT FROM current_schema()
LIMIT 1

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
    LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(substring(name FROM '(.*)[.]'))
                            AND a.attname = substring(name FROM '[^.]*$')
    WHERE a.attname IS NULL
    UNION ALL
    SELECT 3, position, name
    FROM unnest(CAST(:constraints AS text[])) WITH ORDINALITY AS wanted (name, position)
    LEFT JOIN pg_constraint c ON c.conrelid = to_regclass(substring(name FROM '(.*)[.]'))
                             AND c.conname = substring(name FROM '[^.]*$') AND c.convalidated
    WHERE c.conname IS NULL
    UNION ALL
    SELECT 4, position, name
    FROM unnest(CAST(:texts AS text[]), CAST(:comments AS text[])) WITH ORDINALITY AS wanted (name, comment, position)
    WHERE NOT coalesce(starts_with(coalesce(
        obj_description(to_regclass(name), 'pg_class'), obj_description(to_regproc(name), 'pg_proc')
    ), wanted.comment), false)
) missing
ORDER BY kind, position

-- name: estimated_rows
-- About how many rows each of the named relations has, as the planner sees it; a table never analysed by its size, at 800 bytes a row.
SELECT wanted.name,
       CAST(ceil(coalesce(pg_relation_size(c.oid), 0) / block.bytes
            * CASE WHEN c.reltuples > 0 AND c.relpages > 0 THEN c.reltuples / c.relpages ELSE block.bytes / 800 END
       ) AS bigint) AS rows
FROM unnest(CAST(:relations AS text[])) AS wanted (name)
JOIN pg_class c ON c.oid = to_regclass(wanted.name)
CROSS JOIN (SELECT CAST(current_setting('block_size') AS double precision) AS bytes) block

-- name: rights
-- Whether this role may create extensions and schemas in the database, and tables beside the application's.
SELECT has_database_privilege(current_database(), 'CREATE') AS in_database,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS in_schema

-- name: quoted_names
-- Database, role and schema as SQL would write them.
SELECT quote_ident(current_database()) AS database, quote_ident(current_user) AS role,
       quote_ident(coalesce(current_schema(), 'public')) AS schema

-- name: lock_timeout
-- How long this session waits for a lock.
SELECT current_setting('lock_timeout')

-- name: set_lock_timeout
-- Let this session wait so long for a lock.
SELECT set_config('lock_timeout', CAST(:limit AS text), false)
