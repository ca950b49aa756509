"""The example answers of the tools, their schemas, and docs/mcp.md are printed by the program.

`python -m tests.mcp.page` writes them anew.
"""

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from temporal_pipeline.crosshot.replay import create_legacy_tables
from temporal_pipeline.database import Database, normalise_url
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.embedded import attach
from temporal_pipeline.mcp.tools import QUESTIONS, tools
from temporal_pipeline.query import Timeline
from temporal_pipeline.settings import PROJECT_ROOT
from tests.command_line import CommandLine
from tests.conftest import temporary_database
from tests.crosshot_rows import at
from tests.mcp.world import KNOWN_AT, NAME, make_world

ANEW = "write it anew: python -m tests.mcp.page"
EXAMPLES = PROJECT_ROOT / "temporal_pipeline" / "mcp" / "examples.json"
SCHEMAS = PROJECT_ROOT / "docs" / "mcp-tools.json"
PAGE = PROJECT_ROOT / "docs" / "mcp.md"
CELL = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)

WHOM = {"entity": NAME, "as_of": KNOWN_AT.isoformat().replace("+00:00", "Z")}
DAY = f"{at(24):%Y-%m-%d}"
ASKED: dict[str, dict[str, Any]] = {
    "query_period_timeline": {"limit": 1, "fields": ["content_count", "summary_short"]},
    "compare_periods": {"fields": ["metrics"], "limit": 1},
    "query_contents_by_timerange": {"since": DAY, "until": DAY, "limit": 1, "fields": ["text", "found_by"]},
    "get_unresolved_events": {"limit": 1, "fields": ["evidence"]},
    "search_events": {"text": "posts", "event_type": "milestone", "fields": ["description"]},
    "query_effectiveness": {"limit": 1, "fields": ["effectiveness_score", "relevant_count", "total_found"]},
}


def example_answers(database: Database) -> dict[str, Any]:
    """What the world's timeline answers to one question of each kind."""
    timeline = Timeline(database)
    return {
        question.name: {
            "arguments": (arguments := WHOM | ASKED[question.name]),
            "answer": question.ask(timeline, arguments).to_dict(),
        }
        for question in QUESTIONS
    }


def schemas() -> list[dict[str, Any]]:
    """The tools as a client that lists them sees them."""
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools()]


def executed(page: str, command: CommandLine) -> str:
    """The page with what its scripts print, each in a process of its own, in the environment of the command line."""

    def run(cell: "re.Match[str]") -> str:
        done = subprocess.run(
            [sys.executable, "-c", cell[1]],
            env=command.variables,
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return f"```python\n{cell[1]}```\n\n```text\n{done.stdout}```"

    return CELL.sub(run, page)


def as_document(value: object) -> str:
    """As it is committed."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    """Write them anew, in the order in which one needs the other."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory()))
        url = os.environ.get("DATABASE_URL")
        if url is None:
            attachment = stack.enter_context(attach(PROJECT_ROOT / ".temporal_pipeline" / "tests"))
            url = attachment.url("postgres")
        database = stack.enter_context(temporary_database(normalise_url(url)))
        create_legacy_tables(database)
        upgrade(database)
        with database.transaction() as connection:
            make_world(connection)
        EXAMPLES.write_text(as_document(example_answers(database)), encoding="utf-8")
        SCHEMAS.write_text(as_document(schemas()), encoding="utf-8")
        command = CommandLine(home, DATABASE_URL=database.url)
        PAGE.write_text(executed(PAGE.read_text(encoding="utf-8"), command), encoding="utf-8")


if __name__ == "__main__":
    main()
