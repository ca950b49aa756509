"""The four kinds of record that a crawl export holds, and the rows that a crawler makes of them.

What a crawler writes twice is found again through its name, not through memory: every id is a UUIDv5 of the
kind and the key (for a content: the platform and its id there), the same in every file.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID, uuid5

Kind = Literal["topic", "user", "task", "content"]
NAMESPACE = UUID("6f0c6c52-3c0e-5d5b-9d1c-2f6a4f1b7e10")
# In the order of a task's life.
TASK_STATUSES = ("pending", "running", "completed", "failed")

Reference = tuple[Kind, UUID]


def identity(kind: Kind, *key: str) -> UUID:
    """The id of the row that `kind` and `key` name, the same in every file and database."""
    return uuid5(NAMESPACE, "\0".join((kind, *key)))


@dataclass(frozen=True, slots=True)
class Topic:
    id: UUID
    name: str
    keywords: list[str]
    platforms: list[str]
    status: str
    time: datetime
    kind: Literal["topic"] = "topic"

    @property
    def references(self) -> tuple[Reference, ...]:
        return ()

    def row(self) -> dict[str, Any]:
        """The row of `topics`, as JSON can say it."""
        return {
            "id": str(self.id),
            "name": self.name,
            "keywords": self.keywords,
            "platforms": self.platforms,
            "status": self.status,
            "created_at": self.time.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class User:
    id: UUID
    name: str
    username: str | None
    platform: str
    profile_url: str
    status: str
    time: datetime
    kind: Literal["user"] = "user"

    @property
    def references(self) -> tuple[Reference, ...]:
        return ()

    def row(self) -> dict[str, Any]:
        """The row of `users`, as JSON can say it."""
        return {
            "id": str(self.id),
            "name": self.name,
            "username": self.username,
            "platform": self.platform,
            "profile_url": self.profile_url,
            "status": self.status,
            "created_at": self.time.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Task:
    id: UUID
    label: str
    action: str
    query: str | None
    username: str | None
    topic: UUID | None
    user: UUID | None
    status: str
    time: datetime
    started_at: datetime | None
    completed_at: datetime | None
    found: int | None
    kind: Literal["task"] = "task"

    @property
    def references(self) -> tuple[Reference, ...]:
        return _owners(self.topic, self.user)

    def as_of(self, until: datetime | None) -> Self:
        """The task as it stood at `until`: before its end, only that somebody wants it.

        The crawler writes a task down so that its contents can refer to it, and need not touch it again
        before it ends. Nor should anything wait for the end of a crawl that only a later slice brings.
        """
        ended = max(time for time in (self.time, self.started_at, self.completed_at) if time is not None)
        if until is None or ended <= until:
            return self
        return replace(self, status="pending", started_at=None, completed_at=None)

    def row(self) -> dict[str, Any]:
        """The row of `tasks`, as JSON can say it; `content_ids` fill up as the contents are loaded."""
        payload = {
            "topic_id": self.topic and str(self.topic),
            "user_id": self.user and str(self.user),
            "action": self.action,
            "query": self.query,
            "username": self.username,
        }
        return {
            "id": str(self.id),
            "label": self.label,
            "status": self.status,
            "payload": {key: value for key, value in payload.items() if value is not None},
            "created_at": self.time.isoformat(),
            "started_at": self.started_at and self.started_at.isoformat(),
            "completed_at": self.completed_at and self.completed_at.isoformat(),
            "result": self._result(),
        }

    def _result(self) -> dict[str, Any] | None:
        if self.status != "completed":
            return None
        result: dict[str, Any] = {"action": self.action, "content_ids": []}
        rest: dict[str, Any]
        if self.action == "tweet":
            counted, rest = "replies_found", {"reply_content_ids": []}
        elif self.action == "timeline":
            counted, rest = "tweets_found", {"username": self.username, "new_count": 0, "exhausted": None}
        else:
            counted, rest = "tweets_found", {"query": self.query, "tab": None}
        if self.found is not None:
            result[counted] = self.found
        return result | rest


@dataclass(frozen=True, slots=True)
class Content:
    id: UUID
    task: UUID
    topic: UUID | None
    user: UUID | None
    platform: str
    platform_content_id: str
    source_url: str
    time: datetime
    author_username: str | None
    text: str | None
    lang: str | None
    hashtags: list[str]
    metrics: dict[str, Any]
    data: dict[str, Any]
    kind: Literal["content"] = "content"

    @property
    def references(self) -> tuple[Reference, ...]:
        return (("task", self.task), *_owners(self.topic, self.user))

    @property
    def key(self) -> tuple[str, str]:
        """What the application's unique constraint is about."""
        return self.platform, self.platform_content_id

    def as_recrawl(self) -> Self:
        """This find as a change of one that is there: its time goes into `data.recrawled_at`.

        By that time a later replay knows that it must not put an older state back.
        """
        recrawled_at = self.time.isoformat(timespec="microseconds")
        return replace(self, data=self.data | {"recrawled_at": recrawled_at})

    def recrawled(self, newer: Self) -> Self:
        """This content with text, metrics and data of a re-crawl; the rest stays that of the first find."""
        return replace(self, text=newer.text, metrics=newer.metrics, data=self.data | newer.data)

    def row(self) -> dict[str, Any]:
        """The row of `contents`, as JSON can say it."""
        return {
            "id": str(self.id),
            "task_id": str(self.task),
            "topic_id": self.topic and str(self.topic),
            "user_id": self.user and str(self.user),
            "platform": self.platform,
            "platform_content_id": self.platform_content_id,
            "source_url": self.source_url,
            "crawled_at": self.time.isoformat(),
            "author_username": self.author_username,
            "text": self.text,
            "lang": self.lang,
            "hashtags": self.hashtags,
            "metrics": self.metrics,
            "data": self.data,
        }


Record = Topic | User | Task | Content


def name_of(record: Record) -> Reference:
    """What other records call this one."""
    return record.kind, record.id


def _owners(topic: UUID | None, user: UUID | None) -> tuple[Reference, ...]:
    owners: tuple[tuple[Kind, UUID | None], ...] = (("topic", topic), ("user", user))
    return tuple((kind, id_) for kind, id_ in owners if id_ is not None)
