"""`temporal-pipeline reanalyse` as a person uses it."""

import json
import shlex
import uuid
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.reanalyse import reanalyse
from temporal_pipeline.database import Database
from temporal_pipeline.defs.snapshots.freezing import freeze_periods
from temporal_pipeline.errors import PipelineError
from tests.command_line import CommandLine
from tests.crosshot_rows import add_content, add_topic, add_user, at
from tests.defs.periods.world import cut, digest, periods_of


@pytest.fixture
def topic(database: Database) -> uuid.UUID:
    with database.transaction() as connection:
        topic = add_topic(connection, "it's")
        add_user(connection, "it's")
        add_content(connection, topic=topic, crawled_at=at(1))
        add_content(connection, topic=topic, crawled_at=at(2))
    cut(database)
    freeze_periods(database, "run")
    return topic


def invoke(database: Database, *arguments: str) -> Result:
    """The verb in this process."""
    return CliRunner().invoke(
        reanalyse,
        arguments,
        obj=Output(),
        env={"DATABASE_URL": database.url},
        standalone_mode=False,
    )


def test_it_works_and_says_how_to_compare(database: Database, topic: uuid.UUID, tmp_path: Path) -> None:
    command = CommandLine(tmp_path, DATABASE_URL=database.url)
    done = command("reanalyse", "topic:it's", "--period", "0", "--reason", "figures were doubted", "--yes")
    assert done.returncode == 0, done.stderr
    old, new = sorted(periods_of(database, topic), key=lambda period: period.status, reverse=True)
    assert f"old        {old.id}, 2 posts, superseded: figures were doubted" in done.stdout
    assert f"new        {new.id}, 2 posts" in done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.startswith("compare")]
    _, _, *compare = shlex.split(line)
    compared = command(*compare)
    assert compared.returncode == 0, compared.stderr
    assert "2 kept, 0 of them with another text" in compared.stdout


def test_it_shows_what_it_would_do_and_asks(database: Database, topic: uuid.UUID) -> None:
    before = digest(database)
    dry = invoke(database, "topic:it's", "--period", "0", "--reason", "x", "--dry-run", "--json")
    [period] = periods_of(database, topic)
    assert json.loads(dry.stdout)["data"] == {
        "dry_run": True,
        "entity": 'topic "it\'s"',
        "number": 0,
        "period": str(period.id),
        "members": 2,
    }
    refused = invoke(database, str(topic), "--period", "0", "--reason", "x")
    assert isinstance(refused.exception, PipelineError)
    assert (refused.exception.exit_code, "--yes" in refused.exception.hint) == (5, True)
    assert digest(database) == before


def test_twice_in_a_row_and_on_what_was_superseded(database: Database, topic: uuid.UUID) -> None:
    [first] = periods_of(database, topic)
    asked = ("it's", "--type", "topic", "--reason", "x", "--yes", "--json")
    second = json.loads(invoke(database, *asked, "--period", "0").stdout)["data"]
    third = json.loads(invoke(database, *asked, "--period", second["new"]).stdout)["data"]
    assert (second["old"], third["old"]) == (str(first.id), second["new"])
    assert (third["members"], third["resumed"], third["failed"]) == (2, False, [])
    gone = invoke(database, *asked, "--period", str(first.id)).exception
    assert isinstance(gone, PipelineError)
    assert gone.exit_code == 5
    assert gone.message == f"period {first.id} is superseded"
    assert gone.hint == f"its successor is {second['new']}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("it's", "--period", "0"), "names 2 entities"),
        (("its", "--period", "0"), "did you mean"),
        (("user:it's", "--period", "0"), "`temporal-pipeline update` makes the first"),
        (("topic:it's", "--period", "7"), "its periods are numbered from 0 to 0"),
        (("topic:it's", "--period", "first"), "is neither a period's number nor its id"),
        (("topic:it's", "--period", "0", "--reason", " "), "--reason is empty"),
    ],
)
def test_what_cannot_be_is_said_with_its_remedy(
    database: Database, topic: uuid.UUID, arguments: tuple[str, ...], said: str
) -> None:
    refused = invoke(database, "--reason", "x", *arguments, "--yes")
    error = refused.exception
    assert isinstance(error, PipelineError | click.UsageError)
    assert error.exit_code == 2
    assert said in (f"{error.message}; {error.hint}" if isinstance(error, PipelineError) else error.message)


def test_without_a_reason_it_is_not_done() -> None:
    with pytest.raises(click.MissingParameter, match="reason"):
        reanalyse(["AI agents", "--period", "0"], obj=Output(), standalone_mode=False)
