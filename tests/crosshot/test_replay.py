import json
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from temporal_pipeline.crosshot import replay as replay_module
from temporal_pipeline.crosshot.records import identity
from temporal_pipeline.crosshot.replay import Progress, ReplayReport, create_legacy_tables, replay
from temporal_pipeline.database import Database
from tests.crosshot.exports import at, by_name, content, crawls, rows, task, topic, user, write_export
from tests.crosshot_rows import add_content, add_task, add_topic

REPLAY_IN_SMALL_BATCHES = """
import sys
from pathlib import Path
from temporal_pipeline.crosshot import replay as module
from temporal_pipeline.database import Database
module.BATCH_LINES = 5
module.replay(Database(sys.argv[1]), Path(sys.argv[2]), progress=lambda step: print(step.line, flush=True))
"""


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_module, "BATCH_LINES", 5)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "export.jsonl.gz", crawls(seed=7, rounds=30), packed=True)


@pytest.fixture
def once_through(legacy_database: Database, export: Path) -> Iterator[dict[str, list[dict[str, object]]]]:
    """What the database holds after one uninterrupted replay of `export`; the database is empty again."""
    assert replay(legacy_database, export).ok
    whole = rows(legacy_database)
    empty(legacy_database)
    yield whole
    assert rows(legacy_database) == whole


def empty(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("TRUNCATE topics, users, tasks, contents CASCADE"))


def test_the_rows_are_those_that_the_crawler_writes(legacy_database: Database, tmp_path: Path) -> None:
    records = [
        topic(),
        user(),
        task(),
        content(user="u"),
        task("line", action="timeline", query=None, username="u", topic=None, user="u",
             completed_at=at(9).isoformat(), found=2),
        content(task="line", topic=None, user="u", crawled_at=at(6).isoformat(), metrics={"like_count": "5"}),
        content("q", task="line", topic=None, user="u", crawled_at=at(7).isoformat(), platform="web",
                published_at="2026-01-05T02:00:00+02:00", text=None),
    ]  # fmt: skip
    report = replay(legacy_database, write_export(tmp_path / "export", records))
    assert report.ok
    assert (report.inserted, report.lines) == ({"topic": 1, "user": 1, "task": 2, "content": 2}, 7)
    assert (report.updated["content"], report.unchanged.total()) == (1, 0)

    post, web = (by_name(legacy_database, "contents", "platform")[platform] for platform in ("x", "web"))
    search, timeline = (identity("task", key) for key in ("s", "line"))
    assert post == {
        "id": str(identity("content", "x", "p")),
        "task_id": str(search),
        "topic_id": str(identity("topic", "t")),
        "user_id": str(identity("user", "u")),
        "platform": "x",
        "platform_content_id": "p",
        "source_url": "https://x.example/p",
        "crawled_at": "2026-01-05T00:03:00+00:00",
        "author_uid": None,
        "author_username": "ada",
        "author_display_name": None,
        "text": "green tea",
        "lang": "en",
        "hashtags": ["tea"],
        "media_downloaded": False,
        "processing_status": None,
        "key_points": None,
        "metrics": {"like_count": "5"},
        "data": {
            "created_at": "Wed Dec 31 22:05:07 +0000 2025",
            "recrawled_at": "2026-01-05T00:06:00.000000+00:00",
        },
    }
    assert web["data"] == {"created_at": "2026-01-05T00:00:00+00:00"}
    tasks = by_name(legacy_database, "tasks", "id")
    assert tasks[str(search)]["payload"] == {
        "topic_id": str(identity("topic", "t")), "action": "search", "query": "tea",
    }  # fmt: skip
    assert tasks[str(search)]["result"] == {
        "action": "search", "query": "tea", "tab": None, "tweets_found": 1, "content_ids": [post["id"]],
    }  # fmt: skip
    assert tasks[str(timeline)]["result"] == {
        "action": "timeline", "username": "u", "tweets_found": 2, "content_ids": [post["id"], web["id"]],
        "new_count": 1, "exhausted": None,
    }  # fmt: skip
    (owner,) = rows(legacy_database)["topics"]
    assert (owner["total_contents"], owner["last_crawl_at"]) == (1, "2026-01-05T00:05:00+00:00")
    (owner,) = rows(legacy_database)["users"]
    assert (owner["total_contents"], owner["last_crawl_at"]) == (2, "2026-01-05T00:09:00+00:00")


def test_a_second_replay_writes_nothing(legacy_database: Database, export: Path) -> None:
    replay(legacy_database, export)
    before = rows(legacy_database)
    again = replay(legacy_database, export)
    assert (again.wrote, again.rejected) == (False, 0)
    assert again.unchanged.total() == again.lines
    assert rows(legacy_database) == before


@pytest.mark.usefixtures("small_batches")
def test_the_size_of_a_batch_changes_nothing(
    legacy_database: Database, export: Path, once_through: dict[str, object]
) -> None:
    replay(legacy_database, export)


@pytest.mark.usefixtures("small_batches")
def test_stopped_after_any_batch_and_run_again_gives_the_rows_of_once_through(
    legacy_database: Database, export: Path, once_through: dict[str, object]
) -> None:
    class StoppedError(Exception):
        pass

    def stop(after: int) -> None:
        def progress(step: Progress) -> None:
            if step.line >= after:
                raise StoppedError

        with pytest.raises(StoppedError):
            replay(legacy_database, export, progress=progress)

    for line in (5, 40, 20, 100):
        stop(line)
        assert rows(legacy_database) != once_through
    replay(legacy_database, export)


def test_killed_in_the_middle_and_run_again_gives_the_rows_of_once_through(
    legacy_database: Database, export: Path, once_through: dict[str, object]
) -> None:
    for batches in (1, 7):
        process = subprocess.Popen(
            [sys.executable, "-c", REPLAY_IN_SMALL_BATCHES, legacy_database.url, str(export)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        for _ in range(batches):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        assert rows(legacy_database) != once_through
    replay(legacy_database, export)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), minutes=st.lists(st.integers(-5, 760), max_size=4))
def test_slices_by_time_give_the_rows_of_once_through(
    legacy_database: Database, tmp_path: Path, seed: int, minutes: list[int]
) -> None:
    path = write_export(tmp_path / "export", crawls(seed))
    empty(legacy_database)
    replay(legacy_database, path)
    whole = rows(legacy_database)
    empty(legacy_database)
    for minute in minutes:
        replay(legacy_database, path, until=at(minute))
    replay(legacy_database, path)
    assert rows(legacy_database) == whole


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), minute=st.integers(-5, 760))
def test_a_slice_never_holds_what_is_later(
    legacy_database: Database, tmp_path: Path, seed: int, minute: int
) -> None:
    empty(legacy_database)
    replay(legacy_database, write_export(tmp_path / "export", crawls(seed)), until=at(minute))
    loaded = rows(legacy_database)
    times = [row["crawled_at"] for row in loaded["contents"]]
    times += [row["data"].get("recrawled_at") for row in loaded["contents"]]
    times += [row[key] for row in loaded["tasks"] for key in ("started_at", "completed_at")]
    times += [row["last_crawl_at"] for table in ("topics", "users") for row in loaded[table]]
    assert all(datetime.fromisoformat(time) <= at(minute) for time in times if time)
    assert not any(row["completed_at"] is None and row["result"] for row in loaded["tasks"])


def test_a_crawl_under_way_is_pending_in_the_slice_and_completed_in_the_next(
    legacy_database: Database, tmp_path: Path
) -> None:
    path = write_export(tmp_path / "export", [topic(), task(), content()])
    replay(legacy_database, path, until=at(4))
    (row,) = rows(legacy_database)["tasks"]
    assert (row["status"], row["completed_at"], row["result"]) == ("pending", None, None)
    assert rows(legacy_database)["topics"][0]["last_crawl_at"] is None

    assert replay(legacy_database, path).updated == {"task": 1}
    (row,) = rows(legacy_database)["tasks"]
    assert (row["status"], len(row["result"]["content_ids"])) == ("completed", 1)
    assert rows(legacy_database)["topics"][0]["last_crawl_at"] == "2026-01-05T00:05:00+00:00"

    assert not replay(legacy_database, path, until=at(4)).wrote
    assert rows(legacy_database)["tasks"] == [row]


def test_a_topic_comes_with_its_first_task_even_when_it_says_to_be_later(
    legacy_database: Database, tmp_path: Path
) -> None:
    records = [topic(created_at=at(60).isoformat()), topic("other", created_at=at(60).isoformat()), task()]
    report = replay(legacy_database, write_export(tmp_path / "export", records), until=at(10))
    assert report.ok
    assert (report.inserted, report.later["topic"]) == ({"topic": 1, "task": 1}, 1)
    assert [row["name"] for row in rows(legacy_database)["topics"]] == ["Topic t"]


def test_an_older_state_of_a_post_never_replaces_a_newer_one(
    legacy_database: Database, tmp_path: Path
) -> None:
    def find(minute: float, likes: int) -> dict[str, object]:
        return content(crawled_at=at(minute).isoformat(), metrics={"like_count": likes}, text=f"{likes}")

    newer = write_export(tmp_path / "newer", [topic(), task(), find(3, 1), find(20, 5), find(30, 9)])
    older = write_export(tmp_path / "older", [topic(), task(), find(3, 1), find(2, 0), find(20, 5)])
    replay(legacy_database, newer)
    report = replay(legacy_database, older)
    assert (report.wrote, report.unchanged["content"]) == (False, 3)
    (row,) = rows(legacy_database)["contents"]
    assert (row["metrics"], row["text"], row["crawled_at"]) == (
        {"like_count": 9}, "9", "2026-01-05T00:03:00+00:00",
    )  # fmt: skip


def test_a_resume_never_moves_metrics_back(legacy_database: Database, export: Path) -> None:
    replay(legacy_database, export)
    likes = {row["id"]: row["metrics"]["like_count"] for row in rows(legacy_database)["contents"]}
    seen: list[int] = []

    def progress(step: Progress) -> None:
        now = {row["id"]: row["metrics"]["like_count"] for row in rows(legacy_database)["contents"]}
        assert now == likes
        seen.append(step.line)

    replay(legacy_database, export, progress=progress)
    assert seen


def test_a_post_that_the_application_found_itself_is_crawled_again_not_doubled(
    legacy_database: Database, tmp_path: Path
) -> None:
    with legacy_database.transaction() as connection:
        own_topic = add_topic(connection)
        own = add_content(
            connection,
            topic=own_topic,
            platform_content_id="p",
            task=add_task(connection, topic=own_topic),
            crawled_at=at(1),
            data={"created_at": "Wed Dec 31 22:05:07 +0000 2025", "author": {"id": 5}},
        )
    replay(legacy_database, write_export(tmp_path / "export", [topic(), task(), content()]))
    (row,) = rows(legacy_database)["contents"]
    assert (row["id"], row["topic_id"], row["text"]) == (str(own), str(own_topic), "green tea")
    assert row["data"]["author"] == {"id": 5}
    assert by_name(legacy_database, "tasks", "id")[str(identity("task", "s"))]["result"]["content_ids"] == [
        str(own)
    ]


def test_data_of_the_application_that_is_no_object_does_no_harm(
    legacy_database: Database, tmp_path: Path
) -> None:
    path = write_export(tmp_path / "export", [topic(), task(), *(content(key) for key in "abcd")])
    replay(legacy_database, path)
    with legacy_database.transaction() as connection:
        connection.execute(
            text("UPDATE contents SET data = CAST(:data AS jsonb) WHERE platform_content_id = :key"),
            [
                {"key": "a", "data": "null"},
                {"key": "b", "data": "[1]"},
                {"key": "c", "data": '{"recrawled_at": "soon"}'},
                {"key": "d", "data": '{"recrawled_at": 5}'},
            ],
        )
    newer = [content(key, crawled_at=at(60).isoformat(), text="new") for key in "ab"]
    report = replay(legacy_database, write_export(tmp_path / "newer", [topic(), task(), *newer]))
    assert report.updated["content"] == 2
    found = by_name(legacy_database, "contents", "platform_content_id")
    assert found["a"]["data"]["recrawled_at"] == found["b"]["data"]["recrawled_at"]
    assert replay(legacy_database, path).ok


def test_the_temporal_columns_stay_untouched(database: Database, export: Path) -> None:
    replay(database, export)
    with database.transaction() as connection:
        connection.execute(text("UPDATE contents SET relevance_score = 0.5, published_at = crawled_at"))
        before = connection.execute(text("SELECT id, discovered_at FROM contents ORDER BY id")).all()
    assert all(
        (row["relevance_score"], row["analysis_period_id"]) == (0.5, None)
        for row in rows(database)["contents"]
    )
    scored = rows(database)["contents"]
    replay(database, export)
    assert rows(database)["contents"] == scored
    with database.transaction(read_only=True) as connection:
        assert connection.execute(text("SELECT id, discovered_at FROM contents ORDER BY id")).all() == before


def test_published_at_is_never_written_to_the_column(database: Database, export: Path) -> None:
    replay(database, export)
    contents = rows(database)["contents"]
    assert any("created_at" in row["data"] for row in contents)
    assert {row["published_at"] for row in contents} == {None}


def test_two_replays_at_once_give_the_rows_of_one(
    legacy_database: Database, export: Path, once_through: dict[str, object]
) -> None:
    reports: list[ReplayReport] = []

    def run() -> None:
        database = Database(legacy_database.url)
        reports.append(replay(database, export))
        database.dispose()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.wrote for report in reports) == [False, True]


def test_the_legacy_tables_can_be_made_twice(legacy_database: Database) -> None:
    create_legacy_tables(legacy_database)


@pytest.mark.usefixtures("small_batches")
def test_progress_grows_up_to_the_size_of_the_file(legacy_database: Database, export: Path) -> None:
    steps: list[Progress] = []
    replay(legacy_database, export, progress=steps.append)
    size = export.stat().st_size
    assert steps == sorted(steps, key=lambda step: (step.line, step.bytes_read))
    assert len({step.line for step in steps}) == len(steps) > 5
    assert {step.bytes_total for step in steps} == {size}
    assert steps[-1].bytes_read == size


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_the_file(legacy_database: Database, tmp_path: Path) -> None:
    def peak(lines: int) -> int:
        path = tmp_path / f"{lines}"
        with path.open("w") as file:
            for record in (topic(), task(found=None)):
                file.write(json.dumps(record) + "\n")
            for n in range(lines // 2):
                key = f"{lines}-{n}"
                file.write(json.dumps(task(key, created_at=at(n % 5000).isoformat())) + "\n")
                file.write(json.dumps(content(key, task=key, crawled_at=at(n % 5000).isoformat())) + "\n")
        tracemalloc.start()
        try:
            report = replay(legacy_database, path, until=at(2500))
            assert report.ok
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2_000)
    short, long = peak(3_000), peak(20_000)
    assert long < short * 1.2
