-- name: limit_ourselves
-- An examination shall neither wait for anybody nor take long.
SELECT set_config('statement_timeout', '5s', true), set_config('lock_timeout', '300ms', true)

-- name: server_version
-- The server's version as a number, 180003 for 18.3.
SELECT current_setting('server_version_num')::int

-- name: role
-- As whom and where we are, quoted for a command.
SELECT quote_ident(current_user) AS role, quote_ident(current_database()) AS database,
       quote_ident(current_schema()) AS schema

-- name: writability
-- Whether the server is a standby, and whether transactions are read-only unless they say otherwise.
SELECT pg_is_in_recovery() AS is_standby,
       (SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only') AS is_read_only

-- name: ctype
-- What the database takes for letters.
SELECT datctype AS ctype FROM pg_database WHERE datname = current_database()

-- name: trigrams
-- How many trigrams the server sees in a text, none if its locale has no letters of that script.
SELECT cardinality(show_trgm(CAST(:sample AS text)))

-- name: extensions
-- For each extension: whether it is installed, and where we would find it; else whether we may create it.
SELECT wanted.name, e.oid IS NOT NULL AS is_installed, n.nspname AS schema,
       coalesce(n.nspname = ANY (current_schemas(true)), false) AS is_visible,
       a.name IS NOT NULL AS is_available,
       r.rolsuper OR v.trusted AND has_database_privilege(current_database(), 'CREATE') AS is_creatable
FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS wanted (name, position)
JOIN pg_roles r ON r.rolname = current_user
LEFT JOIN pg_extension e ON e.extname = wanted.name
LEFT JOIN pg_namespace n ON n.oid = e.extnamespace
LEFT JOIN pg_available_extensions a ON a.name = wanted.name
LEFT JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
ORDER BY wanted.position

-- name: free_connections
-- How many more connections the server, the database and the role allow us.
WITH used AS (
    SELECT count(*) AS on_server, count(*) FILTER (WHERE datname = current_database()) AS in_database,
           count(*) FILTER (WHERE usename = current_user) AS of_role
    FROM pg_stat_activity
    -- What a connection is for is hidden from roles that may not see others' sessions.
    WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
)
SELECT current_setting('max_connections')::int
           - CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int END
           - coalesce(current_setting('reserved_connections', true)::int, 0) - used.on_server AS on_server,
       CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper THEN d.datconnlimit - used.in_database END AS in_database,
       CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper THEN r.rolconnlimit - used.of_role END AS of_role
FROM used, pg_database d, pg_roles r
WHERE d.datname = current_database() AND r.rolname = current_user

-- name: lock_table
-- How many locks the server can hold at once, and how many relations a dump locks.
SELECT current_setting('max_locks_per_transaction')::int AS per_transaction,
       current_setting('max_locks_per_transaction')::int
           * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int) AS locks,
       (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'S', 'm')
          AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_') AS relations

-- name: time_limits
-- The limits in milliseconds that server, database and role set for our transactions; those that are off are left out.
SELECT name, reset_val::bigint AS milliseconds
FROM pg_settings
WHERE name = ANY (CAST(:names AS text[])) AND reset_val::bigint > 0
ORDER BY name

-- name: schemas_of_tables
-- In which schema each table is found, and where what we create would go.
SELECT wanted.name, n.nspname AS schema, current_schema() AS current
FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS wanted (name, position)
JOIN pg_class c ON c.oid = to_regclass(wanted.name)
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY wanted.position

-- name: right_to_create
-- Whether we may create in the database, in the application's schema and in our own, if that exists.
SELECT has_database_privilege(current_database(), 'CREATE') AS in_database,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS in_schema,
       has_schema_privilege(p.oid, 'CREATE') AND has_schema_privilege(p.oid, 'USAGE') AS in_private_schema
FROM (SELECT to_regnamespace(CAST(:private AS text)) AS oid) p

-- name: foreign_owners
-- Tables, views and functions that an upgrade alters and whose owner we are not.
SELECT name, quote_ident(pg_get_userbyid(owner)) AS owner
FROM (
    SELECT wanted.position, wanted.name, c.relowner AS owner
    FROM unnest(CAST(:relations AS text[])) WITH ORDINALITY AS wanted (name, position)
    JOIN pg_class c ON c.oid = to_regclass(wanted.name)
    UNION ALL
    SELECT 1000 + wanted.position, wanted.name, p.proowner
    FROM unnest(CAST(:functions AS text[])) WITH ORDINALITY AS wanted (name, position)
    JOIN pg_proc p ON p.oid = to_regproc(wanted.name)
) owned
WHERE NOT pg_has_role(owner, 'USAGE')
ORDER BY position

-- name: missing_rights
-- Which of the privileges that the pipeline uses on a table we do not have.
SELECT wanted.name, string_agg(privilege, ', ' ORDER BY p.position) AS privileges
FROM unnest(CAST(:tables AS text[]), CAST(:privileges AS text[])) WITH ORDINALITY AS wanted (name, listed, position)
CROSS JOIN LATERAL unnest(string_to_array(wanted.listed, ', ')) WITH ORDINALITY AS p (privilege, position)
WHERE NOT has_table_privilege(to_regclass(wanted.name), privilege)
GROUP BY wanted.position, wanted.name
ORDER BY wanted.position

-- name: sees_others
-- Whether other roles' transactions and queries are shown to us.
SELECT pg_has_role('pg_read_all_stats', 'USAGE')

-- name: long_transactions
-- Other sessions' transactions in this database that are older than so many seconds, the oldest first.
SELECT pid, extract(epoch FROM clock_timestamp() - xact_start) AS age, state, usename, application_name,
       left(regexp_replace(regexp_replace(query, '\s+', ' ', 'g'), '(password )''[^'']*''?', '\1…', 'gi'), 80) AS query
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
  AND clock_timestamp() - xact_start > make_interval(secs => CAST(:seconds AS double precision))
ORDER BY age DESC

-- name: idle_in_transaction
-- Other sessions in this database whose transaction has waited for its client for so many seconds.
SELECT pid, extract(epoch FROM clock_timestamp() - state_change) AS age, state, usename, application_name,
       left(regexp_replace(regexp_replace(query, '\s+', ' ', 'g'), '(password )''[^'']*''?', '\1…', 'gi'), 80) AS query
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
  AND clock_timestamp() - state_change > make_interval(secs => CAST(:seconds AS double precision))
ORDER BY age DESC

-- name: lock_holders
-- Sessions, except autovacuum's, whose transactions have held locks on some tables for so many seconds or more.
SELECT a.pid, extract(epoch FROM clock_timestamp() - a.xact_start) AS age, a.state, a.usename, a.application_name,
       left(regexp_replace(regexp_replace(a.query, '\s+', ' ', 'g'), '(password )''[^'']*''?', '\1…', 'gi'), 80) AS query,
       string_agg(DISTINCT wanted.name || ' ' || l.mode, ', ') AS locks
FROM unnest(CAST(:tables AS text[])) AS wanted (name)
JOIN pg_locks l ON l.relation = to_regclass(wanted.name) AND l.granted
               AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE a.pid <> pg_backend_pid() AND a.backend_type <> 'autovacuum worker'
  AND clock_timestamp() - a.xact_start > make_interval(secs => CAST(:seconds AS double precision))
GROUP BY a.pid, a.xact_start, a.state, a.usename, a.application_name, a.query
ORDER BY age DESC

-- name: prepared_transactions
-- Transactions of this database that were prepared for a two-phase commit and neither committed nor rolled back.
SELECT quote_literal(gid) AS gid, extract(epoch FROM clock_timestamp() - prepared) AS age, owner
FROM pg_prepared_xacts
WHERE database = current_database()
ORDER BY prepared

-- name: idle_slots
-- Replication slots that nobody reads: the server keeps for them what a backfill writes.
SELECT slot_name, slot_type,
       greatest(age(xmin), age(catalog_xmin)) AS transactions,
       CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint END AS bytes
FROM pg_replication_slots
WHERE NOT active AND (xmin IS NOT NULL OR catalog_xmin IS NOT NULL OR restart_lsn IS NOT NULL)
ORDER BY slot_name

-- name: running_autovacuum
-- What autovacuum is doing to some tables; one against wraparound does not yield to anybody.
SELECT wanted.name, a.pid, a.query LIKE '%(to prevent wraparound)' AS is_unyielding
FROM unnest(CAST(:tables AS text[])) AS wanted (name)
JOIN pg_locks l ON l.relation = to_regclass(wanted.name) AND l.granted AND l.mode = 'ShareUpdateExclusiveLock'
               AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
JOIN pg_stat_activity a ON a.pid = l.pid AND a.backend_type = 'autovacuum worker'
ORDER BY wanted.name

-- name: near_wraparound
-- Tables to which an anti-wraparound autovacuum will come before long: more than so large a share of their time is over.
SELECT name, age, most
FROM (
    SELECT wanted.name, age(c.relfrozenxid) AS age,
           least(current_setting('autovacuum_freeze_max_age')::int, (
               SELECT option_value::int FROM pg_options_to_table(c.reloptions)
               WHERE option_name = 'autovacuum_freeze_max_age'
           )) AS most
    FROM unnest(CAST(:tables AS text[])) AS wanted (name)
    JOIN pg_class c ON c.oid = to_regclass(wanted.name) AND c.relkind = 'r'
) aged
WHERE age > CAST(:share AS double precision) * most
ORDER BY name

-- name: shapes
-- What is unusual about tables: their kind, whether they are logged, parts and rules that redirect writes.
SELECT wanted.name, c.relkind AS kind, c.relpersistence = 'u' AS is_unlogged,
       EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid OR i.inhrelid = c.oid) AS has_relatives,
       ARRAY(SELECT quote_ident(r.rulename) FROM pg_rewrite r
             WHERE r.ev_class = c.oid AND r.ev_type <> '1' ORDER BY r.rulename) AS rules
FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS wanted (name, position)
JOIN pg_class c ON c.oid = to_regclass(wanted.name)
ORDER BY wanted.position

-- name: columns
-- The columns of tables with their types, domains as what they are made of.
SELECT wanted.name AS table_name, a.attname AS name,
       format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS type
FROM unnest(CAST(:tables AS text[])) AS wanted (name)
JOIN pg_attribute a ON a.attrelid = to_regclass(wanted.name) AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid

-- name: without_key
-- Tables whose column id nothing can refer to, for lack of a unique index on it.
SELECT wanted.name
FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS wanted (name, position)
WHERE NOT EXISTS (
    SELECT FROM pg_index i
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'id'
    WHERE i.indrelid = to_regclass(wanted.name) AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
)
ORDER BY wanted.position

-- name: secured_tables
-- Tables whose rows are hidden from us by policies.
SELECT wanted.name
FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS wanted (name, position)
WHERE row_security_active(to_regclass(wanted.name))
ORDER BY wanted.position

-- name: update_triggers
-- Triggers that fire for each row in which we fill a column.
SELECT wanted.name AS table_name, quote_ident(t.tgname) AS name
FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS wanted (name, position)
JOIN pg_trigger t ON t.tgrelid = to_regclass(wanted.name)
-- Bits: 1 for each row, 16 on update; a list of columns can hold none of ours.
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 17 = 17 AND t.tgattr = ''
ORDER BY wanted.position, t.tgname

-- name: unenforced_keys
-- Foreign keys that the server does not look after since somebody disabled their triggers.
SELECT DISTINCT wanted.position, wanted.name AS table_name, quote_ident(c.conname) AS name
FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS wanted (name, position)
JOIN pg_trigger t ON t.tgrelid = to_regclass(wanted.name) AND t.tgisinternal AND t.tgenabled = 'D'
JOIN pg_constraint c ON c.oid = t.tgconstraint AND c.contype = 'f'
ORDER BY wanted.position, 3

-- name: invalid_indexes
-- Indexes that nobody is building and that serve no query.
SELECT wanted.name AS table_name, CAST(i.indexrelid AS regclass)::text AS name
FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS wanted (name, position)
JOIN pg_index i ON i.indrelid = to_regclass(wanted.name) AND NOT i.indisvalid
WHERE NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
ORDER BY wanted.position, 2

-- name: unvalidated_constraints
-- Constraints that were never held against the old rows.
SELECT wanted.name AS table_name, quote_ident(c.conname) AS name
FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS wanted (name, position)
JOIN pg_constraint c ON c.conrelid = to_regclass(wanted.name) AND NOT c.convalidated
ORDER BY wanted.position, c.conname

-- name: database_size
-- How many bytes the database takes on the server, its indexes included.
SELECT pg_database_size(current_database())

-- name: contents_to_link
-- How many contents wait for a period, up to 10,001 of them, and since when the first one does.
SELECT count(*) AS contents, extract(epoch FROM now() - min(crawled_at)) AS age
FROM (
    SELECT crawled_at FROM contents
    WHERE analysis_period_id IS NULL AND (topic_id IS NOT NULL OR user_id IS NOT NULL) AND crawled_at <= now()
    ORDER BY crawled_at, id LIMIT 10001
) waiting

-- name: contents_to_prepare
-- How many of the newest 10,000 contents were never prepared, and since when the first one waits.
SELECT count(*) AS contents, extract(epoch FROM now() - min(crawled_at)) AS age
FROM (
    SELECT id, crawled_at, relevance_score, published_at, discovered_at FROM contents
    WHERE crawled_at <= now() ORDER BY crawled_at DESC LIMIT 10000
) newest
WHERE (relevance_score IS NULL OR published_at IS NULL OR discovered_at IS NULL)
  AND NOT EXISTS (SELECT FROM temporal_pipeline.prepared_content p WHERE p.content_id = newest.id)

-- name: is_at_work
-- Whether a run of the pipeline holds one of its locks in this database.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = CAST(CAST(:space AS bigint) AS oid) AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)

-- name: unfinished_cuts
-- Cuts that were begun and not finished.
SELECT id, started_at FROM temporal_pipeline.cut WHERE finished_at IS NULL ORDER BY id

-- name: drafts
-- How many periods are drafts, of ours and of the application's.
SELECT count(k.period_id) AS ours, count(*) - count(k.period_id) AS theirs
FROM analysis_periods p
LEFT JOIN temporal_pipeline.period_cut k ON k.period_id = p.id
WHERE p.status = 'draft'
