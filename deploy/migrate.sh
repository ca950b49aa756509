#!/bin/sh
# As the owner of the application's database: backup, schema, verification; then who may do what.
set -eu
temporal-pipeline migrate --yes "$@"
exec temporal-pipeline exec -- psql --no-psqlrc --quiet --file "$(dirname "$0")/rights.sql"
