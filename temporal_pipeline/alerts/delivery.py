"""From the outbox to the channels: at least once, in groups, with patience.

A message is claimed in one transaction, posted outside of any, and settled in another. Killed in between, it
is sent again when the claim has run out: the same alerts under the same id. Of a channel one message at a time is
under way: what happens while it waits for its next attempt is gathered into the next one.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.alerts.channels import Channel, Form
from temporal_pipeline.alerts.messages import SHOWN, for_slack, plain
from temporal_pipeline.alerts.outbox import forget_old, queries
from temporal_pipeline.alerts.posting import TIMEOUT_SECONDS, Outcome, post
from temporal_pipeline.database import Database

# Longer than an attempt takes, with both its transactions.
CLAIM = timedelta(minutes=2)
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
# A receiver may ask for more patience than that, within reason.
LONGEST_RETRY_AFTER = timedelta(days=1)
# About four minutes, in which a receiver that is being set up may come to its senses.
REFUSALS = 5
# Whoever does not answer for a week is not coming back by itself.
PATIENCE = timedelta(days=7)
FORMS = {Form.JSON: plain, Form.SLACK: for_slack}


@dataclass(frozen=True)
class Attempt:
    """One message of so many alerts that was posted to a channel; without a `failure` it was taken.

    `next_at`: when it is tried again; None when it was taken or given up.
    """

    channel: str
    alerts: int
    failure: str | None
    next_at: datetime | None

    def __str__(self) -> str:
        if self.failure is None:
            return f"{self.channel}: {self.alerts} delivered"
        then = "given up" if self.next_at is None else f"next attempt {self.next_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.channel}: {self.alerts} not delivered ({self.failure}), {then}"


def utc_now() -> datetime:
    """The clock of the machine."""
    return datetime.now(UTC)


def deliver(
    database: Database,
    channels: Sequence[Channel],
    *,
    clock: Callable[[], datetime] = utc_now,
    timeout: float = TIMEOUT_SECONDS,
    again: bool = False,
    seconds: float = float("inf"),
) -> list[Attempt]:
    """Send every channel what is due for it; several may do this at the same time.

    With `again` also what waits for its next attempt or was given up. No attempt begins after `seconds`. A
    channel that fails is left until its next attempt; the others go on.
    """
    database.write(lambda connection: forget_old(connection, clock()))
    deadline = time.monotonic() + seconds
    attempts: list[Attempt] = []
    for channel in channels:
        while time.monotonic() < deadline:
            attempt = _send_one(database, channel, clock, timeout, again)
            if attempt is None:
                break
            attempts.append(attempt)
            if attempt.failure is not None:
                break
    return attempts


def preview(
    connection: Connection, channel: Channel, *, now: datetime, again: bool = False
) -> Sequence[Row[Any]]:
    """What would be sent to a channel now: rows (state, severity, title, since, details, attempts), read only."""
    return connection.execute(
        queries["due_alerts"], {"channel": channel.name, "now": now, "again": again}
    ).all()


@dataclass(frozen=True)
class _Message:
    id: uuid.UUID
    attempts: int
    created_at: datetime
    total: int
    body: bytes


def _send_one(
    database: Database, channel: Channel, clock: Callable[[], datetime], timeout: float, again: bool
) -> Attempt | None:
    message = database.write(partial(_claim, channel=channel, now=clock(), again=again))
    if message is None:
        return None
    outcome = post(channel.url.get_secret_value(), message.body, str(message.id), timeout)
    next_at = database.write(partial(_settle, message=message, outcome=outcome, now=clock()))
    return Attempt(channel.name, message.total, outcome.failure, next_at)


def _claim(connection: Connection, channel: Channel, now: datetime, again: bool) -> _Message | None:
    """A message that is due, else a new one of what the channel was not sent yet."""
    mine = {"channel": channel.name, "now": now, "claimed_until": now + CLAIM}
    claimed = connection.execute(queries["claim_waiting_message"], {**mine, "again": again}).first()
    if claimed is not None:
        key, attempts, created_at = claimed
    else:
        key, attempts, created_at = uuid.uuid4(), 1, now
        if connection.execute(queries["gather_message"], {**mine, "id": key}).rowcount == 0:
            connection.execute(queries["drop_empty_message"], {"id": key})
            return None
    alerts = connection.execute(queries["alerts_of_message"], {"id": key, "limit": SHOWN}).all()
    body = FORMS[channel.form](str(key), alerts, alerts[0].total)
    encoded = json.dumps(body, ensure_ascii=False).encode()
    return _Message(key, attempts, created_at, alerts[0].total, encoded)


def _settle(connection: Connection, message: _Message, outcome: Outcome, now: datetime) -> datetime | None:
    """Write down what came of an attempt. Returns when the next one is."""
    if outcome.failure is None:
        connection.execute(queries["mark_delivered"], {"id": message.id, "now": now})
        return None
    is_given_up = message.attempts >= REFUSALS if outcome.is_refused else now - message.created_at >= PATIENCE
    due_at = now + wait_after(message.attempts, outcome.retry_after)
    connection.execute(
        queries["mark_failed"],
        {
            "id": message.id,
            "attempts": message.attempts,
            "failure": outcome.failure,
            "due_at": due_at,
            "is_given_up": is_given_up,
            "now": now,
        },
    )
    return None if is_given_up else due_at


def wait_after(attempts: int, retry_after: float = 0.0) -> timedelta:
    """How long to wait after so many attempts: doubled each time up to an hour, less up to half of it by chance,
    so that those who failed together do not come back together; but not less than the receiver asked for.
    """
    longest = min(FIRST_WAIT * (1 << min(attempts - 1, 10)), LONGEST_WAIT)
    asked = min(retry_after, LONGEST_RETRY_AFTER.total_seconds())
    return max(longest * random.uniform(0.5, 1.0), timedelta(seconds=asked))  # noqa: S311 - jitter, not a secret
