"""Put the demo into a database: what an export can say through the replay, the rest by a few statements."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection

from temporal_pipeline.crosshot.demo.planted import (
    ADA,
    AI,
    APPLICATION_CRAWL,
    APPLICATION_PERIOD,
    APPLICATION_POSTS,
    APPLICATION_TASK,
    BATTERIES,
    DANGLING_IDS,
    DANGLING_TASK,
    OLD_LAST_CRAWL,
    TIDES,
    TRAINS,
    XIAOMAN,
)
from temporal_pipeline.crosshot.demo.planted_posts import planted_posts
from temporal_pipeline.crosshot.demo.posts import Post, ordinary_posts
from temporal_pipeline.crosshot.demo.rounds import ExportRecord, entity_records, round_records
from temporal_pipeline.crosshot.demo.world import END, EXTRA_ROUNDS, LAST_ROUND, USERS
from temporal_pipeline.crosshot.lines import Line
from temporal_pipeline.crosshot.records import identity
from temporal_pipeline.crosshot.replay import replay_lines
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.errors import PipelineError

queries = Queries(__package__)

SUMMARIES: dict[str, list[dict[str, Any]]] = {
    "topics": [
        {
            "id": str(BATTERIES),
            "last_summary": "Labs talk about sulphide and garnet electrolytes; production stays a promise.",
            "summary_data": {
                "metrics": {
                    "total_contents": 1700,
                    "total_likes": 41000,
                    "platforms": {"x": 1460, "web": 240},
                },
                "insights": [
                    {
                        "text": "Pilot lines are announced faster than they are opened.",
                        "sentiment": "neutral",
                    },
                    {"text": "Doubts about fire safety come back every week.", "sentiment": "negative"},
                ],
                "knowledge": "# Solid-state batteries\n\nSulphides conduct best, garnets last longest.",
            },
        },
        {"id": str(AI), "last_summary": "医院和图书馆开始试用大模型，护士和编辑最关心。", "summary_data": {}},
    ],
    "users": [
        {
            "id": str(ADA),
            "last_summary": None,
            "summary_data": {
                "insights": {"text": "Ada Verne posts from conferences first.", "sentiment": "positive"},
                "knowledge_doc": "Works on interfaces. Sceptical of press releases.",
            },
        }
    ],
}
CHAT = (
    ("topic", BATTERIES, "user", "Which labs publish cycle counts?", END - timedelta(days=9)),
    ("topic", BATTERIES, "assistant", "Tolland, Marrowby and Ostrava-Nord.", END - timedelta(days=8.9)),
    ("topic", TRAINS, "user", "Tell me when the line to Munich is back.", END - timedelta(hours=1)),
    ("topic", BATTERIES, "user", "What happened in Harrowfield?", END + timedelta(hours=1)),
    (
        "topic",
        BATTERIES,
        "assistant",
        "A dryer burned, nobody was hurt.",
        END + timedelta(hours=1, minutes=1),
    ),
    ("user", ADA, "user", "Is she still at the same lab?", END + timedelta(hours=7)),
)


def load_demo(database: Database) -> None:
    """Load the first 30 days of the demo, making the application's tables if need be.

    Always the same rows; running it again, also after being killed, adds only what is missing.
    Raises PipelineError as `replay` does.
    """
    with database.exclusive("demo"):
        everything = world()
        records = [
            *entity_records(),
            *(r for n in range(1, LAST_ROUND + 1) for r in round_records(n, everything)),
        ]
        _replay(database, records, create=True)
        with database.transaction() as connection:
            connection.execute(queries["plant_topic_summaries"], _rows(SUMMARIES["topics"]))
            connection.execute(queries["plant_user_summaries"], _rows(SUMMARIES["users"]))
            connection.execute(queries["plant_topic_user"], {"topic": TRAINS, "user": XIAOMAN})
            connection.execute(queries["plant_old_last_crawl"], {"topic": TIDES, "time": OLD_LAST_CRAWL})
            connection.execute(
                queries["plant_json_null_metrics"], {"content": identity("content", "x", "metrics-json-null")}
            )
            connection.execute(
                queries["plant_dangling_ids"],
                {"task": identity("task", DANGLING_TASK), "ids": json.dumps([str(i) for i in DANGLING_IDS])},
            )
            _plant_what_rounds_add(connection, until=END)


def play_round(database: Database, n: Literal[1, 2]) -> None:
    """One more crawl round, six hours after the one before; before the first the application makes a period.

    Raises PipelineError when the 30 days are not loaded or the temporal tables are not there yet.
    """
    number = EXTRA_ROUNDS[n - 1]
    if n == 1:
        plant_application_period(database)
    with database.exclusive("demo"):
        _replay(database, list(round_records(number, world())))
        with database.transaction() as connection:
            _plant_what_rounds_add(connection, until=END + timedelta(hours=6 * n))


def plant_application_period(database: Database) -> None:
    """A crawl and a period of a user, both made by the application itself between two runs of the pipeline.

    The period begins where the user's last one ended. Raises PipelineError when the temporal tables
    are missing.
    """
    with database.exclusive("demo"):
        with database.transaction(read_only=True) as connection:
            if not connection.scalar(queries["has_periods"]):
                raise PipelineError(
                    "the temporal tables are not there yet", hint="run `temporal-pipeline update` first"
                )
        _replay(database, _application_crawl())
        with database.transaction() as connection:
            connection.execute(
                queries["plant_application_period"],
                {
                    "period": APPLICATION_PERIOD,
                    "user": XIAOMAN,
                    "contents": [identity("content", "xhs", key) for key in APPLICATION_POSTS],
                    "crawled_at": APPLICATION_CRAWL,
                    "analyzed_at": APPLICATION_CRAWL + timedelta(minutes=30),
                    "summary": "夜里的三篇手账，都在写春天。",
                },
            )


def world() -> list[Post]:
    """Every post of the demo, ordinary and planted, in the order of publication."""
    return sorted([*ordinary_posts(), *planted_posts()], key=lambda post: (post.published_at, post.key))


def _application_crawl() -> list[ExportRecord]:
    user = USERS[1]
    task: ExportRecord = {
        "kind": "task",
        "key": APPLICATION_TASK,
        "label": f"crawler:{user.platform}",
        "action": "timeline",
        "username": user.username,
        "user": user.key,
        "status": "completed",
        "created_at": APPLICATION_CRAWL.isoformat(),
        "started_at": APPLICATION_CRAWL.isoformat(),
        "completed_at": (APPLICATION_CRAWL + timedelta(minutes=1)).isoformat(),
        "found": len(APPLICATION_POSTS),
    }
    texts = ("夜里的玉兰，拍了三张。", "半夜的葱油面，心情很好。", "春天在北坡公园等我。")
    posts: list[ExportRecord] = [
        {
            "kind": "content",
            "task": APPLICATION_TASK,
            "user": user.key,
            "platform": user.platform,
            "platform_content_id": key,
            "source_url": f"https://{user.platform}.example/{user.username}/{key}",
            "crawled_at": (APPLICATION_CRAWL + timedelta(seconds=10 + n)).isoformat(),
            "published_at": (APPLICATION_CRAWL - timedelta(minutes=30 * (n + 1))).isoformat(),
            "author_username": user.username,
            "text": text,
            "lang": "zh",
            "metrics": {"like_count": 5 + n, "reply_count": n},
        }
        for n, (key, text) in enumerate(zip(APPLICATION_POSTS, texts, strict=True))
    ]
    return [task, *posts]


def _plant_what_rounds_add(connection: Connection, until: datetime) -> None:
    connection.execute(
        queries["plant_media"], {"topics": [BATTERIES, AI, TRAINS, TIDES], "users": [ADA, XIAOMAN]}
    )
    said = [
        {
            "entity_type": kind,
            "entity_id": str(id_),
            "role": role,
            "content": content,
            "created_at": time.isoformat(),
        }
        for kind, id_, role, content, time in CHAT
        if time <= until
    ]
    connection.execute(queries["plant_chat_messages"], _rows(said))


def _replay(database: Database, records: Iterable[ExportRecord], create: bool = False) -> None:
    lines = (Line(n, json.dumps(record).encode()) for n, record in enumerate(records, start=1))
    report = replay_lines(database, lines, create=create)
    if not report.ok:
        raise PipelineError(
            f"the demo could not be loaded ({report.rejections[0].reason})",
            hint="load the first 30 days before a further round, into a database of its own",
        )


def _rows(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {"rows": json.dumps(rows)}
