-- name: current
-- Which database this is, on which version of the server, and how many bytes it takes there.
SELECT current_database() AS name,
       CAST(current_setting('server_version_num') AS int) AS server_version_num,
       pg_database_size(current_database()) AS bytes

-- name: name
-- Which database this is.
SELECT current_database()

-- name: target
-- Which database this is, and how many tables it has.
SELECT current_database(), count(*)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'

-- name: one_view
-- Every statement of this transaction sees the same rows.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- name: time_limits
-- Limits that a role or database sets for queries do not end this transaction while pg_dump reads; a lock is waited for so long.
SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN CAST(:lock_timeout AS text) ELSE '0' END, true)
FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')

-- name: export_snapshot
-- The name by which pg_dump sees what this transaction sees.
SELECT pg_export_snapshot()

-- name: counting_statements
-- The statement that counts the rows of each table, without those that belong to an extension.
SELECT n.nspname || '.' || c.relname AS name, format('SELECT count(*) FROM ONLY %I.%I', n.nspname, c.relname) AS statement
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY name

-- name: lock_holders
-- Sessions that hold a lock on a table here which keeps everybody from reading it.
SELECT DISTINCT a.pid, a.usename, coalesce(a.state, 'state not shown to us') AS state,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0) AS age,
       left(regexp_replace(regexp_replace(a.query, '\s+', ' ', 'g'), '(password )''[^'']*''?', '\1…', 'gi'), 120) AS query
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock' AND a.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY age DESC

-- name: rights
-- Whether this role may make databases, and whether it owns the given one.
SELECT r.rolsuper OR r.rolcreatedb AS may_create, pg_has_role(d.datdba, 'USAGE') AS owns, r.rolname AS role
FROM pg_roles r, pg_database d
WHERE r.rolname = current_user AND d.datname = CAST(:database AS text)

-- name: create_like
-- The statement that makes an empty database with encoding, locale, place and, if wanted, owner of another one.
SELECT concat_ws(' ',
    format('CREATE DATABASE %I TEMPLATE template0', CAST(:name AS text)),
    CASE WHEN CAST(:same_owner AS boolean) THEN format('OWNER %I', pg_get_userbyid(d.datdba)) END,
    format('ENCODING %L LC_COLLATE %L LC_CTYPE %L', pg_encoding_to_char(d.encoding), d.datcollate, d.datctype),
    CASE later.provider
        WHEN 'c' THEN 'LOCALE_PROVIDER libc'
        WHEN 'i' THEN format('LOCALE_PROVIDER icu ICU_LOCALE %L', later.locale)
        WHEN 'b' THEN format('LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', later.locale)
    END,
    'ICU_RULES ' || quote_literal(later.rules),
    CASE WHEN d.dattablespace <> t.dattablespace
         THEN format('TABLESPACE %I', (SELECT spcname FROM pg_tablespace s WHERE s.oid = d.dattablespace)) END)
FROM pg_database d
JOIN pg_database t ON t.datname = 'template0'
CROSS JOIN LATERAL (
    -- Columns that not every version of the server has, or that are called differently.
    SELECT to_jsonb(d) ->> 'datlocprovider' AS provider,
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
           to_jsonb(d) ->> 'daticurules' AS rules
) later
WHERE d.datname = CAST(:original AS text)

-- name: properties_like
-- The statements that give a database the settings, limit, comment and grants of another one, and what each is about.
SELECT about, setting, value, statement
FROM pg_database d
CROSS JOIN LATERAL (
    SELECT 1 AS position, format('setting %s', s.name) AS about,
           -- Lists of names are stored ready quoted; only the session can hand them on as they are.
           CASE WHEN s.is_list THEN s.name END AS setting, CASE WHEN s.is_list THEN s.value END AS value,
           format(CASE WHEN s.is_list THEN 'ALTER %s SET %I FROM CURRENT' ELSE 'ALTER %s SET %I TO %L' END,
                  CASE WHEN s.role = 0 THEN format('DATABASE %I', CAST(:name AS text))
                       ELSE format('ROLE %I IN DATABASE %I', pg_get_userbyid(s.role), CAST(:name AS text)) END,
                  s.name, s.value) AS statement
    FROM (
        SELECT setrole AS role, split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value,
               split_part(entry, '=', 1) IN ('search_path', 'temp_tablespaces', 'local_preload_libraries',
                                             'session_preload_libraries') AS is_list
        FROM pg_db_role_setting, unnest(setconfig) AS entry
        WHERE setdatabase = d.oid
    ) s
    UNION ALL
    SELECT 2, 'connection limit', NULL, NULL,
           format('ALTER DATABASE %I CONNECTION LIMIT %s', CAST(:name AS text), d.datconnlimit)
    WHERE d.datconnlimit <> -1
    UNION ALL
    SELECT 3, 'comment', NULL, NULL,
           format('COMMENT ON DATABASE %I IS %L', CAST(:name AS text), shobj_description(d.oid, 'pg_database'))
    WHERE shobj_description(d.oid, 'pg_database') IS NOT NULL
    UNION ALL
    SELECT 4, 'grants', NULL, NULL,
           format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', CAST(:name AS text), pg_get_userbyid(d.datdba))
    WHERE d.datacl IS NOT NULL
    UNION ALL
    SELECT 5, 'grants', NULL, NULL,
           format('GRANT %s ON DATABASE %I TO %s', privilege_type, CAST(:name AS text),
                  CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
           || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    FROM aclexplode(d.datacl)
) property
WHERE d.datname = CAST(:original AS text)
ORDER BY position

-- name: databases_named
-- The databases whose name is the prefix and a time, with the bytes that they take.
SELECT datname AS name, pg_database_size(oid) AS bytes
FROM pg_database
WHERE left(datname, length(CAST(:prefix AS text))) = CAST(:prefix AS text)
  AND substr(datname, length(CAST(:prefix AS text)) + 1) ~ '^\d{8}_\d{6}$'
ORDER BY datname

-- name: no_statement_timeout
-- What takes long is waited for in this session, whatever the role or database says.
SELECT set_config('statement_timeout', '0', false)

-- name: sessions
-- Who is connected to a database.
SELECT pid, usename, application_name, state
FROM pg_stat_activity
WHERE datname = CAST(:database AS text) AND pid <> pg_backend_pid()
ORDER BY pid

-- name: end_session
-- Roll back what a session does, and end it.
SELECT pg_terminate_backend(CAST(:pid AS int))

-- name: soon
-- A lock on a database that is not free is asked for again rather than waited for: new connections wait behind us.
SET LOCAL lock_timeout = '1s'

-- name: relations
-- Which of the named tables there are.
SELECT name FROM unnest(CAST(:names AS text[])) AS wanted (name) WHERE to_regclass(name) IS NOT NULL

-- name: columns
-- Which columns a table has.
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(CAST(:relation AS text)) AND attnum > 0 AND NOT attisdropped

-- name: periods_since
-- How many periods were made, closed or otherwise changed after a time.
SELECT count(*) FROM analysis_periods
WHERE greatest(analyzed_at, created_at, updated_at) > CAST(:since AS timestamptz)

-- name: snapshots_since
-- How many snapshots of contents were made after a time.
SELECT count(*) FROM period_content_snapshots WHERE created_at > CAST(:since AS timestamptz)

-- name: events_since
-- How many events were made or changed after a time.
SELECT count(*) FROM temporal_events WHERE greatest(created_at, last_updated_at) > CAST(:since AS timestamptz)

-- name: evidence_since
-- How many contents were added to events after a time.
SELECT count(*) FROM event_contents WHERE added_at > CAST(:since AS timestamptz)

-- name: effectiveness_since
-- How many measurements of queries were made after a time.
SELECT count(*) FROM crawl_effectiveness WHERE created_at > CAST(:since AS timestamptz)

-- name: contents_since
-- How many contents were crawled after a time.
SELECT count(*) FROM contents WHERE crawled_at > CAST(:since AS timestamptz)

-- name: tasks_since
-- How many tasks were made after a time.
SELECT count(*) FROM tasks WHERE created_at > CAST(:since AS timestamptz)

-- name: topics_since
-- How many topics were made after a time.
SELECT count(*) FROM topics WHERE created_at > CAST(:since AS timestamptz)

-- name: users_since
-- How many users were made after a time.
SELECT count(*) FROM users WHERE created_at > CAST(:since AS timestamptz)

-- name: chat_messages_since
-- How many chat messages were written after a time.
SELECT count(*) FROM chat_messages WHERE created_at > CAST(:since AS timestamptz)

-- name: values_in_contents
-- How many contents have a value in the columns that we added.
SELECT count(analysis_period_id) AS links_of_contents, count(published_at) AS published_at_of_contents,
       count(discovered_at) AS discovered_at_of_contents, count(relevance_score) AS relevance_score_of_contents
FROM contents

-- name: values_in_tasks
-- How many tasks have a value in the columns that we added.
SELECT count(period_id) AS links_of_tasks, count(duration_seconds) AS duration_seconds_of_tasks FROM tasks

-- name: values_in_chat_messages
-- How many chat messages point to a period.
SELECT count(period_id) AS links_of_chat_messages FROM chat_messages

-- name: values_in_topics
-- How many topics have counted periods.
SELECT count(*) AS counters_of_topics FROM topics WHERE total_periods > 0

-- name: values_in_users
-- How many users have counted periods.
SELECT count(*) AS counters_of_users FROM users WHERE total_periods > 0

-- name: in_this_session
-- Set a parameter for the rest of the session, to its text as it is.
SELECT set_config(CAST(:name AS text), CAST(:value AS text), false)
