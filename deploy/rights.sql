-- Who may do what in the application's database. Run by its owner after each migration, by psql; running it
-- again changes nothing.
\set ON_ERROR_STOP on
BEGIN;
-- Only tables of ours are locked, and only where they change hands.
SET LOCAL lock_timeout = '10s';

-- Refreshing a materialized view and VACUUM are their owner's right. A role is given only what lies in a schema
-- where it may create, which it need not for longer than that.
GRANT CREATE ON SCHEMA public, temporal_pipeline TO pipeline;
SELECT format('ALTER TABLE %s OWNER TO pipeline', CAST(oid AS regclass))
FROM pg_class
WHERE relowner <> to_regrole('pipeline')
  AND (relnamespace = to_regnamespace('temporal_pipeline') AND relkind = 'r' OR oid IN (
    to_regclass('public.analysis_periods'),
    to_regclass('public.period_content_snapshots'),
    to_regclass('public.temporal_events'),
    to_regclass('public.event_contents'),
    to_regclass('public.crawl_effectiveness'),
    to_regclass('public.mv_period_metrics_trend')
  ))
\gexec
REVOKE CREATE ON SCHEMA public, temporal_pipeline FROM pipeline;

-- pipeline reads everything, and of the application's tables writes the columns that the migration added.
GRANT USAGE ON SCHEMA public, temporal_pipeline TO pipeline;
GRANT SELECT ON ALL TABLES IN SCHEMA public, temporal_pipeline TO pipeline;
GRANT UPDATE (current_period_number, last_period_id, total_periods, first_analysis_at, avg_period_duration_hours)
    ON topics, users TO pipeline;
GRANT UPDATE (analysis_period_id, published_at, discovered_at, relevance_score) ON contents TO pipeline;
GRANT UPDATE (period_id, effectiveness_id, duration_seconds) ON tasks TO pipeline;
GRANT UPDATE (period_id) ON chat_messages TO pipeline;

-- analyst reads everything, also what will be made.
GRANT USAGE ON SCHEMA public, temporal_pipeline TO analyst;
GRANT SELECT ON ALL TABLES IN SCHEMA public, temporal_pipeline TO analyst;
ALTER DEFAULT PRIVILEGES FOR ROLE crosshot IN SCHEMA public, temporal_pipeline GRANT SELECT ON TABLES TO analyst;
COMMIT;
