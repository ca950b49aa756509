"""Small crawl exports, and what a database holds after loading them."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import text

from temporal_pipeline.database import Database

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
Record = dict[str, Any]


def at(minutes: float) -> datetime:
    return BEGIN + timedelta(minutes=minutes)


def topic(key: str = "t", **keys: Any) -> Record:
    return {
        "kind": "topic", "key": key, "name": f"Topic {key}", "keywords": ["tea"], "platforms": ["x"],
        "created_at": at(0).isoformat(),
    } | keys  # fmt: skip


def user(key: str = "u", **keys: Any) -> Record:
    return {
        "kind": "user", "key": key, "name": f"User {key}", "username": key, "platform": "x",
        "profile_url": f"https://x.example/{key}", "created_at": at(0).isoformat(),
    } | keys  # fmt: skip


def task(key: str = "s", **keys: Any) -> Record:
    return {
        "kind": "task", "key": key, "label": "crawler:x", "action": "search", "query": "tea", "topic": "t",
        "status": "completed", "created_at": at(1).isoformat(), "started_at": at(2).isoformat(),
        "completed_at": at(5).isoformat(), "found": 1,
    } | keys  # fmt: skip


def content(key: str = "p", **keys: Any) -> Record:
    return {
        "kind": "content", "task": "s", "topic": "t", "platform": "x", "platform_content_id": key,
        "source_url": f"https://x.example/{key}", "crawled_at": at(3).isoformat(),
        "published_at": "2025-12-31T22:05:07+00:00", "author_username": "ada", "text": "green tea",
        "lang": "en", "hashtags": ["tea"], "metrics": {"like_count": 3},
    } | keys  # fmt: skip


def write_export(path: Path, records: list[Record | bytes], *, packed: bool = False) -> Path:
    """The records as an export; bytes are written as they are."""
    lines = [r if isinstance(r, bytes) else json.dumps(r, ensure_ascii=False).encode() for r in records]
    raw = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(raw) if packed else raw)
    return path


def crawls(seed: int, rounds: int = 12) -> list[Record]:
    """Random crawl rounds: shared posts, re-crawls, edits, tasks that failed, run or never began."""
    rng = Random(seed)
    records = [topic("a"), topic("b", created_at=at(90).isoformat()), user("u"), user("late")]
    records[3]["created_at"] = at(rng.randrange(600)).isoformat()
    for number in range(rounds):
        begins = number * 60 + rng.randrange(20)
        owner = rng.choice(
            ({"topic": "a"}, {"topic": "b"}, {"user": "u"}, {"topic": "a", "user": "late"}, {})
        )
        found = [f"p{rng.randrange(30)}" for _ in range(rng.randrange(9))]
        times = {"created_at": at(begins), "started_at": at(begins + 1), "completed_at": at(begins + 9)}
        status = rng.choice(("completed", "completed", "completed", "failed", "pending", "running"))
        for missing in {"pending": ("started_at", "completed_at"), "running": ("completed_at",)}.get(
            status, ()
        ):
            del times[missing]
        action = rng.choice(("search", "timeline", "tweet"))
        records.append(
            task(f"task{number}", topic=None, status=status, action=action, found=len(found), started_at=None,
                 completed_at=None) | owner | {key: time.isoformat() for key, time in times.items()}
        )  # fmt: skip
        records += [
            content(key, task=f"task{number}", topic=None, crawled_at=at(begins + 2 + n / 9).isoformat(),
                    text=f"{key} in round {number // 3}", metrics={"like_count": number * 10 + n},
                    published_at=rng.choice((None, at(begins - 30).isoformat()))) | owner
            for n, key in enumerate(found)
        ]  # fmt: skip
    return records


def rows(database: Database) -> dict[str, list[Record]]:
    """Everything that the application's tables hold, apart from times that the server sets."""
    with database.transaction(read_only=True) as connection:
        return {
            table: [
                row[0]
                for row in connection.execute(
                    text(f"SELECT to_jsonb({table}) - 'discovered_at' FROM {table} ORDER BY id")
                )
            ]
            for table in ("topics", "users", "tasks", "contents", "chat_messages", "content_media")
        }


def by_name(database: Database, table: str, column: str) -> dict[str, Record]:
    """The rows of a table by the value of a column."""
    return {row[column]: row for row in rows(database)[table]}
