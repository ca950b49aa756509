"""The sample of docs/replay.md is a crawl export, and the page shows what loading it prints."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from tests.command_line import On
from tests.docs.pages import blocks

PAGE = [block for block in blocks() if block.page == "docs/replay.md"]
(SAMPLE,) = (block.body for block in PAGE if block.language == "json")
LOADED, AGAIN, UNTIL, BAD_LINE = (block.body for block in PAGE if block.language == "text")


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.jsonl"
    path.write_text(SAMPLE, encoding="utf-8")
    return path


def test_the_sample_fills_an_empty_database_once(empty_database: Database, on: On, sample: Path) -> None:
    replay = on(empty_database)
    first = replay("replay", sample, "--create")
    assert (first.returncode, first.stdout) == (0, LOADED), first.stderr
    again = replay("replay", sample, "--create")
    assert (again.returncode, again.stdout) == (0, AGAIN), again.stderr
    with empty_database.transaction(read_only=True) as connection:
        counted = {
            table: connection.scalar(text(f"SELECT count(*) FROM {table}"))
            for table in ("topics", "users", "tasks", "contents")
        }
        post = connection.execute(
            text("SELECT text, metrics, data FROM contents WHERE platform_content_id = '1001'")
        ).one()
    assert counted == {"topics": 1, "users": 1, "tasks": 3, "contents": 2}
    newest = json.loads(SAMPLE.splitlines()[-1])
    assert (post.text, post.metrics) == (newest["text"], newest["metrics"])
    assert post.data["created_at"] == "Mon Mar 02 05:40:00 +0000 2026"


def test_a_part_by_time_and_then_a_bad_line(empty_database: Database, on: On, sample: Path) -> None:
    replay = on(empty_database)
    part = replay("replay", sample, "--create", "--until", "2026-03-02T09:00:00Z")
    assert (part.returncode, part.stdout) == (0, UNTIL), part.stderr
    bad = json.loads(SAMPLE.splitlines()[-1]) | {"crawled_at": "2026-03-02T12:01:30"}
    sample.write_text(f"{SAMPLE}{json.dumps(bad)}\n", encoding="utf-8")
    rest = replay("replay", sample)
    assert (rest.returncode, rest.stderr) == (1, BAD_LINE)
    assert "1 new" in rest.stdout
