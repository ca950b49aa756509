-- What a new server is given at its first start: roles, databases, and the application's tables, still empty.
\ir /sql/roles.sql
\connect crosshot
SET ROLE crosshot;
\ir /sql/legacy.sql
