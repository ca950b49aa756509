"""`backfill`: what it makes, whom it leaves alone, and that nothing is lost or doubled whatever happens meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from benchmarks.backfill import strays
from benchmarks.kills import DIGEST
from benchmarks.live import Writer, copy_of, fill
from temporal_pipeline.cli.backfill import backfill as verb
from temporal_pipeline.cli.output import Output
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import perform_cut
from temporal_pipeline.defs.periods.linking import Linker
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.entities import Entity
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backfill import backfill
from temporal_pipeline.settings import PROJECT_ROOT
from tests.conftest import temporary_database
from tests.crosshot_rows import add_content, add_task, add_topic, at
from tests.defs.periods.world import digest, periods_of, pointer, refuse_periods_of, rows

ROWS = 3_000
PROGRAM = (
    "from temporal_pipeline.cli import cli, main\n"
    "from temporal_pipeline.cli.backfill import backfill\n"
    "cli.add_command(backfill)\n"
    "main()"
)
LINKED = "SELECT count(analysis_period_id) AS n FROM contents"
CLOSED = "SELECT count(*) AS n FROM analysis_periods WHERE status = 'active'"
PREPARED = "SELECT count(*) AS n FROM temporal_pipeline.prepared_content"


@pytest.fixture(scope="module")
def synthetic(server_url: str) -> Iterator[Database]:
    """A migrated database with synthetic contents; to be copied, not to be changed."""
    with temporary_database(server_url) as database:
        fill(database, ROWS, entities=40, largest=500)
        upgrade(database)
        yield database


@pytest.fixture
def world(synthetic: Database, server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("DATABASE_URL", server_url)
    with copy_of(synthetic) as database:
        yield database


def run(database: Database, *arguments: str) -> Result:
    environment = {"DATABASE_URL": database.url}
    return CliRunner().invoke(verb, list(arguments), obj=Output(), env=environment)


def answer(database: Database, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(database, "--json", *arguments).stdout)
    return document


def start(database: Database) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "backfill"],
        cwd=PROJECT_ROOT,
        env=os.environ | {"DATABASE_URL": database.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def content_of(database: Database) -> list[tuple[Any, ...]]:
    """What the database holds, by natural keys."""
    with psycopg.connect(libpq_url(database)) as connection:
        return connection.execute(DIGEST.read_bytes()).fetchall()


def test_everybody_with_contents_gets_period_zero(world: Database) -> None:
    [owned] = rows(world, "SELECT count(*) AS n FROM contents WHERE coalesce(topic_id, user_id) IS NOT NULL")
    result = answer(world)
    assert result["ok"]
    data = result["data"]
    assert (data["contents_linked"], data["failed"], data["waiting"]) == (owned.n, [], [])
    assert data["contents_prepared"] == ROWS
    assert {period["number"] for period in data["periods"]} == {0}
    assert len(data["periods"]) == rows(world, CLOSED)[0].n == data["entities_without_period"]
    assert strays(world) == []
    before = content_of(world)
    assert "nothing to backfill" in run(world).stdout
    assert content_of(world) == before


def test_who_has_a_period_is_left_to_update(database: Database) -> None:
    with database.transaction() as c:
        old, new = add_topic(c, name="old"), add_topic(c, name="new")
        add_content(c, topic=old, crawled_at=at(1))
    assert answer(database)["data"]["contents_linked"] == 1
    with database.transaction() as c:
        later = add_content(c, topic=old, crawled_at=at(2))
        add_content(c, topic=new, crawled_at=at(2))
    data = answer(database)["data"]
    assert [(period["entity"], period["number"]) for period in data["periods"]] == [("topic 'new'", 0)]
    assert pointer(database, later) is None


def test_only_who_is_named(database: Database) -> None:
    with database.transaction() as c:
        one, other = add_topic(c, name="one, two"), add_topic(c, name="three")
        add_content(c, topic=one, crawled_at=at(1))
        add_content(c, topic=other, crawled_at=at(1))
    answer(database, "--entities", "one, two")
    assert len(periods_of(database, one)) == 1
    assert periods_of(database, other) == []


def test_who_is_named_may_have_got_another_name_meanwhile(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c, name="after")
        add_content(c, topic=topic, crawled_at=at(1))
    assert backfill(database, entities=[Entity("topic", topic, "before")]).cut.linked == 1


def test_one_that_fails_is_named_and_the_others_are_done(database: Database) -> None:
    with database.transaction() as c:
        bad, good = add_topic(c, name="bad"), add_topic(c, name="good")
        add_content(c, topic=bad, crawled_at=at(1))
        add_content(c, topic=good, crawled_at=at(1))
        refuse_periods_of(c, bad)
    result = run(database)
    assert result.exit_code == 1
    [line] = [line for line in result.stdout.splitlines() if line.startswith("failed: ")]
    assert line.startswith("failed: topic 'bad': ")
    assert line.endswith("no period for you")
    assert len(periods_of(database, good)) == 1
    with database.transaction() as c:
        c.execute(text("DROP TRIGGER refuse ON analysis_periods"))
    assert run(database).exit_code == 0
    assert len(periods_of(database, bad)) == 1


def test_one_that_waits_is_named_with_its_reason_and_is_no_failure(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c, name="busy")
        add_task(c, topic=topic, started_at=at(0), status="running", completed_at=None)
        add_content(c, topic=topic, crawled_at=at(1))
        c.execute(text("UPDATE contents SET discovered_at = now()"))
    result = run(database)
    assert result.exit_code == 0
    assert "waits: topic 'busy' with 1 content: its crawl is running" in result.stdout


def test_a_dry_run_shows_whom_it_is_about_and_writes_nothing(database: Database) -> None:
    with database.transaction() as c:
        add_content(c, topic=add_topic(c, name="one"), crawled_at=at(1))
        add_content(c, topic=add_topic(c, name="two"), crawled_at=at(1))
    before = digest(database)
    assert "Period 0 for 2 of 2 topics and users" in run(database, "--dry-run").stdout
    assert "Period 0 for 1 of 1 topics and users" in run(database, "--dry-run", "--entities", "two").stdout
    assert digest(database) == before


def test_without_the_schema_it_says_what_to_do(legacy_database: Database) -> None:
    result = run(legacy_database)
    assert isinstance(result.exception, PipelineError)
    assert "the schema is not at" in result.exception.message


def test_two_at_once_do_what_one_does(synthetic: Database, world: Database) -> None:
    with copy_of(synthetic) as alone:
        backfill(alone)
        wanted = content_of(alone)
    others = [Database(world.url) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        reports = list(pool.map(backfill, others))
    for other in others:
        other.dispose()
    assert content_of(world) == wanted
    assert 0 in [report.prepared.rows_written for report in reports]
    assert 0 in [report.cut.linked for report in reports]


@pytest.mark.parametrize("concern", ["contents", "periods"])
def test_a_second_one_that_waited_long_enough_names_the_first(database: Database, concern: str) -> None:
    other = Database(database.url)
    with other.exclusive(concern):
        result = run(database, "--max-wait", "0.2")
    other.dispose()
    assert isinstance(result.exception, PipelineError)
    assert result.exception.exit_code == 5
    assert "(process " in result.exception.message


def test_contents_that_move_while_they_are_linked_are_linked_all_the_same(
    world: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, moved = Linker.link, []

    def move_first(self: Linker, found: Sequence[str]) -> int:
        if not moved:
            with self.hold.database.transaction() as application:
                application.execute(text("UPDATE contents SET source_url = source_url || '?'"))
            moved.append(len(found))
        return link(self, found)

    monkeypatch.setattr(Linker, "link", move_first)
    backfill(world)
    assert moved[0] > 0
    assert strays(world) == []


@pytest.mark.slow
def test_what_a_crawler_writes_meanwhile_ends_in_one_period_of_each_owner(world: Database) -> None:
    with Writer(world.url, rate=200) as writer:
        report = backfill(world)
        time.sleep(0.5)
    assert report.cut.failed == []
    assert writer.writes.failed == ()
    assert len(writer.writes.inserted) > 50
    backfill(world)
    perform_cut(world, "what came meanwhile")
    assert strays(world, writer.writes.inserted) == []
    assert strays(world) == []


@pytest.mark.slow
@pytest.mark.parametrize(("counted", "least"), [(PREPARED, 1), (LINKED, 1), (LINKED, 1500), (CLOSED, 5)])
def test_killed_and_run_again_it_leaves_what_an_undisturbed_one_leaves(
    synthetic: Database, world: Database, counted: str, least: int
) -> None:
    with copy_of(synthetic) as undisturbed:
        backfill(undisturbed)
        wanted = content_of(undisturbed)
    with start(world) as process:
        while process.poll() is None and rows(world, counted)[0].n < least:
            pass
        process.kill()
    assert rows(world, counted)[0].n >= least
    backfill(world)
    assert content_of(world) == wanted


@pytest.mark.slow
def test_an_interrupt_ends_it_with_130_and_it_can_go_on(world: Database) -> None:
    # Periods cannot be opened, so that it is still at work when the signal comes.
    with psycopg.connect(libpq_url(world)) as holder, start(world) as process:
        holder.execute("LOCK TABLE analysis_periods IN SHARE MODE")
        while process.poll() is None and rows(world, PREPARED)[0].n < 1:
            pass
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "remedy: the same command goes on where it stopped" in said
    assert run(world).exit_code == 0
    assert strays(world) == []
