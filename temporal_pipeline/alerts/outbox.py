"""What somebody is to be told, written in the transaction that brings it about."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from temporal_pipeline.database import Queries

queries = Queries(__package__)

# Delivered or not: a month is long enough to see what was told, and told again is nothing older.
KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Alert:
    """One change of state of one subject, told once to every channel.

    `since`: when the state began, in the time of the data. `about`: the topic, user, job or asset, by name.
    `title`: a sentence. `details`: what programs want to know, as JSON takes it.
    """

    subject: str
    state: str
    since: datetime
    severity: str
    about: str
    title: str
    details: Mapping[str, Any] = field(default_factory=dict)


def record(connection: Connection, alert: Alert, *, is_news: bool = True) -> bool:
    """Put an alert into the outbox, unless it is there. Returns whether it was put there.

    What is no news, but history that is found late, is recorded only to end what was told before.
    """
    values = {
        "subject": alert.subject,
        "state": alert.state,
        "since": alert.since,
        "severity": alert.severity,
        "about": alert.about,
        "title": alert.title,
        "details": json.dumps(alert.details),
        "is_news": is_news,
    }
    return connection.execute(queries["record_alert"], values).rowcount > 0


def forget_old(connection: Connection, now: datetime) -> None:
    """Drop what is older than a month, so that without a channel the outbox does not grow without end."""
    connection.execute(queries["forget_old_messages"], {"before": now - KEPT})
    connection.execute(queries["forget_old_alerts"], {"before": now - KEPT})
