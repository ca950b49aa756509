"""From the outbox to a real receiver that fails, hangs, refuses and comes back: each alert once, none lost."""

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from temporal_pipeline.alerts import Channel, deliver
from temporal_pipeline.alerts.channels import Form
from temporal_pipeline.alerts.delivery import CLAIM, FIRST_WAIT, LONGEST_WAIT, REFUSALS, wait_after
from temporal_pipeline.alerts.outbox import KEPT, forget_old
from temporal_pipeline.database import Database
from tests.alerts.receiver import SECRET, Clock, Receiver, alert, everything, put, rows
from tests.command_line import CommandLine


def sent(
    database: Database, clock: Clock, *channels: Channel, again: bool = False, timeout: float = 5
) -> list[str]:
    """What comes of delivering, as words without times."""
    attempts = deliver(database, channels, clock=clock, timeout=timeout, again=again)
    return [str(attempt).partition(", next attempt")[0] for attempt in attempts]


def test_all_that_is_due_is_one_message_per_channel_and_sent_once(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    put(database, alert(1), alert(2, severity="critical"), alert(3))
    channels = receiver.channel("log"), receiver.channel("ops", Form.SLACK)
    assert sent(database, clock, *channels) == ["log: 3 delivered", "ops: 3 delivered"]
    plain, slack = receiver.documents
    assert [one["title"] for one in plain["alerts"]] == ["Run 2 failed", "Run 3 failed", "Run 1 failed"]
    assert slack["text"] == "3 alerts, first critical, failed: update"
    assert (plain["id"], slack["blocks"][-1]["elements"][0]["text"].rpartition(" ")[2]) == tuple(
        receiver.keys
    )
    put(database, alert(1), alert(2, severity="critical"), alert(3))
    assert sent(database, clock, *channels) == []
    assert len(receiver.received) == 2


def test_a_hundred_times_the_same_is_told_once(database: Database, receiver: Receiver, clock: Clock) -> None:
    for _ in range(100):
        put(database, alert())
        sent(database, clock, receiver.channel())
    assert receiver.titles() == [["Run 1 failed"]]


def test_many_are_a_small_message(database: Database, receiver: Receiver, clock: Clock) -> None:
    put(database, *(alert(n, severity="critical" if n == 7 else "info") for n in range(1, 31)))
    assert sent(database, clock, receiver.channel()) == ["ops: 30 delivered"]
    [document] = receiver.documents
    assert (len(document["alerts"]), document["more"]) == (20, 10)
    assert [one["title"] for one in document["alerts"][:3]] == [
        "Run 7 failed",
        "Run 30 failed",
        "Run 29 failed",
    ]


def test_what_happens_while_a_receiver_fails_comes_in_the_next_message(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers = [(500, {}), (503, {})]
    put(database, alert(1))
    failed = "ops: 1 not delivered (HTTP 500 Internal Server Error)"
    assert sent(database, clock, receiver.channel()) == [failed]
    put(database, alert(2), alert(3))
    # Too early for another attempt, and nothing overtakes it.
    assert sent(database, clock, receiver.channel()) == []
    clock.advance(seconds=30)
    assert sent(database, clock, receiver.channel()) == [
        "ops: 1 not delivered (HTTP 503 Service Unavailable)"
    ]
    [message] = rows(database, "alert_message")
    assert (message.attempts, message.failure) == (2, "HTTP 503 Service Unavailable")
    assert FIRST_WAIT <= message.due_at - clock.now <= 2 * FIRST_WAIT
    clock.advance(minutes=1)
    assert sent(database, clock, receiver.channel()) == ["ops: 1 delivered", "ops: 2 delivered"]
    assert receiver.titles() == [["Run 1 failed"]] * 3 + [["Run 3 failed", "Run 2 failed"]]
    assert len(set(receiver.keys)) == 2
    assert receiver.keys[0] == receiver.keys[1] == receiver.keys[2]


def test_a_channel_that_hangs_does_not_hold_up_the_others(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    receiver.may_answer.clear()
    put(database, alert(1))
    told = sent(database, clock, receiver.channel("hangs"), timeout=0.2)
    assert told == ["hangs: 1 not delivered (no answer within 0.2 s)"]
    receiver.may_answer.set()
    assert sent(database, clock, receiver.channel("hangs"), receiver.channel("ops")) == ["ops: 1 delivered"]
    clock.advance(minutes=1)
    assert sent(database, clock, receiver.channel("hangs")) == ["hangs: 1 delivered"]


def test_a_receiver_that_asks_for_patience_is_left_alone(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers = [(429, {"Retry-After": "7200"})]
    put(database, alert(1))
    sent(database, clock, receiver.channel())
    clock.advance(seconds=7199)
    assert sent(database, clock, receiver.channel()) == []
    clock.advance(seconds=1)
    assert sent(database, clock, receiver.channel()) == ["ops: 1 delivered"]


def test_what_is_refused_is_given_up_and_seen_until_it_is_sent_again(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers = [(404, {})] * REFUSALS
    put(database, alert(1))
    for _ in range(REFUSALS - 1):
        assert sent(database, clock, receiver.channel()) == ["ops: 1 not delivered (HTTP 404 Not Found)"]
        clock.advance(hours=1)
    given_up = ["ops: 1 not delivered (HTTP 404 Not Found), given up"]
    assert sent(database, clock, receiver.channel()) == given_up
    clock.advance(days=2)
    assert sent(database, clock, receiver.channel()) == []
    # It holds up nothing that comes later.
    put(database, alert(2))
    assert sent(database, clock, receiver.channel()) == ["ops: 1 delivered"]
    receiver.answers = [(404, {})]
    assert sent(database, clock, receiver.channel(), again=True) == given_up
    assert sent(database, clock, receiver.channel(), again=True) == ["ops: 1 delivered"]
    assert sent(database, clock, receiver.channel(), again=True) == []
    assert [m.delivered_at is not None for m in rows(database, "alert_message")] == [True, True]


def test_patience_with_who_does_not_answer_is_not_endless(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers = [(500, {})] * 9
    put(database, alert(1))
    for _ in range(8):
        [attempt] = deliver(database, [receiver.channel()], clock=clock)
        assert attempt.next_at is not None or clock.now - rows(database, "alert_message")[
            0
        ].created_at >= timedelta(7)
        clock.advance(days=1)
    assert attempt.next_at is None
    put(database, alert(2))
    receiver.answers = []
    assert sent(database, clock, receiver.channel()) == ["ops: 1 delivered"]


def test_who_dies_between_the_post_and_the_commit_sends_it_again_under_the_same_id(
    database: Database, receiver: Receiver, clock: Clock, tmp_path: Path
) -> None:
    put(database, alert(1), alert(2))
    receiver.may_answer.clear()
    webhooks = {"TEMPORAL_PIPELINE_ALERT_WEBHOOKS": f"ops=json+{receiver.url}"}
    line = CommandLine(tmp_path, DATABASE_URL=database.url, **webhooks)
    with subprocess.Popen(
        line.command("alerts", "send"), env=line.variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert receiver.began.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    receiver.may_answer.set()
    put(database, alert(3))
    # As long as somebody may be sending it, nobody else does.
    assert sent(database, clock, receiver.channel()) == []
    clock.advance(seconds=60 + CLAIM.total_seconds())
    assert sent(database, clock, receiver.channel()) == ["ops: 2 delivered", "ops: 1 delivered"]
    (first, told), (second, again), (third, _) = receiver.received
    assert (first, told) == (second, again)
    assert third != first


def test_two_that_deliver_at_once_send_nothing_twice(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    put(database, *(alert(n) for n in range(10)))
    receiver.may_answer.clear()
    done: list[Sequence[str]] = []
    first = threading.Thread(
        target=lambda: done.append(sent(database, clock, receiver.channel(), timeout=20))
    )
    first.start()
    assert receiver.began.wait(20)
    # It is under way: nothing to claim, and what comes meanwhile waits for it.
    put(database, alert(10))
    assert sent(database, clock, receiver.channel()) == []
    receiver.may_answer.set()
    first.join()
    assert done == [["ops: 10 delivered", "ops: 1 delivered"]]


def test_a_race_for_the_same_alerts(database: Database, receiver: Receiver, clock: Clock) -> None:
    for n in range(5):
        put(database, alert(2 * n), alert(2 * n + 1))
        start = threading.Barrier(4)

        def race(start: threading.Barrier = start) -> None:
            start.wait()
            deliver(database, [receiver.channel()], clock=clock)

        threads = [threading.Thread(target=race) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    told = [one for titles in receiver.titles() for one in titles]
    assert sorted(told) == sorted(f"Run {n} failed" for n in range(10))
    assert {message.delivered_at is not None for message in rows(database, "alert_message")} == {True}


def test_without_a_channel_nothing_is_queued_and_what_is_old_goes(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    put(database, alert(1))
    assert sent(database, clock) == []
    assert rows(database, "alert_message") == []
    # A channel that comes later is told what is kept.
    clock.advance(days=KEPT.days - 1)
    receiver.answers = [(500, {})]
    sent(database, clock, receiver.channel("late"))
    clock.advance(days=2)
    # The message that waits keeps its alert.
    with database.transaction() as connection:
        forget_old(connection, clock.now)
    assert sent(database, clock, receiver.channel("late")) == ["late: 1 delivered"]
    clock.advance(days=KEPT.days)
    sent(database, clock)
    assert everything(database) == [[], [], []]


def test_the_last_attempt_begins_in_time(database: Database, receiver: Receiver, clock: Clock) -> None:
    put(database, alert(1))
    assert deliver(database, [receiver.channel()], clock=clock, seconds=0) == []


@pytest.mark.parametrize("attempts", range(1, 40))
def test_the_wait_doubles_up_to_an_hour(attempts: int) -> None:
    longest = min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT)
    waits = [wait_after(attempts) for _ in range(20)]
    assert all(longest / 2 <= wait <= longest for wait in waits)
    assert len(set(waits)) > 1


def test_nobody_is_asked_to_wait_for_ever() -> None:
    assert wait_after(1, 10.0**9) == timedelta(days=1)


def test_the_address_is_stored_nowhere(database: Database, receiver: Receiver, clock: Clock) -> None:
    put(database, alert(1))
    receiver.answers = [(404, {}), (302, {"Location": receiver.url})]
    for _ in range(3):
        sent(database, clock, receiver.channel())
        with database.transaction() as connection:
            stored = connection.scalars(
                text(
                    "SELECT CAST(a AS text) FROM temporal_pipeline.alert a UNION ALL "
                    "SELECT CAST(m AS text) FROM temporal_pipeline.alert_message m"
                )
            ).all()
        assert len(stored) == 2
        assert SECRET not in "".join(stored)
        assert "127.0.0.1" not in "".join(stored)
        clock.advance(hours=1)
    assert len(receiver.received) == 3
