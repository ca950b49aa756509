"""The process of an application that writes: statements at a fixed rate, and how late each was done."""

import gc
import itertools
import math
import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

INSERT = (
    "INSERT INTO contents (id, task_id, topic_id, user_id, platform, platform_content_id, source_url, crawled_at,"
    " author_uid, author_username, text, lang, hashtags, metrics, data)"
    " VALUES (%(id)s, %(task)s, %(owning_topic)s, %(owning_user)s, 'x', %(id)s::text,"
    " 'https://x.example/' || %(id)s, now(), '7', 'author7', %(text)s, 'en', '{subject1}', %(metrics)s, '{}')"
)
# The next one after an arbitrary id: any content of the table with the same chance, without a list of all.
UPDATE_CONTENT = (
    "UPDATE contents SET metrics = metrics || %(metrics)s"
    " WHERE id = (SELECT id FROM contents WHERE id >= %(id)s ORDER BY id LIMIT 1)"
)
UPDATE_TOPIC = (
    "UPDATE topics SET last_crawl_at = now(), total_contents = total_contents + 1, updated_at = now()"
    " WHERE id = %(topic)s"
)
UPDATE_TASK = "UPDATE tasks SET status = 'completed', completed_at = now() WHERE id = %(task)s"
KINDS = {
    "insert content": INSERT,
    "update content": UPDATE_CONTENT,
    "update topic": UPDATE_TOPIC,
    "update task": UPDATE_TASK,
}
ORDER = (
    *("insert content", "update content", "insert content", "update topic"),
    *("insert content", "update content", "insert content", "update task"),
)


@dataclass(frozen=True, slots=True)
class Write:
    """One statement of the writer: when it was due, how late it was done, how long it took by itself.

    `error` is its SQLSTATE; `inserted` the id of the content that it inserted.
    """

    kind: str
    due: float
    late_ms: float
    took_ms: float
    error: str | None = None
    inserted: uuid.UUID | None = None


@dataclass(frozen=True)
class Writes:
    """What the writer did.

    Latency counts from when a statement was due, so that one stall counts for all that had to wait for it.
    """

    all: tuple[Write, ...]

    @property
    def count(self) -> int:
        return len(self.all)

    @property
    def failed(self) -> tuple[Write, ...]:
        return tuple(write for write in self.all if write.error is not None)

    @property
    def errors(self) -> Counter[str]:
        """How many failed, by SQLSTATE; 40P01 is a deadlock."""
        return Counter(write.error for write in self.all if write.error is not None)

    @property
    def longest_ms(self) -> float:
        return max((write.late_ms for write in self.all), default=0.0)

    @property
    def longest_statement_ms(self) -> float:
        """The longest that one statement took, counted from its own start."""
        return max((write.took_ms for write in self.all), default=0.0)

    @property
    def p99_ms(self) -> float:
        in_order = sorted(write.late_ms for write in self.all)
        return in_order[math.ceil(0.99 * len(in_order)) - 1] if in_order else 0.0

    @property
    def inserted(self) -> tuple[uuid.UUID, ...]:
        """The contents that were inserted and committed."""
        return tuple(write.inserted for write in self.all if write.inserted is not None and not write.error)

    def between(self, began: float, ended: float) -> "Writes":
        """Those that were waiting or at work in that time, in seconds since the epoch."""
        return Writes(tuple(w for w in self.all if w.due <= ended and w.due + w.late_ms / 1000 >= began))

    def stalls(self, longer_than_ms: float) -> tuple[Write, ...]:
        """The statements that were later than that, in the order in which they were due."""
        return tuple(write for write in self.all if write.late_ms > longer_than_ms)


def write(pipe: Pipe, url: str, rate: float, connections: int) -> None:
    """The writer's process: says None when it begins, or what is wrong; writes until it is told to stop."""
    try:
        opened = [
            psycopg.connect(url, autocommit=True, application_name="writer") for _ in range(connections)
        ]
        topics, users, tasks = (
            [row[0] for row in opened[0].execute(f"SELECT id FROM {table} LIMIT 10000")]
            for table in ("topics", "users", "tasks")
        )
        for connection, statement in itertools.product(opened, KINDS.values()):
            _rehearse(connection, statement, _values(topics, users, tasks))
    except psycopg.Error as error:
        pipe.send(str(error))
        return
    # A collection of garbage in here would count as a stall of the database.
    gc.freeze()
    gc.disable()
    stop = threading.Event()
    ends: list[float] = []
    done: list[Write] = []
    numbers = itertools.count()
    began = time.time() + 0.01

    def work(connection: "psycopg.Connection[Any]") -> None:
        while True:
            number = next(numbers)
            due = began + number / rate
            # What was due before the end is done: a stall that lasts until then counts as any other.
            if stop.wait(max(0.0, due - time.time())) and due > ends[0]:
                return
            kind = ORDER[number % len(ORDER)]
            values = _values(topics, users, tasks)
            started, error = time.time(), None
            try:
                connection.execute(KINDS[kind], values, prepare=True)
            except psycopg.Error as failure:
                error = failure.sqlstate or type(failure).__name__
            ended = time.time()
            inserted = values["id"] if kind == "insert content" else None
            done.append(Write(kind, due, 1000 * (ended - due), 1000 * (ended - started), error, inserted))

    threads = [threading.Thread(target=work, args=[connection], daemon=True) for connection in opened]
    for thread in threads:
        thread.start()
    pipe.send(None)
    try:
        pipe.recv()
    except EOFError:  # whom we write for is gone
        return
    ends.append(time.time())
    stop.set()
    for thread in threads:
        thread.join()
    for connection in opened:
        connection.close()
    pipe.send(Writes(tuple(sorted(done, key=lambda write: write.due))))


def _rehearse(connection: "psycopg.Connection[Any]", statement: str, values: dict[str, Any]) -> None:
    """Prepare a statement and undo it: what the server reads for the first time is no stall either."""
    with connection.transaction(force_rollback=True):
        connection.execute(statement, values, prepare=True)


def _values(topics: list[Any], users: list[Any], tasks: list[Any]) -> dict[str, Any]:
    """What the next statement writes: a third of the contents have two owners."""
    owners = random.choice(("topic", "user", "both"))
    likes = random.randrange(10_000)
    return {
        "id": uuid.uuid4(),
        "task": random.choice(tasks),
        "topic": random.choice(topics),
        "owning_topic": random.choice(topics) if owners != "user" else None,
        "owning_user": random.choice(users) if owners != "topic" else None,
        "text": f"a post with {likes} likes " + "word " * 20,
        "metrics": Jsonb({"like_count": likes, "views_count": 10 * likes}),
    }
