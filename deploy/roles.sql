-- Roles and databases of a deployment. Run by a superuser, by psql; running it again sets the passwords anew.
--   crosshot   owns the application's tables and migrates them; one that is there already is left as it is
--   pipeline   works: owns what is ours, and Dagster's database
--   analyst    looks: at the application's database, and at Dagster's
-- Passwords are read from the files NAME_password in the folder SECRETS (default /run/secrets).
\set ON_ERROR_STOP on
\set owner_password `cat "${SECRETS:-/run/secrets}/owner_password"`
\set pipeline_password `cat "${SECRETS:-/run/secrets}/pipeline_password"`
\set analyst_password `cat "${SECRETS:-/run/secrets}/analyst_password"`

-- A log of statements would hold the passwords.
SET log_statement = 'none';
SET log_min_error_statement = panic;

SELECT to_regrole('crosshot') IS NULL AS needs_owner, to_regrole('pipeline') IS NULL AS needs_pipeline,
       to_regrole('analyst') IS NULL AS needs_analyst,
       '' IN (:'owner_password', :'pipeline_password', :'analyst_password') AS lacks_password
\gset
\if :lacks_password
DO $$ BEGIN RAISE 'a file with a password is missing or empty'; END $$;
\endif
\if :needs_owner
CREATE ROLE crosshot LOGIN PASSWORD :'owner_password';
\endif
\if :needs_pipeline
CREATE ROLE pipeline LOGIN;
\endif
\if :needs_analyst
CREATE ROLE analyst LOGIN;
\endif
ALTER ROLE pipeline PASSWORD :'pipeline_password';
ALTER ROLE analyst PASSWORD :'analyst_password';

-- Who migrates also alters what belongs to the one that works, and the application reads and writes it.
GRANT pipeline TO crosshot;
-- To see what others' sessions do, where one stands in the way.
GRANT pg_read_all_stats TO crosshot, pipeline;

SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (VALUES ('crosshot', 'crosshot'), ('dagster', 'pipeline')) AS wanted (name, owner)
WHERE name NOT IN (SELECT datname FROM pg_database)
\gexec

REVOKE ALL ON DATABASE dagster FROM PUBLIC;
GRANT CONNECT ON DATABASE dagster TO analyst;
\connect dagster
GRANT USAGE ON SCHEMA public TO analyst;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO analyst;
ALTER DEFAULT PRIVILEGES FOR ROLE pipeline IN SCHEMA public GRANT SELECT ON TABLES TO analyst;
