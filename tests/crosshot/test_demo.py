"""Every planted fact is in the data, and the data are always the same."""

import hashlib
import itertools
import json
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import make_url, text

from temporal_pipeline.crosshot.demo import (
    PLANTED,
    Planted,
    load_demo,
    loading,
    plant_application_period,
    play_round,
)
from temporal_pipeline.crosshot.demo.loading import world
from temporal_pipeline.crosshot.demo.rounds import round_records
from temporal_pipeline.crosshot.demo.world import END, START, TOPICS
from temporal_pipeline.crosshot.lines import Line
from temporal_pipeline.crosshot.replay import replay_lines
from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents.relevance.keywords import Keywords, fold
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.errors import PipelineError
from tests.conftest import temporary_database
from tests.crosshot.exports import rows

FACTS = {fact.key: fact for fact in PLANTED}
Rows = list[dict[str, Any]]
FINGERPRINT = """
import hashlib, json
from temporal_pipeline.crosshot.demo.loading import world
from temporal_pipeline.crosshot.demo.rounds import round_records
posts = world()
lines = [json.dumps(r) for n in range(1, 123) for r in round_records(n, posts)]
print(hashlib.sha256("\\n".join(lines).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def loaded(server_url: str) -> Iterator[Database]:
    """The first 30 days, in a database that was empty."""
    with temporary_database(server_url) as database:
        load_demo(database)
        yield database


@pytest.fixture(scope="module")
def played(server_url: str, loaded: Database) -> Iterator[Database]:
    """The migrated demo after both rounds, without any run of the pipeline."""
    loaded.dispose()
    with temporary_database(server_url, make_url(loaded.url).database) as database:
        upgrade(database)
        play_round(database, 1)
        play_round(database, 2)
        yield database


@pytest.fixture(scope="module")
def contents(loaded: Database) -> Rows:
    return rows(loaded)["contents"]


@pytest.fixture(scope="module")
def tasks(loaded: Database) -> Rows:
    return rows(loaded)["tasks"]


def planted(found: Rows, fact: Planted) -> Rows:
    """The rows that a fact names, all of which must be there."""
    named = [row for row in found if UUID(row["id"]) in fact.contents + fact.tasks]
    assert len(named) == len(fact.contents or fact.tasks)
    return named


def published(row: dict[str, Any]) -> datetime:
    value = row["data"]["created_at"]
    if row["platform"] == "x":
        return datetime.strptime(value, "%a %b %d %H:%M:%S %z %Y")
    return datetime.fromisoformat(value)


def names_a_keyword(row: dict[str, Any]) -> bool:
    """Whether a post names a keyword of the topic of the good, the bad and the lucky query."""
    return Keywords(TOPICS[0].keywords).match(fold(f"{row['text']} {' '.join(row['hashtags'])}")).whole > 0


def found_by(query_fact: str, tasks: Rows, contents: Rows) -> Rows:
    fact = FACTS[query_fact]
    ids = {
        content_id
        for task in tasks
        if task["payload"].get("query") == fact.query and task["result"] is not None
        for content_id in task["result"]["content_ids"]
    }
    return [row for row in contents if row["id"] in ids]


def test_every_fact_has_a_name_and_a_sentence() -> None:
    assert list(FACTS) == [
        "burst", "edited_post", "edited_back", "vanishing_post", "day_without_crawl", "good_query",
        "bad_query", "lucky_query", "long_text", "long_chinese_text", "odd_metrics", "future_crawl",
        "last_crawl_before_first_content", "dangling_ids", "pending_task", "no_owner", "user_in_topic",
        "application_period",
    ]  # fmt: skip
    assert all(fact.sentence.endswith(".") for fact in PLANTED)


def test_the_world_is_the_same_in_every_process() -> None:
    posts = world()
    lines = [json.dumps(r) for n in range(1, 123) for r in round_records(n, posts)]
    here = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    there = subprocess.run(
        [sys.executable, "-c", FINGERPRINT],
        env={"PYTHONHASHSEED": "5", "PYTHONPATH": ":".join(sys.path), "TZ": "Asia/Shanghai"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here


def test_loading_again_changes_nothing_also_after_further_rounds(loaded: Database, played: Database) -> None:
    for database in (loaded, played):
        before = rows(database)
        load_demo(database)
        assert rows(database) == before


def test_a_load_that_was_stopped_is_completed_by_the_next(
    empty_database: Database, loaded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedError(Exception):
        pass

    def stop_half_way(database: Database, lines: Iterable[Line], create: bool) -> None:
        replay_lines(database, itertools.islice(lines, 4_000), create=create)
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(loading, "replay_lines", stop_half_way)
        with pytest.raises(StoppedError):
            load_demo(empty_database)
    load_demo(empty_database)
    found, whole = rows(empty_database), rows(loaded)
    for table in ("topics", "users", "tasks", "contents"):
        assert found[table] == whole[table]


def test_playing_a_round_again_changes_nothing(played: Database) -> None:
    before = rows(played)
    play_round(played, 1)
    play_round(played, 2)
    assert rows(played) == before


def test_size_and_owners(loaded: Database, contents: Rows) -> None:
    topics, users = rows(loaded)["topics"], rows(loaded)["users"]
    assert sorted(topic["status"] for topic in topics) == ["active", "active", "active", "paused"]
    assert len(users) == 2
    assert 4_500 <= len(contents) <= 5_500
    owners = Counter((row["topic_id"] is not None, row["user_id"] is not None) for row in contents)
    assert owners[False, False] == 5
    assert min(owners[True, False], owners[False, True], owners[True, True]) >= 30
    assert {row["lang"] for row in contents} == {"en", "zh"}
    assert {row["platform"] for row in contents} == {"x", "xhs", "web"}
    for owner in (*topics, *users):
        assert owner["total_contents"] == sum(
            owner["id"] in (row["topic_id"], row["user_id"]) for row in contents
        )


def test_searches_run_every_six_hours_with_two_to_five_queries_per_topic(tasks: Rows) -> None:
    queries: dict[str, set[str]] = {}
    for task in tasks:
        if task["payload"]["action"] == "search" and "topic_id" in task["payload"]:
            queries.setdefault(task["payload"]["topic_id"], set()).add(task["payload"]["query"])
    assert sorted(map(len, queries.values())) == [2, 3, 3, 5]


def test_the_burst_has_five_times_the_usual_posts_with_a_theme_of_their_own(contents: Rows) -> None:
    fact = FACTS["burst"]
    assert fact.begins is not None
    assert fact.ends is not None
    posts = planted(contents, fact)
    assert all("Harrowfield" in row["text"] for row in posts)
    assert all(fact.begins <= published(row) < fact.ends for row in posts)
    hourly = Counter(
        (published(row) - START) // timedelta(hours=1)
        for row in contents
        if row["topic_id"] == str(fact.entity_id)
    )
    burst = [hourly.pop((fact.begins - START) // timedelta(hours=1) + n) for n in range(3)]
    assert statistics.mean(burst) >= 5 * statistics.mean(hourly.values())
    assert max(hourly.values()) < 0.8 * min(burst)


def test_no_crawl_on_the_silent_day(contents: Rows, tasks: Rows) -> None:
    fact = FACTS["day_without_crawl"]
    assert fact.begins is not None
    assert fact.ends is not None
    times = [row["crawled_at"] for row in contents] + [row["created_at"] for row in tasks]
    assert not any(fact.begins <= datetime.fromisoformat(time) < fact.ends for time in times)
    days = {datetime.fromisoformat(time).date() for time in times}
    assert {(START + timedelta(days=n)).date() for n in range(30)} - days == {fact.begins.date()}


def test_the_good_query_is_good_and_the_bad_one_bad(tasks: Rows, contents: Rows) -> None:
    good, bad = found_by("good_query", tasks, contents), found_by("bad_query", tasks, contents)
    assert min(len(good), len(bad)) > 300
    assert statistics.mean(names_a_keyword(row) for row in good) > 0.95
    alone = [row for row in bad if row["id"] not in {other["id"] for other in good}]
    assert not any(names_a_keyword(row) for row in alone)


def test_the_lucky_query_hit_once(tasks: Rows, contents: Rows) -> None:
    fact = FACTS["lucky_query"]
    assert planted(contents, fact) == found_by("lucky_query", tasks, contents)
    assert names_a_keyword(planted(contents, fact)[0])
    found = [task["result"]["tweets_found"] for task in tasks if task["payload"].get("query") == fact.query]
    assert (sum(found), len(found) > 100) == (1, True)


def test_long_texts(contents: Rows) -> None:
    (english,) = planted(contents, FACTS["long_text"])
    (chinese,) = planted(contents, FACTS["long_chinese_text"])
    assert len(english["text"]) == 12 * 1024
    assert len(chinese["text"]) == 1_200
    assert len(chinese["text"].encode()) == 3 * 1_200


def test_odd_metrics(contents: Rows) -> None:
    metrics = [row["metrics"] for row in planted(contents, FACTS["odd_metrics"])]
    assert None in metrics
    likes = [value["like_count"] for value in metrics if value]
    assert sorted(map(str, likes)) == ["12k", "42", "NaN", "None"]


def test_a_crawl_in_the_future(contents: Rows) -> None:
    (row,) = planted(contents, FACTS["future_crawl"])
    assert row["crawled_at"] == "2100-01-01T00:00:00+00:00"
    assert max(other["crawled_at"] for other in contents if other is not row) < "2026-03-01T01"


def test_a_last_crawl_before_the_first_content(loaded: Database, contents: Rows) -> None:
    fact = FACTS["last_crawl_before_first_content"]
    (topic,) = (row for row in rows(loaded)["topics"] if row["id"] == str(fact.entity_id))
    assert topic["status"] == "paused"
    assert topic["last_crawl_at"] < min(
        row["crawled_at"] for row in contents if row["topic_id"] == topic["id"]
    )


def test_dangling_ids_and_the_pending_task(contents: Rows, tasks: Rows) -> None:
    dangling, pending = FACTS["dangling_ids"], FACTS["pending_task"]
    present = {row["id"] for row in contents}
    by_id = {row["id"]: row for row in tasks}
    listed = by_id[str(dangling.tasks[0])]["result"]["content_ids"]
    assert {str(id_) for id_ in dangling.contents} == {id_ for id_ in listed if id_ not in present}
    assert all(
        set(task["result"]["content_ids"]) <= present
        for task in tasks
        if task["result"] and UUID(task["id"]) not in dangling.tasks
    )
    row = by_id[str(pending.tasks[0])]
    assert (row["status"], row["started_at"], row["result"]) == ("pending", None, None)
    assert any(content["task_id"] == row["id"] for content in contents)
    assert [task["id"] for task in tasks if task["status"] != "completed"] == [row["id"]]


def test_owners_none_and_both(contents: Rows) -> None:
    assert all(
        (row["topic_id"], row["user_id"]) == (None, None) for row in planted(contents, FACTS["no_owner"])
    )
    ada = str(FACTS["user_in_topic"].entity_id)
    assert {row["topic_id"] for row in contents if row["user_id"] == ada} == {
        None, str(FACTS["burst"].entity_id),
    }  # fmt: skip


def test_a_further_round_needs_the_temporal_tables_and_the_first_30_days(
    loaded: Database, database: Database
) -> None:
    with pytest.raises(PipelineError, match="temporal tables are not there yet"):
        play_round(loaded, 1)
    with pytest.raises(PipelineError, match="the demo could not be loaded"):
        play_round(database, 2)


def test_edits_between_the_crawls(contents: Rows, played: Database) -> None:
    after = {row["id"]: row for row in rows(played)["contents"]}
    (edited,) = planted(contents, FACTS["edited_post"])
    assert "Monday" in edited["text"]
    assert after[edited["id"]]["text"] != edited["text"]
    assert "Thursday" in after[edited["id"]]["text"]
    (edited_back,) = planted(contents, FACTS["edited_back"])
    assert after[edited_back["id"]]["text"] == edited_back["text"]
    first, second = (
        [r["text"] for r in round_records(n, world()) if r.get("platform_content_id") == "edited-back-post"]
        for n in (121, 122)
    )
    assert first != second == [edited_back["text"]]


def test_a_post_vanishes_from_the_timeline_while_older_ones_stay(contents: Rows, played: Database) -> None:
    (gone,) = planted(contents, FACTS["vanishing_post"])
    before = {row["id"]: row for row in contents}
    timelines = [
        task["result"]["content_ids"]
        for task in sorted(rows(played)["tasks"], key=lambda task: task["created_at"])
        if task["payload"].get("user_id") == str(FACTS["vanishing_post"].entity_id)
        and datetime.fromisoformat(task["created_at"]) >= END
    ]
    assert len(timelines) == 3
    at_first, *later = timelines
    assert gone["id"] in at_first
    for ids in later:
        assert gone["id"] not in ids
        assert any(published(before[id_]) < published(gone) for id_ in ids if id_ in before)


def test_each_round_brings_new_posts_of_every_active_entity(contents: Rows, played: Database) -> None:
    known = {row["id"] for row in contents}
    new = [row for row in rows(played)["contents"] if row["id"] not in known]
    for begins in (END + timedelta(hours=6), END + timedelta(hours=12)):
        owners = Counter(
            row[owner]
            for row in new
            for owner in ("topic_id", "user_id")
            if begins <= datetime.fromisoformat(row["crawled_at"]) < begins + timedelta(hours=1)
        )
        assert len(owners.keys() - {None}) >= 4


def test_the_application_makes_a_period_after_the_last_one(database: Database) -> None:
    fact = FACTS["application_period"]
    load_demo(database)
    before = END + timedelta(minutes=20)
    with database.transaction() as connection:
        connection.execute(
            text("""
                INSERT INTO analysis_periods (entity_type, entity_id, period_number, period_start, period_end,
                                              duration_hours, summary, status)
                VALUES ('user', :user, 0, :start, :end, 720, '', 'active'),
                       ('user', :user, 1, :start, :later, 720, '', 'superseded')
            """),
            {"user": fact.entity_id, "start": START, "end": before, "later": before + timedelta(days=1)},
        )
    for _ in range(2):
        plant_application_period(database)
        with database.transaction(read_only=True) as connection:
            period = connection.execute(
                text("SELECT * FROM analysis_periods WHERE entity_id = :user AND period_number = 1 "
                     "AND status = 'active'"),
                {"user": fact.entity_id},
            ).one()  # fmt: skip
            linked = connection.scalars(
                text("SELECT id FROM contents WHERE analysis_period_id = :id"), {"id": period.id}
            )
            user = connection.execute(
                text("SELECT * FROM users WHERE id = :id"), {"id": fact.entity_id}
            ).one()
            assert set(linked) == set(fact.contents)
        assert (period.period_start, period.content_count) == (before, 3)
        assert period.period_start < fact.begins < period.period_end
        assert (user.current_period_number, user.last_period_id, user.total_periods) == (1, period.id, 1)
        assert user.avg_period_duration_hours == pytest.approx((720 + period.duration_hours) / 2)
