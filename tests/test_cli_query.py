"""`temporal-pipeline query`: readable tables, one JSON document, CSV; error values as exit codes."""

import csv
import io
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.query import query
from temporal_pipeline.database import Database
from tests.command_line import CommandLine
from tests.crosshot_rows import add_content, add_topic, at
from tests.query.world import add_event, add_period, add_snapshot, insert


class Query:
    """The group `query` in this process, which is what its tests are about; one of them is a process of its own."""

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(query, arguments, obj=Output())

    def json(self, *arguments: str) -> dict[str, Any]:
        """The one document that a verb prints with `--json`."""
        document: dict[str, Any] = json.loads(self(*arguments, "--json").stdout)
        return document


@pytest.fixture
def command(database: Database, monkeypatch: pytest.MonkeyPatch) -> Query:
    with database.transaction() as c:
        topic = add_topic(c, "[bold]Tides[/bold]")
        for number in range(3):
            period = add_period(c, topic, number, 6 * number, 6 * number + 6)
            post = add_content(c, topic=topic, crawled_at=at(6 * number))
            add_snapshot(c, period, post, at(6 * number + 6), text_snapshot=f"wave {number}, and\nfoam")
            insert(
                c,
                "crawl_effectiveness",
                {
                    "period_id": period,
                    "entity_type": "topic",
                    "entity_id": topic,
                    "platform": "x",
                    "query": "high tide",
                    "total_found": 30,
                    "relevant_count": 12,
                    "effectiveness_score": 0.4,
                    "created_at": at(6 * number + 6),
                },
            )
            add_event(
                c,
                period,
                topic,
                6 * number + 1,
                title=f"flood {number}",
                resolved_at=at(15) if number else None,
            )
    monkeypatch.setenv("DATABASE_URL", database.url)
    return Query()


TIDES = "[bold]Tides[/bold]"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["timeline", TIDES], ["topic [bold]Tides[/bold]: 3 shown", "2026-01-05 12:00", "100%", "period 2"]),
        (
            ["contents", TIDES, "--until", "2026-01-05T12:00Z"],
            ["2 shown", "ada", "agents", "wave 1, and foam"],
        ),
        (["events", TIDES], ["3 shown", "warning", "resolved", "flood 2"]),
        (["events", TIDES, "--open"], ["1 shown", "active", "flood 0"]),
        (["effectiveness", TIDES], ["3 shown", "30", "12", "0.40", "high tide (x)"]),
        (["effectiveness", TIDES, "--as-of", "2026-01-05T12:00Z"], ["2 shown"]),
        (["effectiveness", TIDES, "--text", "low"], ["0 shown"]),
        (
            ["compare", TIDES],
            ["before     period 1", "total_contents      20     30      10  50", "1 came", "wave 2"],
        ),
        (["compare", TIDES, "--a", "0", "--b", "1"], ["before     period 0", "after      period 1"]),
    ],
)
def test_each_verb_prints_what_was_asked(command: Query, arguments: list[str], shown: list[str]) -> None:
    done = command(*arguments)
    assert done.exit_code == 0, done.stderr
    for words in shown:
        assert words in done.stdout, done.stdout
    if not {"--until", "--as-of"} & {*arguments}:
        assert "note       the last period ends at 2026-01-05 18:00 UTC" in done.stdout
    assert "…" not in done.stdout


@pytest.mark.parametrize("verb", ["timeline", "contents", "events", "effectiveness", "compare"])
def test_the_same_as_json_and_as_csv(command: Query, verb: str) -> None:
    document = command.json(verb, TIDES)
    assert document["ok"] is True
    data = document["data"]
    assert data["entity"]["name"] == TIDES
    done = command(verb, TIDES, "--csv")
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == len(data["metrics" if verb == "compare" else "items"])
    assert "note" in done.stderr


def test_pages_and_fields(command: Query) -> None:
    first = command("timeline", TIDES, "--limit", "2")
    cursor = first.stdout.partition("--cursor ")[2].split()[0]
    second = command.json("timeline", TIDES, "--cursor", cursor, "--fields", "summary,metrics_delta")
    assert [item["period_number"] for item in second["data"]["items"]] == [0]
    assert second["data"]["items"][0]["summary"] == "period 0"
    assert "content_count" not in second["data"]["items"][0]


@pytest.mark.parametrize("verb", ["contents", "events", "compare"])
def test_a_terminal_obeys_nothing_that_somebody_posted(command: Query, database: Database, verb: str) -> None:
    nasty = "\x1b]0;pwned\x07\x1b[2J\x9b2J wave"
    with database.transaction() as c:
        c.execute(text("UPDATE period_content_snapshots SET text_snapshot = :nasty"), {"nasty": nasty})
        c.execute(text("UPDATE temporal_events SET title = :nasty"), {"nasty": nasty})
    shown = command(verb, TIDES).stdout
    assert "�]0;pwned" in shown
    assert [c for c in shown if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160] == []


def test_csv_says_how_to_go_on_and_has_no_python_in_it(command: Query) -> None:
    first = command("events", TIDES, "--limit", "2", "--csv", "--fields", "evidence,figures")
    cursor = first.stderr.partition("--cursor ")[2].split()[0]
    second = command("events", TIDES, "--cursor", cursor, "--csv")
    assert len(list(csv.DictReader(io.StringIO(second.stdout)))) == 1
    assert "--cursor" not in second.stderr
    for row in csv.DictReader(io.StringIO(first.stdout)):
        assert json.loads(row["evidence"]) == []


def test_as_of_a_time(command: Query) -> None:
    data = command.json("timeline", TIDES, "--as-of", at(13).isoformat())["data"]
    assert [item["period_number"] for item in data["items"]] == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (["timeline", "Tide"], 2, "unknown_entity"),
        (["timeline", TIDES, "--limit", "0"], 2, "invalid_limit"),
        (["contents", TIDES, "--since", "then"], 2, "invalid_time_range"),
        (["events", TIDES, "--cursor", "x"], 2, "invalid_cursor"),
        (["compare", TIDES, "--a", "9"], 2, "unknown_period"),
        (["timeline", TIDES, "--as-of", "2020-01-01"], 1, "no_periods"),
    ],
)
def test_an_error_is_a_value_and_an_exit_code(
    command: Query, arguments: list[str], exit_code: int, code: str
) -> None:
    done = command(*arguments)
    assert done.exit_code == exit_code
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    document = command.json(*arguments)
    assert (document["ok"], document["data"]["code"], document["error"]["code"]) == (False, code, exit_code)


@pytest.mark.parametrize(
    "arguments",
    [
        ["timeline", TIDES, "--json", "--csv"],
        ["timeline", TIDES, "--fields", "summary"],
        ["events", TIDES, "--open", "--text", "flood"],
    ],
)
def test_options_that_exclude_each_other(command: Query, arguments: list[str]) -> None:
    assert command(*arguments).exit_code == 2


def test_nobody_is_there(tmp_path: Path) -> None:
    command = CommandLine(tmp_path, DATABASE_URL="postgresql://u:secret@127.0.0.1:1/x")
    done = command("query", "timeline", str(uuid.uuid4()))
    assert done.returncode == 1
    assert "cannot connect" in done.stderr
    assert "secret" not in done.stderr
