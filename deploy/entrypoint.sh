#!/bin/sh
# Secrets from files: where X_FILE names one, X is set to what it holds. Then the program itself.
set -eu
for name in DATABASE_URL DAGSTER_DATABASE_URL PGPASSWORD TEMPORAL_PIPELINE_ALERT_WEBHOOKS; do
    eval "value=\${$name:-} file=\${${name}_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then
        echo "error: both $name and ${name}_FILE are set; keep one" >&2
        exit 2
    fi
    if [ -n "$file" ]; then
        if ! value=$(cat "$file") || [ -z "$value" ]; then
            echo "error: ${name}_FILE names $file, which is empty or cannot be read by $(id -un)" >&2
            exit 2
        fi
        export "$name=$value"
        unset "${name}_FILE"
    fi
done
exec "$@"
