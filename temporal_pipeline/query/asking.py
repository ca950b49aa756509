"""What may be asked: every argument checked before the database is troubled."""

import base64
import json
import uuid
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Any

from temporal_pipeline.query.models import ErrorCode, ErrorValue

When = str | date | datetime | None

MOST_ITEMS = 200
DEFAULT_LIMIT = 20
# About two thousand tokens of a language model.
DEFAULT_CHARACTERS = 8_000
# What a message repeats of an argument, which may be as long as anybody likes.
MOST_TOLD = 100
ONE_DAY = timedelta(days=1)
SMALLEST_STEP = timedelta(microseconds=1)


class Refusal(Exception):
    """A question that has no answer."""

    def __init__(self, code: ErrorCode, message: str, hint: str = "", choices: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.error = ErrorValue(code=code, message=message, hint=hint, choices=list(choices))


@dataclass(frozen=True)
class Question:
    """Arguments that all questions share, in their final form.

    `since` ≤ t < `until` is about when things happened, `as_of` about when they were recorded.
    """

    since: datetime | None
    until: datetime | None
    as_of: datetime | None
    limit: int
    max_chars: int
    fields: frozenset[str]

    @property
    def window(self) -> dict[str, datetime | None]:
        """The times, as parameters of the queries."""
        return {"since": self.since, "until": self.until, "as_of": self.as_of}


def question(
    *,
    since: When = None,
    until: When = None,
    as_of: When = None,
    limit: int,
    max_chars: int,
    fields: Sequence[str] | None,
    known_fields: Sequence[str],
    default_fields: Sequence[str],
) -> Question:
    """The checked arguments. Raises Refusal."""
    begin = _instant(since, "since")
    end = _instant(until, "until", of_a_day="its end")
    if begin is not None and end is not None and begin >= end:
        raise Refusal(
            "invalid_time_range",
            f"since {begin.isoformat()} is not before until {end.isoformat()}",
            "swap them; a date is that whole UTC day, so one day is since=until=2026-03-01",
        )
    known_at = _instant(as_of, "as_of", of_a_day="its last moment")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_ITEMS:
        raise Refusal(
            "invalid_limit",
            f"limit {told(limit)} is not a whole number from 1 to {MOST_ITEMS}",
            "use cursor to go on",
        )
    if isinstance(max_chars, bool) or not isinstance(max_chars, int) or max_chars < 1:
        raise Refusal("invalid_argument", f"max_chars {told(max_chars)} is not a positive whole number")
    return Question(begin, end, known_at, limit, max_chars, _fields(fields, known_fields, default_fields))


def _fields(fields: Sequence[str] | None, known: Sequence[str], default: Sequence[str]) -> frozenset[str]:
    if fields is None:
        return frozenset(default)
    wanted = [fields] if isinstance(fields, str) else fields
    if not isinstance(wanted, Sequence | Set):
        raise Refusal("invalid_argument", f"fields {told(fields)} is no list of names", "", known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise Refusal(
            "invalid_argument",
            f"there is no field {', '.join(map(told, unknown))}",
            "take some of choices",
            known,
        )
    return frozenset(wanted)


def _instant(value: When, name: str, of_a_day: str = "") -> datetime | None:
    """An ISO 8601 time, without a zone: UTC; a date is its first moment, its end or its last moment."""
    if value is None:
        return None
    try:
        parsed = _parsed(value)
        if isinstance(parsed, datetime):
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        midnight = datetime.combine(parsed, time(), UTC)
        if not of_a_day:
            return midnight
        return midnight + ONE_DAY - (SMALLEST_STEP if of_a_day == "its last moment" else timedelta())
    except (ValueError, OverflowError, TypeError):
        raise Refusal(
            "invalid_time_range",
            f"{name} {told(value)} is not an ISO 8601 time",
            "write 2026-03-01 for a whole UTC day, or 2026-03-01T06:00:00Z",
        ) from None


def _parsed(value: str | date | datetime) -> date | datetime:
    if not isinstance(value, str):
        if not isinstance(value, date):
            raise TypeError(value)
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        return datetime.fromisoformat(value)


def told(value: object) -> str:
    """A value as it was given, so far as it fits into a message."""
    try:
        shown = repr(value)
    except ValueError:
        # Python refuses to write out a number of thousands of digits.
        return "of thousands of digits"
    return shown if len(shown) <= MOST_TOLD else f"{shown[: MOST_TOLD - 1]}…"


def flag(value: object, name: str) -> bool:
    """True or false. Raises Refusal."""
    if not isinstance(value, bool):
        raise Refusal("invalid_argument", f"{name} {told(value)} is neither true nor false")
    return value


def text_argument(value: object, name: str) -> str:
    """A text that PostgreSQL can take. Raises Refusal."""
    try:
        if not isinstance(value, str) or "\x00" in value:
            raise ValueError(value)
        value.encode()
    except ValueError:
        raise Refusal("invalid_argument", f"{name} {told(value)} is not a text") from None
    return value


def optional_text(value: object, name: str) -> str | None:
    """The same, or none at all. Raises Refusal."""
    return None if value is None else text_argument(value, name)


@dataclass(frozen=True)
class Cursors:
    """Cursors of one question: a place among its items, which new items before it do not move.

    `question`: what must be the same on every page; `kinds`: how to read each part of a place.
    """

    question: tuple[object, ...]
    kinds: tuple[Callable[[str], Any], ...]

    def write(self, place: Sequence[object]) -> str:
        parts = [part.isoformat() if isinstance(part, datetime) else str(part) for part in place]
        document = json.dumps([self._digest(), *parts], separators=(",", ":"))
        return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")

    def read(self, cursor: str | None) -> tuple[Any, ...] | None:
        """The place. Raises Refusal for what this question did not hand out."""
        if cursor is None:
            return None
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            digest, *parts = json.loads(base64.b64decode(padded.encode("ascii"), b"-_", validate=True))
            place = tuple(kind(part) for kind, part in zip(self.kinds, parts, strict=True))
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            raise _not_a_cursor("this is no cursor") from None
        if digest != self._digest():
            raise _not_a_cursor("this cursor belongs to another question")
        return place

    def _digest(self) -> str:
        return sha256(repr(self.question).encode()).hexdigest()[:12]


def _not_a_cursor(message: str) -> Refusal:
    return Refusal(
        "invalid_cursor",
        message,
        "give next_cursor of the page before, with the same entity, times and filters; without it: the first page",
    )


def moment(text: str) -> datetime:
    """A time with its zone, in a cursor. Raises ValueError."""
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError(text)
    return read


def number(text: str) -> int:
    """A whole number that PostgreSQL's integer holds, in a cursor. Raises ValueError."""
    read = int(text)
    if not -(2**31) <= read < 2**31:
        raise ValueError(text)
    return read


def as_id(text: str) -> uuid.UUID | None:
    """The id that a text is; None: it is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
