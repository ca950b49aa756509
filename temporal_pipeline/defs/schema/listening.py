"""What there is to hear from a migration while it is under way."""

import logging
from dataclasses import dataclass, field

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Executed:
    """A statement that was executed: for which step, and in how many seconds.

    `retries`: how often it gave way to others; `waited`: seconds of `seconds` that it waited for others.
    """

    step: str
    statement: str
    seconds: float = 0.0
    retries: int = 0
    waited: float = 0.0


@dataclass
class Listener:
    """Hears of every step and remembers every statement; this one writes a log, a verb may show more."""

    statements: list[Executed] = field(default_factory=list)

    def starts(self, step: str) -> None:
        """A step begins."""
        log.info("%s", step)

    def waits(self, step: str, reason: str) -> None:
        """A step has waited for a while, and for whom."""
        log.warning("%s: %s", step, reason)

    def progresses(self, step: str, phase: str, share: float) -> None:
        """A step that takes long has come so far: `share` from 0 to 1 of the server's own `phase`."""

    def executed(self, executed: Executed) -> None:
        """A statement is done."""
        self.statements.append(executed)
