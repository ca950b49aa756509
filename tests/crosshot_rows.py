"""Rows of the application, as its crawlers would write them, for tests."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

START = datetime(2026, 1, 5, tzinfo=UTC)


def at(hours: float) -> datetime:
    """The time `hours` after the start of the test's world."""
    return START + timedelta(hours=hours)


def add_topic(connection: Connection, name: str = "AI agents", **columns: Any) -> uuid.UUID:
    return _add(
        connection,
        "topics",
        {
            "type": "topic",
            "name": name,
            "icon": "*",
            "platforms": ["x"],
            "keywords": ["agents"],
            "config": {"schedule_interval_hours": 6},
            "status": "active",
            "is_pinned": False,
            "position": 0,
            "total_contents": 0,
            "created_at": START,
            "updated_at": START,
        }
        | columns,
    )


def add_user(connection: Connection, name: str = "ada", **columns: Any) -> uuid.UUID:
    return _add(
        connection,
        "users",
        {
            "name": name,
            "platform": "x",
            "profile_url": f"https://x.example/{name}",
            "username": name,
            "config": {"schedule_interval_hours": 6},
            "status": "active",
            "is_pinned": False,
            "position": 0,
            "total_contents": 0,
            "created_at": START,
            "updated_at": START,
        }
        | columns,
    )


def add_task(
    connection: Connection,
    *,
    topic: uuid.UUID | None = None,
    user: uuid.UUID | None = None,
    query: str | None = "agents",
    started_at: datetime | None = None,
    minutes: float = 1,
    found: int | None = None,
    **columns: Any,
) -> uuid.UUID:
    """A search of a topic or (without query) a timeline crawl of a user; without `started_at`: pending."""
    owners = {"topic_id": topic, "user_id": user}
    payload = {key: str(value) for key, value in owners.items() if value is not None}
    payload |= {"action": "search", "query": query} if query else {"action": "timeline", "username": "ada"}
    ended = started_at + timedelta(minutes=minutes) if started_at else None
    return _add(
        connection,
        "tasks",
        {
            "label": "crawler:x",
            "priority": 0,
            "status": "completed" if started_at else "pending",
            "payload": payload,
            "created_at": started_at or START,
            "started_at": started_at,
            "completed_at": ended,
            "retry_count": 0,
            "max_retries": 3,
            "result": None if found is None else {"action": payload["action"], "tweets_found": found},
        }
        | columns,
    )


def add_content(
    connection: Connection,
    *,
    task: uuid.UUID | None = None,
    topic: uuid.UUID | None = None,
    user: uuid.UUID | None = None,
    crawled_at: datetime = START,
    published_at: datetime | None = None,
    text: str | None = "a post about agents",
    **columns: Any,
) -> uuid.UUID:
    """A post; `published_at` goes into `data` as the platform writes it."""
    identity = uuid.uuid4().hex
    data = {} if published_at is None else {"created_at": published_at.strftime("%a %b %d %H:%M:%S %z %Y")}
    return _add(
        connection,
        "contents",
        {
            "task_id": task or add_task(connection, topic=topic, user=user, started_at=crawled_at),
            "topic_id": topic,
            "user_id": user,
            "platform": "x",
            "platform_content_id": identity,
            "source_url": f"https://x.example/{identity}",
            "crawled_at": crawled_at,
            "author_uid": "1",
            "author_username": "ada",
            "text": text,
            "lang": "en",
            "hashtags": [],
            "media_downloaded": False,
            "metrics": {"like_count": 1, "retweet_count": 0, "reply_count": 0},
            "data": data,
        }
        | columns,
    )


def add_chat_message(connection: Connection, *, topic: uuid.UUID, created_at: datetime, content: str) -> None:
    connection.execute(
        text(
            "INSERT INTO chat_messages (entity_type, entity_id, role, content, is_archived, created_at) "
            "VALUES ('topic', :topic, 'user', :content, false, :created_at)"
        ),
        {"topic": topic, "content": content, "created_at": created_at},
    )


def _add(connection: Connection, table: str, columns: dict[str, Any]) -> uuid.UUID:
    row = {"id": uuid.uuid4()} | columns
    values = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()}
    places = ", ".join(
        f"CAST(:{key} AS jsonb)" if isinstance(row[key], dict) else f":{key}" for key in values
    )
    connection.execute(text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"), values)
    identity: uuid.UUID = row["id"]
    return identity


def mark_prepared(connection: Connection) -> None:
    """Contents as the asset content_relevance leaves them, for tests of what comes after it."""
    connection.execute(
        text(
            "INSERT INTO temporal_pipeline.prepared_content (content_id, method, scored, prepared_at) "
            "SELECT id, 'test', false, '2000-01-01' FROM contents ON CONFLICT DO NOTHING"
        )
    )
