"""Configuration from the environment and `.env`: read when asked for, never at import."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Where the databases are. Environment beats `.env` beats defaults.

    `DATABASE_URL`: the application's database; unset: the embedded server.
    `DAGSTER_DATABASE_URL`: Dagster's own tables; unset: database `dagster` on the same server.
    `TEMPORAL_PIPELINE_HOME`: folder for the embedded server and Dagster's files.
    `TEMPORAL_PIPELINE_BACKUPS`: folder for the backups that are taken before a migration.
    `TEMPORAL_PIPELINE_MCP_TOKEN`: what those have to know who ask over HTTP.
    `TEMPORAL_PIPELINE_ALERT_WEBHOOKS`: who is told of events and failures; unset: nobody.
    """

    model_config = SettingsConfigDict(env_file=PROJECT_ROOT / ".env", extra="ignore", env_ignore_empty=True)

    database_url: SecretStr | None = None
    dagster_database_url: SecretStr | None = None
    home: Path = Field(default=PROJECT_ROOT / ".temporal_pipeline", validation_alias="TEMPORAL_PIPELINE_HOME")
    backups: Path = Field(default=PROJECT_ROOT / "backups", validation_alias="TEMPORAL_PIPELINE_BACKUPS")
    mcp_token: SecretStr | None = Field(default=None, validation_alias="TEMPORAL_PIPELINE_MCP_TOKEN")
    alert_webhooks: SecretStr | None = Field(
        default=None, validation_alias="TEMPORAL_PIPELINE_ALERT_WEBHOOKS"
    )
