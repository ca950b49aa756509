"""The command lines of README.md and docs/ run as printed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from temporal_pipeline.crosshot.demo.loading import load_demo
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.settings import PROJECT_ROOT
from tests.command_line import CommandLine
from tests.conftest import temporary_database
from tests.docs.pages import DRY_RUN, NOT_RUN, RUN, RUN_ELSEWHERE, SHOWN, Block, blocks, why_not_run

pytestmark = pytest.mark.slow

BLOCKS = list(blocks())
TO_RUN = [b for b in BLOCKS if b.language in RUN and (b.page, b.language) not in RUN_ELSEWHERE]
COMMANDS = [(b, command) for b in TO_RUN if b.language != "sql" for command in b.commands]
STATEMENTS = [b for b in TO_RUN if b.language == "sql"]


@pytest.fixture(scope="module")
def database(server_url: str, tablespace: str) -> Iterator[Database]:
    """The demo's thirty days, as the crawler left them."""
    with temporary_database(server_url, tablespace=tablespace) as database:
        load_demo(database)
        yield database


@pytest.fixture(scope="module")
def environment(
    database: Database, server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What a reader has after `make install && source .venv/bin/activate` with DATABASE_URL set."""
    folder = tmp_path_factory.mktemp("reader")
    program = folder / "bin" / "temporal-pipeline"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m temporal_pipeline.cli "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join((str(program.parent), str(Path(sys.executable).parent), os.environ["PATH"]))
    with temporary_database(server_url) as storage:
        reader = CommandLine(
            folder / "home", DATABASE_URL=libpq_url(database), DAGSTER_DATABASE_URL=storage.url, PATH=path
        )
        # Not what the `make test` that we may be part of tells its children.
        yield {name: value for name, value in reader.variables.items() if not name.startswith("MAKE")}


def test_every_block_says_what_it_is() -> None:
    known = {*RUN, *SHOWN}
    unclassified = [
        str(b) for b in BLOCKS if b.language not in known and (b.page, b.language) not in RUN_ELSEWHERE
    ]
    assert not unclassified, "give these blocks a language: see tests/docs/pages.py"


def test_a_block_to_look_at_holds_no_command() -> None:
    hidden = [
        str(b)
        for b in BLOCKS
        if b.language == "text"
        and b.body.startswith(("temporal-pipeline ", "make ", "$ ", "docker ", "dagster "))
    ]
    assert not hidden, "commands are in blocks of the language sh or console"


def test_what_is_left_out_is_there() -> None:
    for start in NOT_RUN:
        assert any(command.startswith(start) for _, command in COMMANDS), (
            f"nothing begins with {start!r} any more"
        )


@pytest.mark.parametrize(("block", "command"), COMMANDS, ids=[f"{b}: {c}" for b, c in COMMANDS])
def test_a_command_runs_as_printed(environment: dict[str, str], block: Block, command: str) -> None:
    if reason := why_not_run(command):
        pytest.skip(reason)
    if command.startswith(DRY_RUN):
        command = command.replace(DRY_RUN, f"{DRY_RUN}--dry-run ", 1)
    done = in_a_terminal(command, environment)
    assert done.returncode == 0, f"{block}: {command}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("block", STATEMENTS, ids=str)
def test_statements_run_as_printed(database: Database, block: Block) -> None:
    """On the schema that the README's lines have made; what the statements do is rolled back."""
    with psycopg.connect(libpq_url(database)) as connection:
        # The role under which the pages have the application connect.
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'crosshot'").fetchone():
            connection.execute("CREATE ROLE crosshot")
        connection.execute(block.body)
        connection.rollback()


def in_a_terminal(command: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """What a shell makes of a line when somebody sits there who answers yes."""
    terminal, end = os.openpty()
    try:
        os.write(terminal, b"y\n")
        return subprocess.run(
            ["bash", "-c", command],
            cwd=PROJECT_ROOT,
            env=environment,
            stdin=end,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        os.close(end)
        os.close(terminal)
