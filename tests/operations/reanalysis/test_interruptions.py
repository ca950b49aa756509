"""Re-analyses that are killed, come at once or meet a cut: the chain never branches, and no content loses its link."""

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods import linking
from temporal_pipeline.defs.periods.cutting import perform_cut
from temporal_pipeline.defs.periods.reanalysis import reanalyse
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.verification import verify
from temporal_pipeline.settings import PROJECT_ROOT
from tests.conftest import temporary_database
from tests.defs.events.world import crawl_hour
from tests.defs.periods.world import periods_of, rows, somebody_waits
from tests.operations.reanalysis.world import World, again, content, update

# What a re-analysis is about to execute when it dies, and the how-many-th of its kind.
DEATHS = (("UPDATE tasks SET period_id", 1), ("moving", 3), ("INSERT INTO temporal_events", 1))
MORE_DEATHS = (
    ("INSERT INTO temporal_pipeline.cut", 1),
    ("SET status = 'superseded'", 1),
    ("SELECT recompute_metrics_delta", 2),
    ("moving", 1),
    ("SET unmeasured = true", 1),
    ("REFRESH MATERIALIZED VIEW", 1),
    ("INSERT INTO crawl_effectiveness", 1),
    ("INSERT INTO temporal_pipeline.entity_watch", 1),
)
Death = tuple[str, int]
WITHOUT_LINK = "SELECT id FROM contents WHERE analysis_period_id IS NULL"


@pytest.mark.parametrize(
    "deaths", [DEATHS, pytest.param(MORE_DEATHS, marks=pytest.mark.acceptance)], ids=["some", "others"]
)
def test_killed_anywhere_and_called_again_it_is_as_if_it_had_not_been(
    server_url: str, burst_template: tuple[str, World], database: Database, deaths: Sequence[Death]
) -> None:
    name, world = burst_template
    again(database, world.topic)
    expected = content(database)
    with ExitStack() as stack:
        victims = [stack.enter_context(temporary_database(server_url, name)) for _ in deaths]
        arguments = [
            str(a) for victim, death in zip(victims, deaths, strict=True) for a in (victim.url, *death)
        ]
        program = [sys.executable, "-m", "tests.operations.reanalysis.killed", *arguments]
        ended = subprocess.run(program, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
        assert ended.stdout.split() == [str(signal.SIGKILL.value)] * len(deaths)
        for victim, death in zip(victims, deaths, strict=True):
            assert rows(victim, WITHOUT_LINK) == [], death
            again(victim, world.topic)
            assert content(victim) == expected, death


@pytest.mark.parametrize("finisher", ["update", "re-analysis of another"])
def test_what_was_killed_is_finished_by_whoever_comes_next(
    database: Database, world: World, monkeypatch: pytest.MonkeyPatch, finisher: str
) -> None:
    old = periods_of(database, world.topic.id)[0].id
    with monkeypatch.context() as patch:
        patch.setattr("temporal_pipeline.defs.periods.reanalysis.finish_reanalyses", lambda *_: None)
        new = reanalyse(database, old, "stopped", "killed")
    linked = "SELECT analysis_period_id AS id, count(*) AS n FROM contents GROUP BY 1"
    assert old in {row.id for row in rows(database, linked)}
    # Until then nobody measures it, and nobody is alarmed.
    update_of_effectiveness = (
        "SELECT FROM temporal_pipeline.period_stage WHERE period_id = :id AND unmeasured"
    )
    assert rows(database, update_of_effectiveness, id=new) == []
    assert "no_pointer_goes_to_a_superseded_period" not in broken(database)
    if finisher == "update":
        update(database)
    else:
        again(database, world.user)
    assert old not in {row.id for row in rows(database, linked)}
    assert rows(database, "SELECT FROM temporal_pipeline.cut WHERE finished_at IS NULL") == []
    update(database)
    assert broken(database) == set()


def broken(database: Database) -> set[str]:
    return {claim.name for claim in verify(database) if claim.verdict != "holds"}


def test_of_two_at_once_one_works_and_the_other_says_why_not(database: Database, world: World) -> None:
    old = periods_of(database, world.topic.id)[0].id
    both = threading.Barrier(2)

    def work(reason: str) -> str:
        own = Database(database.url)
        try:
            both.wait()
            return str(reanalyse(own, old, reason, reason))
        except PipelineError as error:
            return f"{error.exit_code}: {error.message}; {error.hint}"
        finally:
            own.dispose()

    with ThreadPoolExecutor() as pool:
        told = list(pool.map(work, ("one", "two")))
    states = periods_of(database, world.topic.id)
    [successor] = [p.id for p in states if p.period_number == 0 and p.status == "active"]
    assert sorted(told) == sorted(
        [str(successor), f"5: period {old} is superseded; its successor is {successor}"]
    )
    assert len([p for p in states if p.period_number == 0]) == 2


def test_while_a_cut_runs_it_waits_or_says_who_is_at_work(database: Database, world: World) -> None:
    old = periods_of(database, world.topic.id)[0].id
    other = Database(database.url)
    with (
        other.exclusive("periods"),
        pytest.raises(PipelineError, match="another run already works on periods") as refused,
    ):
        reanalyse(database, old, "again", "run", max_wait=0.1)
    other.dispose()
    assert refused.value.exit_code == 5
    assert [p.status for p in periods_of(database, world.topic.id)] == ["active", "active"]


def test_cuts_and_reanalyses_at_once_lose_no_link(database: Database, world: World) -> None:
    with database.transaction() as connection:
        for hour in range(24, 30):
            crawl_hour(connection, hour, 5, topic=world.topic.id)
        connection.execute(
            text(
                "INSERT INTO temporal_pipeline.prepared_content (content_id, method, scored, note) "
                "SELECT id, 'test', false, '' FROM contents ON CONFLICT DO NOTHING"
            )
        )
    everything = "SELECT count(*) AS n FROM contents"
    before = rows(database, everything)[0].n
    latest = periods_of(database, world.topic.id)[1].id
    others = [Database(database.url) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        cut = pool.submit(perform_cut, others[0], "cut", batch_size=3)
        done = pool.submit(reanalyse, others[1], latest, "again", "run")
        assert cut.result().failed == []
        done.result()
    for other in others:
        other.dispose()
    update(database)
    assert rows(database, WITHOUT_LINK) == []
    assert rows(database, everything)[0].n == before
    assert broken(database) == set()


def test_what_the_application_changes_while_it_is_moved_follows_too(database: Database, world: World) -> None:
    latest = periods_of(database, world.topic.id)[1].id
    crawler, other = Database(database.url), Database(database.url)
    with ThreadPoolExecutor() as pool:
        with crawler.transaction() as connection:
            edit = text("UPDATE contents SET text = 'edited' WHERE analysis_period_id = :id")
            assert connection.execute(edit, {"id": latest}).rowcount
            done = pool.submit(reanalyse, other, latest, "again", "run")
            # All that is still to be moved is held, and let go while it is waited for.
            while not (done.done() or somebody_waits(database)):
                pass
        done.result()
    crawler.dispose()
    other.dispose()
    assert rows(database, "SELECT id FROM contents WHERE analysis_period_id = :id", id=latest) == []
    update(database)
    assert broken(database) == set()


def test_contents_move_in_short_transactions(
    database: Database, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "MOVED_AT_ONCE", {"most": 10})
    moved: list[int] = []
    move = linking._move_contents

    def counted(*arguments, **options):  # type: ignore[no-untyped-def]
        moved.append(move(*arguments, **options))
        return moved[-1]

    monkeypatch.setattr(linking, "_move_contents", counted)
    old = periods_of(database, world.topic.id)[0]
    reanalyse(database, old.id, "again", "run")
    assert sum(moved) == old.content_count
    assert max(moved) == 10
