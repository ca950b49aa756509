"""What a replay is given wrongly: each is named, and nothing else is lost."""

import random
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from temporal_pipeline.crosshot import replay as replay_module
from temporal_pipeline.crosshot.replay import Rejection, replay
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from tests.crosshot.exports import at, content, crawls, rows, task, topic, write_export


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_module, "BATCH_LINES", 5)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "export.jsonl.gz", crawls(seed=7, rounds=30), packed=True)


BAD_LINES: list[tuple[dict[str, object] | bytes, str]] = [
    (b'{"kind": "content"', "not JSON"),
    (b'{"kind": "topic", "name": "\xff"}', "not UTF-8"),
    (content("z", kind="post"), 'kind is "post"'),
    (content("z", task=None), "task is missing"),
    (content("z", task="nowhere"), "task 'nowhere' is unknown"),
    (content("z", topic="nowhere"), "topic 'nowhere' is unknown"),
    (content("z", user="nobody"), "user 'nobody' is unknown"),
    (task("z", topic="nowhere"), "topic 'nowhere' is unknown"),
    (content("z", crawled_at="2026-01-05T00:00:00"), "a time without zone"),
    (content("z", text="a\0b"), "holds a NUL character"),
    (content("z", text=5), "text is 5, expected a text"),
    (content("z", lang="l" * 9), "lang has 9 characters"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_LINES, ids=[reason for _, reason in BAD_LINES])
def test_a_bad_line_is_reported_with_its_number_and_the_rest_load(
    legacy_database: Database, tmp_path: Path, bad: dict[str, object] | bytes, reason: str
) -> None:
    heard: list[Rejection] = []
    path = write_export(tmp_path / "export", [topic(), task(), content("p"), bad, content("q")])
    report = replay(legacy_database, path, on_rejection=heard.append)
    assert not report.ok
    assert [rejection.number for rejection in report.rejections] == [4]
    assert reason in report.rejections[0].reason
    assert heard == report.rejections
    assert {row["platform_content_id"] for row in rows(legacy_database)["contents"]} == {"p", "q"}
    assert len(rows(legacy_database)["tasks"]) == 1


def test_a_value_that_only_the_database_refuses_costs_only_its_own_line(
    legacy_database: Database, tmp_path: Path
) -> None:
    # Compression must not make it fit into an index row.
    tag = random.Random(1).randbytes(9000).hex()
    posts = [content(f"p{n}", crawled_at=at(3 + n).isoformat()) for n in range(20)]
    posts[11]["hashtags"] = [tag]
    path = write_export(tmp_path / "export", [topic(), task(), *posts])
    report = replay(legacy_database, path)
    assert [rejection.number for rejection in report.rejections] == [14]
    assert "refused by the database" in report.rejections[0].reason
    assert tag not in str(report.rejections[0])
    assert report.inserted["content"] == len(rows(legacy_database)["contents"]) == 19
    assert rows(legacy_database)["topics"][0]["total_contents"] == 19


@pytest.mark.usefixtures("small_batches")
def test_a_reference_that_comes_later_in_the_file_is_waited_for(
    legacy_database: Database, tmp_path: Path
) -> None:
    fillers = [task(f"filler{n}", topic=None) for n in range(20)]
    path = write_export(
        tmp_path / "export", [content(), content("z", task="never"), task(), *fillers, topic()]
    )
    report = replay(legacy_database, path)
    assert [str(rejection) for rejection in report.rejections] == ["line 2: task 'never' is unknown"]
    (row,) = rows(legacy_database)["contents"]
    assert row["platform_content_id"] == "p"
    again = replay(legacy_database, path)
    assert (again.wrote, again.rejected) == (False, 1)


def test_a_key_that_is_named_twice_keeps_the_first_row_and_the_furthest_task(
    legacy_database: Database, tmp_path: Path
) -> None:
    running = task(status="running", completed_at=None, found=None)
    path = write_export(tmp_path / "export", [topic(), topic(name="Renamed"), running, task(), running])
    report = replay(legacy_database, path)
    assert report.ok
    assert report.updated == {"task": 1}
    assert rows(legacy_database)["topics"][0]["name"] == "Topic t"
    assert rows(legacy_database)["tasks"][0]["status"] == "completed"


def test_many_bad_lines_are_counted_but_not_all_kept(
    legacy_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "REJECTIONS_KEPT", 3)
    heard: list[Rejection] = []
    report = replay(
        legacy_database, write_export(tmp_path / "export", [b"{"] * 10), on_rejection=heard.append
    )
    assert (report.rejected, len(report.rejections), len(heard)) == (10, 3, 10)


def test_missing_tables_are_listed_and_made_when_asked_for(empty_database: Database, export: Path) -> None:
    with pytest.raises(PipelineError, match="tasks, topics, users, topic_users, contents") as refused:
        replay(empty_database, export)
    assert "--create" in refused.value.hint
    assert replay(empty_database, export, create=True).ok
    with empty_database.transaction() as connection:
        connection.execute(text("DROP TABLE content_media"))
    with pytest.raises(PipelineError, match="no Crosshot database: content_media missing"):
        replay(empty_database, export)


def test_a_time_without_zone_is_a_usage_error(legacy_database: Database, export: Path) -> None:
    with pytest.raises(PipelineError, match="has no zone") as refused:
        replay(legacy_database, export, until=datetime(2026, 1, 5))
    assert refused.value.exit_code == 2


def test_a_database_that_fails_is_no_bad_line(legacy_database: Database, export: Path) -> None:
    with legacy_database.transaction() as connection:
        connection.execute(text("ALTER TABLE contents RENAME COLUMN metrics TO figures"))
    with pytest.raises(
        PipelineError, match=r"the database failed near line 1: column .*metrics.* does not exist"
    ):
        replay(legacy_database, export)
