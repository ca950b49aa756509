"""A real receiver of webhooks on this machine, which answers as it is told; alerts for it; a clock by hand."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Row, text

from temporal_pipeline.alerts import Alert, Channel, record
from temporal_pipeline.alerts.channels import Form
from temporal_pipeline.database import Database

SECRET = "hush1hush2"
START = datetime(2026, 1, 5, 20, tzinfo=UTC)


@dataclass
class Receiver:
    """What was received, as (key, document). `answers`: status and headers of the next ones; later ones get 200."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    received: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    # Cleared, requests hang until it is set; `began` is set by each request.
    may_answer: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)

    def channel(self, name: str = "ops", form: Form = Form.JSON) -> Channel:
        return Channel(name, form, SecretStr(self.url))

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.received]

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [document for _, document in self.received]

    def titles(self) -> list[list[str]]:
        """Per message the titles of its alerts."""
        return [[alert["title"] for alert in document["alerts"]] for document in self.documents]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.may_answer.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Content-Type"] == "application/json"
            receiver.received.append((self.headers["Idempotency-Key"], document))
            status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
            receiver.began.set()
            receiver.may_answer.wait(30)
            # Some servers repeat what they were asked for.
            body = f"Cannot POST {self.path}".encode()
            try:
                self.send_response(status, f"no {self.path}")
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                # Who asked has gone.
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Clock:
    """The time, which passes only when it is told to."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def alert(number: int = 1, *, severity: str = "warning", **changed: Any) -> Alert:
    return Alert(
        **{
            "subject": f"run:{number}",
            "state": "failed",
            "since": START + timedelta(minutes=number),
            "severity": severity,
            "about": "update",
            "title": f"Run {number} failed",
            "details": {"kind": "run"},
            **changed,
        }
    )


def put(database: Database, *alerts: Alert) -> None:
    with database.transaction() as connection:
        for one in alerts:
            record(connection, one)


def rows(database: Database, table: str) -> Sequence[Row[Any]]:
    with database.transaction(read_only=True) as connection:
        return connection.execute(text(f"SELECT * FROM temporal_pipeline.{table} ORDER BY 1, 2")).all()


def everything(database: Database) -> list[Sequence[Row[Any]]]:
    return [rows(database, table) for table in ("alert", "alert_message", "alert_in_message")]
