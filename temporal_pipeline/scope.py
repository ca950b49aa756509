"""What a run works on: one set of options for all assets of the run."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import dagster as dg
from pydantic import Field, field_validator

from temporal_pipeline.database import Database
from temporal_pipeline.entities import Entity, find_entities


class Scope(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Options of a run, set once in the launchpad under `resources: scope: config`."""

    entities: list[str] = Field(
        default=[], description="Names or ids of topics and users, or topic:NAME / user:NAME. Empty: all."
    )
    since: str | None = Field(
        default=None,
        description="Look only at contents crawled at or after this ISO 8601 time with a zone. Empty: all.",
    )
    dry_run: bool = Field(
        default=False, description="Show what every step would do, in read-only transactions; write nothing."
    )
    batch_size: int = Field(
        default=2000, ge=1, le=100_000, description="How many rows one transaction writes at the most."
    )
    max_wait: float = Field(
        default=60, ge=0, description="How many seconds to wait for others before giving up, naming them."
    )
    automatic: bool = Field(
        default=False,
        description=(
            "Set by the sensor: an entity waits until half its crawl interval has passed since its last "
            "period. A run started by hand cuts at once."
        ),
    )

    @field_validator("since")
    @classmethod
    def _since_has_a_zone(cls, value: Any) -> Any:
        if value is not None:
            parse_instant(value)
        return value

    @property
    def since_instant(self) -> datetime | None:
        """`since` as a time with its zone."""
        return parse_instant(self.since) if self.since is not None else None

    def resolve(self, database: Database) -> list[Entity] | None:
        """The entities of this run; all → None. Raises PipelineError for one that is not known."""
        if not self.entities:
            return None
        with database.transaction(read_only=True) as connection:
            return find_entities(connection, self.entities)


def is_dry_run(run_config: Mapping[str, Any]) -> bool:
    """Whether a run with this configuration only shows what it would do."""
    scope = run_config.get("resources", {}).get("scope", {})
    return bool(scope.get("config", {}).get("dry_run"))


def parse_instant(value: str) -> datetime:
    """An ISO 8601 time with a zone. Raises ValueError that names the value and the remedy."""
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value!r} is not an ISO 8601 time; write 2026-03-01T00:00:00Z") from None
    if instant.tzinfo is None:
        raise ValueError(f"{value!r} has no zone; write {value}Z for UTC")
    return instant
