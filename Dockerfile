# syntax=docker/dockerfile:1
FROM python:3.12-slim-bookworm

# pg_dump refuses a server that is newer than itself, and pg_restore what a newer pg_dump wrote.
ARG POSTGRES_MAJOR=16

ENV PYTHONUNBUFFERED=1 \
    PYTHONWARNINGS=ignore:Function \
    TEMPORAL_PIPELINE_HOME=/var/lib/temporal_pipeline \
    TEMPORAL_PIPELINE_BACKUPS=/backups \
    DAGSTER_HOME=/var/lib/temporal_pipeline/dagster

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# Of PostgreSQL's own repository, which has every major version. What comes from Debian is pinned by its release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates postgresql-common \
    && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
    && apt-get install -y --no-install-recommends "postgresql-client-${POSTGRES_MAJOR}" \
    && rm -rf /var/lib/apt/lists/* \
    && "/usr/lib/postgresql/${POSTGRES_MAJOR}/bin/pg_dump" --version

RUN useradd --system --uid 10001 --user-group --create-home pipeline \
    && mkdir -p /backups "$DAGSTER_HOME" \
    && ln -s /app/dagster.yaml "$DAGSTER_HOME/dagster.yaml" \
    && chown -R pipeline:pipeline /backups "$TEMPORAL_PIPELINE_HOME"

WORKDIR /app
# What seldom changes first, so that a change of the code does not install everything anew.
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY temporal_pipeline/__init__.py temporal_pipeline/
RUN pip install --no-cache-dir --constraint requirements.lock --editable .
COPY . .

USER 10001
ENTRYPOINT ["/app/deploy/entrypoint.sh"]
CMD ["temporal-pipeline", "status"]
