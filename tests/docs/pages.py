"""Which lines of the pages are commands, and which of them a test does not run.

The language of a fenced block says what it is:

    sh        commands
    console   commands after `$ `, the other lines are what they print
    sql       statements, for psql
    python    only in docs/query.md and docs/mcp.md: tests/query/page.py and tests/mcp/page.py run their cells
    text, dotenv, caddy, json, yaml, ini
              something to look at

A block without a language is an error. Pages are read in the order README.md, docs/ by name, and all lines act on one
database: the demo's thirty days as the crawler left them, which the README's lines migrate and analyse.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from temporal_pipeline.settings import PROJECT_ROOT

RUN = ("sh", "console", "sql")
SHOWN = ("text", "dotenv", "caddy", "json", "yaml", "ini")
RUN_ELSEWHERE = {("docs/query.md", "python"), ("docs/query.md", "console"), ("docs/mcp.md", "python")}

# What begins like this is not run, for a reason; nothing else is left out.
NOT_RUN = {
    "docker compose ": "takes a container engine; tests/deploy runs the services without one",
    "deploy/entrypoint.sh ": "serves until it is ended; tests/deploy/test_layout.py starts it",
    "deploy/make_secrets.sh": "writes passwords into this folder; tests/deploy makes some elsewhere",
    "temporal-pipeline mcp serve": "serves until it is ended; tests/mcp starts it",
    "temporal-pipeline alerts send": "posts to somebody; tests/alerts runs it beside a receiver",
    "rm -f secrets/": "replaces a password of this folder",
}
# Environments, the demo, servers and this very test: what they are made of has tests of its own. Make itself says
# whether there is such a target.
DRY_RUN = "make "

_BLOCK = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, its text."""

    page: str
    line: int
    language: str
    body: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands in it, each with its continuation lines."""
        body = self.body.replace("\\\n", " ")
        lines = [line.strip() for line in body.splitlines()]
        if self.language == "console":
            return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line for line in lines if line and not line.startswith("#")]


def blocks() -> Iterator[Block]:
    """Every fenced block, in the order of reading."""
    for path in (PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))):
        page = path.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(page):
            number = page.count("\n", 0, found.start()) + 1
            yield Block(str(path.relative_to(PROJECT_ROOT)), number, found[2], found[3])


def why_not_run(command: str) -> str | None:
    """The reason for which a command is left out; none: it is run."""
    return next((reason for start, reason in NOT_RUN.items() if command.startswith(start)), None)
