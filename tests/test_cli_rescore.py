"""`temporal-pipeline rescore` as a person uses it."""

from pathlib import Path

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents.prepare import prepare_contents
from temporal_pipeline.defs.contents.relevance.scoring import METHOD
from tests.command_line import CommandLine
from tests.crosshot_rows import add_content, add_topic


@pytest.fixture
def command(database: Database, tmp_path: Path) -> CommandLine:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for n in range(3):
            add_content(connection, topic=topic, text=f"agents at work, day {n}")
        add_content(connection, topic=topic, relevance_score=0.25)
    prepare_contents(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE temporal_pipeline.prepared_content SET method = 'keywords-1'"))
    return CommandLine(tmp_path, DATABASE_URL=database.url)


def methods(database: Database) -> set[str]:
    with database.transaction() as connection:
        return set(connection.scalars(text("SELECT DISTINCT method FROM temporal_pipeline.prepared_content")))


def test_it_shows_what_it_would_do_and_asks(database: Database, command: CommandLine) -> None:
    dry = command("rescore", "--entity", "AI agents", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "keywords-1" in dry.stdout
    assert f"3 would be scored by {METHOD}; those scored elsewhere stay" in dry.stdout
    refused = command("rescore", "--entity", "AI agents")
    assert refused.returncode == 5
    assert "remedy: read what it would do (--dry-run), then run it with --yes" in refused.stderr
    assert methods(database) == {"keywords-1"}
    done = command("rescore", "--entity", "topic:AI agents", "--yes")
    assert done.returncode == 0, done.stderr
    assert f"3 of 3 have a score by {METHOD}" in done.stdout
    assert methods(database) == {"keywords-1", METHOD}
    document = command.json("rescore", "--entity", "AI agents", "--yes")
    assert document["ok"]
    assert document["data"]["before"] == {METHOD: 3, "scored elsewhere": 1}
    assert (document["data"]["due"], document["data"]["scored"], document["data"]["kept"]) == (3, 3, 0)


def test_it_explains_a_score(database: Database, command: CommandLine) -> None:
    with database.transaction() as connection:
        post = connection.scalar(text("SELECT id FROM contents WHERE relevance_score > 0.5 LIMIT 1"))
    told = command("rescore", "--explain", str(post))
    assert told.returncode == 0, told.stderr
    for line in ("usual", "keywords", "names agents", "closeness", "busyness", "(ours, by keywords-1)"):
        assert line in told.stdout
    data = command.json("rescore", "--explain", str(post))["data"]
    assert data["parts"]["usual"] > 0
    assert data["now"] == data["stored"]


@pytest.mark.parametrize(
    "arguments", [(), ("--entity", "AI agents", "--explain", "00000000-0000-0000-0000-000000000001")]
)
def test_it_does_one_thing_at_a_time(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    refused = CommandLine(tmp_path)("rescore", *arguments)
    assert refused.returncode == 2
    assert "give either --entity NAME or --explain CONTENT" in refused.stderr


def test_what_does_not_exist_is_said(command: CommandLine) -> None:
    assert command("rescore", "--entity", "AI agent", "--yes").returncode == 2
    missing = command("rescore", "--explain", "00000000-0000-0000-0000-000000000001")
    assert missing.returncode == 2
    assert "there is no content 00000000-0000-0000-0000-000000000001" in missing.stderr
