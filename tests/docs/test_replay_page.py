"""The export that docs/replay.md shows is complete, and loads."""

from pathlib import Path

from sqlalchemy import text

from temporal_pipeline.database import Database
from tests.command_line import CommandLine
from tests.docs.pages import blocks


def test_the_export_of_the_page_is_loaded(empty_database: Database, tmp_path: Path) -> None:
    [export] = [block for block in blocks() if block.page == "docs/replay.md"]
    file = tmp_path / "export.jsonl"
    file.write_text(export.body, encoding="utf-8")
    command = CommandLine(tmp_path / "home", DATABASE_URL=empty_database.url)
    for options in (["--create"], []):
        done = command("replay", file, *options)
        assert done.returncode == 0, done.stderr
    with empty_database.transaction(read_only=True) as connection:
        counted = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM topics), (SELECT count(*) FROM users), (SELECT count(*) FROM tasks),"
                " (SELECT array_agg(text ORDER BY platform_content_id) FROM contents)"
            )
        ).one()
    texts = ["The night train to Oslo is two hours late.", "Night train tickets are sold out."]
    assert tuple(counted) == (1, 1, 1, texts)
