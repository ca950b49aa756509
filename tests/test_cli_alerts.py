"""`temporal-pipeline alerts` as a person uses it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from temporal_pipeline.database import Database
from tests.alerts.receiver import SECRET, Receiver, alert, everything, put, receiving
from tests.command_line import CommandLine


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def command(database: Database, receiver: Receiver, tmp_path: Path) -> CommandLine:
    put(database, alert(1), alert(2, severity="critical"))
    webhooks = f"ops=json+{receiver.url}"
    return CommandLine(tmp_path, DATABASE_URL=database.url, TEMPORAL_PIPELINE_ALERT_WEBHOOKS=webhooks)


def test_it_shows_what_it_would_send_and_sends_it_once(
    database: Database, receiver: Receiver, command: CommandLine
) -> None:
    before = everything(database)
    dry = command("alerts", "send", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert dry.stdout.startswith(
        "ops: 2 would be sent\n  [critical] failed: Run 2 failed (since 2026-01-05 20:02 UTC)\n"
    )
    assert (everything(database), receiver.received) == (before, [])
    done = command("alerts", "send")
    assert (done.returncode, done.stdout) == (0, "ops: 2 delivered\n")
    assert receiver.titles() == [["Run 2 failed", "Run 1 failed"]]
    assert command("alerts", "send").stdout == "nothing is due\n"


def test_a_failure_is_told_kept_and_undone(receiver: Receiver, command: CommandLine) -> None:
    receiver.answers = [(404, {}), (404, {})]
    failed = command("alerts", "send")
    assert failed.returncode == 1
    assert "ops: 2 not delivered (HTTP 404 Not Found), next attempt " in failed.stdout
    assert "error: not delivered to ops\nremedy: temporal-pipeline alerts list" in failed.stderr
    document = command.json("alerts", "send", "--again")
    assert (document["ok"], document["error"]["code"]) == (False, 1)
    assert document["data"]["attempts"][0]["failure"] == "HTTP 404 Not Found"
    listed = command("alerts", "list")
    assert (
        "Run 2 failed (since 2026-01-05 20:02 UTC) -> ops: attempt 2 failed (HTTP 404 Not Found)"
        in listed.stdout
    )
    due = command.json("alerts", "send", "--dry-run", "--again")["data"]["due"]["ops"]
    assert [row["title"] for row in due] == ["Run 2 failed", "Run 1 failed"]
    assert SECRET not in "".join((failed.stdout, failed.stderr, str(document), listed.stdout))


def test_a_setting_that_is_missing_or_wrong(command: CommandLine) -> None:
    done = command("alerts", "send", TEMPORAL_PIPELINE_ALERT_WEBHOOKS=f"https://x/{SECRET}")
    assert done.returncode == 2
    assert "entry 1 is not a webhook" in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert command.json("alerts", "send", TEMPORAL_PIPELINE_ALERT_WEBHOOKS="")["error"]["code"] == 2
    listed = command.json("alerts", "list", TEMPORAL_PIPELINE_ALERT_WEBHOOKS="")["data"]["alerts"]
    assert [(row["title"], row["channels"]) for row in listed] == [("Run 2 failed", []), ("Run 1 failed", [])]
