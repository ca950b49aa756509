"""What was found about a topic or user, in the one shape in which it is recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

Severity = Literal["info", "warning", "critical"]
# From the least to the most severe.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
State = Literal["active", "recovering", "resolved", "expired"]


@dataclass(frozen=True)
class Finding:
    """One event of an entity, as far as it is known now.

    `key` names what is watched (metric and direction, such as `volume_up`); at most one finding per key is
    open at a time. `onset` and `last_breach` are the begins of its first and latest hour (or period, or crawl),
    `known_at` is when the onset could be known at the earliest. `resolved_at` is None while it is open.
    `figures` are the numbers behind it, as they are kept in the event's metadata; `excess` says of each of its
    hours how far it was above the usual; where it is empty, an absence may cite the last posts before instead.
    """

    key: str
    event_type: str
    metric: str
    direction: Literal["up", "down"]
    onset: datetime
    last_breach: datetime
    known_at: datetime
    state: State
    resolved_at: datetime | None
    resolution_note: str | None
    severity: Severity
    title: str
    description: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    excess: Mapping[datetime, float] = field(default_factory=dict)
    cites_posts_before: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it still goes on as far as is known."""
        return self.resolved_at is None
