"""Crawl exports: one JSON object per line, parsed and validated without a database."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isinf
from typing import Any, Literal, NoReturn
from uuid import UUID

from temporal_pipeline.crosshot.records import TASK_STATUSES, Content, Record, Task, Topic, User, identity

ENTITY_STATUSES = ("active", "paused", "archived")
# Far more than any platform's document, far less than the stacks of Python and PostgreSQL bear.
DEEPEST = 100
# strftime would write the names in the language of the process.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class BadLine(ValueError):
    """A line of an export that cannot be loaded; its text is the reason."""


def parse_line(raw: bytes) -> Record:
    """The record that a line holds.

    Raises BadLine with a reason that names the key: not UTF-8, not JSON, an unknown kind, a key that is
    missing, of the wrong type or too long for its column, a time without zone, what PostgreSQL cannot store.
    """
    try:
        line = raw.decode()
    except UnicodeDecodeError as error:
        raise BadLine(f"not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1}") from None
    try:
        record = json.loads(line, parse_constant=_not_a_number)
    except json.JSONDecodeError as error:
        raise BadLine(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise BadLine("not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise BadLine(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise BadLine("not a JSON object")
    _refuse_unstorable(line, record)
    return _Fields(record).record()


def platform_time(platform: str, moment: datetime) -> str:
    """A publication time in the platform's own form: X has one of its own, the others write ISO 8601."""
    moment = moment.astimezone(UTC)
    if platform != "x":
        return moment.isoformat()
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day} {month} {moment.day:02d} {moment.time():%H:%M:%S} +0000 {moment.year:04d}"


@dataclass(frozen=True, slots=True)
class _Fields:
    """The keys of one line, read with the type and length that its column has."""

    values: dict[str, Any]

    def record(self) -> Record:
        readers: dict[object, Callable[[], Record]] = {
            "topic": self._topic,
            "user": self._user,
            "task": self._task,
            "content": self._content,
        }
        kind = self.text("kind")
        if kind not in readers:
            raise BadLine(f"kind is {_shown(kind)}, expected topic, user, task or content")
        return readers[kind]()

    def _topic(self) -> Topic:
        return Topic(
            id=identity("topic", self.text("key")),
            name=self.text("name", 256),
            keywords=self.texts("keywords"),
            platforms=self.texts("platforms"),
            status=self.one_of("status", ENTITY_STATUSES, default="active"),
            time=self.time("created_at"),
        )

    def _user(self) -> User:
        return User(
            id=identity("user", self.text("key")),
            name=self.text("name", 256),
            username=self.optional_text("username", 64),
            platform=self.text("platform", 16),
            profile_url=self.text("profile_url"),
            status=self.one_of("status", ENTITY_STATUSES, default="active"),
            time=self.time("created_at"),
        )

    def _task(self) -> Task:
        return Task(
            id=identity("task", self.text("key")),
            label=self.text("label", 64),
            action=self.text("action"),
            query=self.optional_text("query"),
            username=self.optional_text("username"),
            topic=self.reference("topic"),
            user=self.reference("user"),
            status=self.one_of("status", TASK_STATUSES),
            time=self.time("created_at"),
            started_at=self.optional_time("started_at"),
            completed_at=self.optional_time("completed_at"),
            found=self.optional_count("found"),
        )

    def _content(self) -> Content:
        platform, key = self.text("platform", 16), self.text("platform_content_id", 128)
        published_at = self.optional_time("published_at")
        return Content(
            id=identity("content", platform, key),
            task=identity("task", self.text("task")),
            topic=self.reference("topic"),
            user=self.reference("user"),
            platform=platform,
            platform_content_id=key,
            source_url=self.text("source_url"),
            time=self.time("crawled_at"),
            author_username=self.optional_text("author_username", 64),
            text=self.optional_text("text"),
            lang=self.optional_text("lang", 8),
            hashtags=[] if self.values.get("hashtags") is None else self.texts("hashtags"),
            metrics=self.optional_object("metrics"),
            data={} if published_at is None else {"created_at": platform_time(platform, published_at)},
        )

    def optional_text(self, key: str, longest: int | None = None) -> str | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise BadLine(f"{key} is {_shown(value)}, expected a text")
        if longest is not None and len(value) > longest:
            raise BadLine(f"{key} has {len(value)} characters, at most {longest} fit")
        return value

    def text(self, key: str, longest: int | None = None) -> str:
        value = self.optional_text(key, longest)
        if value is None:
            raise BadLine(f"{key} is missing")
        return value

    def texts(self, key: str) -> list[str]:
        value = self.values.get(key)
        if value is None:
            raise BadLine(f"{key} is missing")
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadLine(f"{key} is {_shown(value)}, expected a list of texts")
        return value

    def one_of(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(key) if default is None else self.optional_text(key) or default
        if value not in choices:
            raise BadLine(f"{key} is {_shown(value)}, expected {', '.join(choices)}")
        return value

    def optional_time(self, key: str) -> datetime | None:
        value = self.optional_text(key)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise BadLine(f"{key} is {_shown(value)}, expected an ISO 8601 time") from None
        if moment.tzinfo is None:
            raise BadLine(f"{key} is {_shown(value)}, a time without zone")
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            raise BadLine(f"{key} is {_shown(value)}, outside the years 1 to 9999") from None

    def time(self, key: str) -> datetime:
        value = self.optional_time(key)
        if value is None:
            raise BadLine(f"{key} is missing")
        return value

    def reference(self, kind: Literal["topic", "user"]) -> UUID | None:
        key = self.optional_text(kind)
        return None if key is None else identity(kind, key)

    def optional_count(self, key: str) -> int | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            raise BadLine(f"{key} is {_shown(value)}, expected a count")
        return value

    def optional_object(self, key: str) -> dict[str, Any]:
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise BadLine(f"{key} is {_shown(value)}, expected an object")
        return value


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _refuse_unstorable(line: str, record: dict[str, Any]) -> None:
    """Refuse what is JSON but no text or number of PostgreSQL's."""
    suspicious = "\\u0000" in line or "\\ud" in line.lower()
    for key, value in record.items():
        if suspicious or isinstance(value, dict | list | float):
            for part in _parts(key, value):
                if isinstance(part, float) and isinf(part):
                    raise BadLine(f"{key} holds a number that is too large")
                if suspicious and isinstance(part, str):
                    if "\0" in part:
                        raise BadLine(f"{key!a} holds a NUL character")
                    if any("\ud800" <= character <= "\udfff" for character in part):
                        raise BadLine(f"{key!a} holds half a character (a lone surrogate)")


def _parts(key: str, value: Any) -> Iterator[Any]:
    """The key, its value and everything inside that, walked without recursion."""
    yield key
    waiting = [(value, 1)]
    while waiting:
        part, depth = waiting.pop()
        if depth > DEEPEST:
            raise BadLine(f"{key} is nested more than {DEEPEST} levels deep")
        yield part
        if isinstance(part, dict):
            waiting += [(inner, depth + 1) for pair in part.items() for inner in pair]
        elif isinstance(part, list):
            waiting += [(inner, depth + 1) for inner in part]


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
