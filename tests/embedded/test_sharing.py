"""Whoever comes and goes, in whatever way: one server, which the last one stops, no committed row lost."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from temporal_pipeline.embedded import attach
from temporal_pipeline.embedded.place import find_place
from temporal_pipeline.errors import PipelineError
from tests.embedded.users import (
    User,
    everything_stopped,
    execute,
    is_dead,
    keeper_says,
    keepers,
    postmasters,
    server_identity,
    wait_until,
)


def test_a_second_process_shares_the_server_and_the_last_one_stops_it(home: Path) -> None:
    place = find_place(home)
    with User(home) as first, User(home) as second:
        assert first.url() == second.url()
        (server,) = postmasters(place)
        assert len(keepers(home)) == 1
        first.leave()
        with attach(home):
            assert postmasters(place) == [server]
        second.leave()
    wait_until(lambda: everything_stopped(home))


def test_the_server_stops_after_kill_9_of_its_last_user(home: Path) -> None:
    with User(home) as user:
        user.url()
        user.kill()
    wait_until(lambda: everything_stopped(home))
    assert not (find_place(home).data / "postmaster.pid").exists(), "it was not stopped cleanly"


def test_closing_twice_and_attaching_twice_in_one_process_is_fine(home: Path) -> None:
    first, second = attach(home), attach(home)
    first.close()
    first.close()
    assert execute(second.libpq_url(), "SELECT 1") == [(1,)]
    second.close()
    wait_until(lambda: everything_stopped(home))


def test_a_program_that_takes_the_process_over_goes_on_using_the_server(home: Path) -> None:
    become_cat = """
import os, sys
from pathlib import Path
from temporal_pipeline.embedded import attach
print(attach(Path(sys.argv[1])).libpq_url(), flush=True)
os.execvp("cat", ["cat"])
"""
    with User(home, become_cat) as user:
        url = user.url()
        wait_until(lambda: Path(f"/proc/{user.process.pid}/comm").read_text() == "cat\n")
        with attach(home):
            pass
        assert execute(url, "SELECT 1") == [(1,)]
    wait_until(lambda: everything_stopped(home))


def test_kill_9_of_a_user_in_a_transaction_harms_nobody(home: Path) -> None:
    write_and_wait = """
import sys, psycopg
from pathlib import Path
from temporal_pipeline.embedded import attach
attachment = attach(Path(sys.argv[1]))
connection = psycopg.connect(attachment.libpq_url())
connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
connection.commit()
connection.execute("INSERT INTO kept VALUES (2)")
print(attachment.libpq_url(), flush=True)
sys.stdin.read()
"""
    with attach(home) as attachment, psycopg.connect(attachment.libpq_url(), autocommit=True) as other:
        with User(home, write_and_wait) as user:
            user.url()
            user.kill()
        assert other.execute("SELECT n FROM kept").fetchall() == [(1,)]
        other.execute("DROP TABLE kept")


def test_kill_9_of_the_server_restarts_it_with_every_committed_row(home: Path) -> None:
    place = find_place(home)
    with attach(home) as attachment, psycopg.connect(attachment.libpq_url(), autocommit=True) as busy:
        busy.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        # A backend that never waits does not notice by itself that its postmaster is gone.
        endless = threading.Thread(target=_never_ending, args=(busy,), daemon=True)
        endless.start()
        wait_until(
            lambda: execute(attachment.libpq_url(), "SELECT 1 FROM pg_stat_activity WHERE query ~ '^DO'")
        )
        (killed,) = postmasters(place)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: postmasters(place) not in ([], [killed]))
        with attach(home):
            assert execute(attachment.libpq_url(), "SELECT count(*) FROM kept") == [(1000,)]
            execute(attachment.libpq_url(), "DROP TABLE kept")
        endless.join()


def _never_ending(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    with pytest.raises(psycopg.OperationalError):
        connection.execute("DO $$ BEGIN LOOP END LOOP; END $$")


def test_a_killed_keeper_is_replaced_and_the_server_stops_in_the_end(home: Path) -> None:
    place = find_place(home)
    with User(home) as user:
        user.url()
        server = postmasters(place)
        (keeper,) = keepers(home)
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda: is_dead(keeper))
        with attach(home):
            assert postmasters(place) == server
            assert keepers(home) not in ([], [keeper])
    wait_until(lambda: everything_stopped(home))


def test_a_keeper_killed_while_it_creates_the_server_is_replaced(fresh_home: Path) -> None:
    folder = find_place(fresh_home).folder
    with User(fresh_home) as user:
        wait_until(lambda: list(folder.glob("data.*/PG_VERSION")))
        os.kill(keepers(fresh_home)[0], signal.SIGKILL)
        assert execute(user.url(), "SELECT 1") == [(1,)]


def test_terminating_the_keeper_stops_the_server_cleanly(home: Path) -> None:
    with ready_user(home):
        os.kill(keepers(home)[0], signal.SIGTERM)
        wait_until(lambda: everything_stopped(home))
        assert not (find_place(home).data / "postmaster.pid").exists()


def test_who_comes_while_the_server_stops_gets_a_new_one(home: Path) -> None:
    place, stops = find_place(home), keeper_says(home, "stopping PostgreSQL")
    attach(home).close()
    wait_until(lambda: keeper_says(home, "stopping PostgreSQL") > stops)
    with attach(home) as attachment:
        assert execute(attachment.libpq_url(), "SELECT 1") == [(1,)]
        assert len(keepers(home)) == 1
        assert len(postmasters(place)) == 1


def test_who_comes_when_a_keeper_was_killed_while_stopping_gets_a_new_server(home: Path) -> None:
    place = find_place(home)
    with ready_user(home) as user:
        (keeper,), (server,) = keepers(home), postmasters(place)
        os.kill(server, signal.SIGSTOP)
        user.leave()
        wait_until(lambda: signal.SIGINT in _pending_signals(server))
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda: is_dead(keeper))
    with User(home) as late:
        wait_until(lambda: keepers(home) not in ([], [keeper]))
        os.kill(server, signal.SIGCONT)
        assert execute(late.url(), "SELECT 1") == [(1,)]
        assert server not in postmasters(place)


def _pending_signals(pid: int) -> list[int]:
    """What a stopped process was sent meanwhile."""
    found = re.search(r"^ShdPnd:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    mask = int(found.group(1), 16)
    return [number for number in range(1, 32) if mask >> (number - 1) & 1]


def test_those_who_come_first_at_the_same_time_share_one_server(fresh_home: Path) -> None:
    users = [User(fresh_home) for _ in range(4)]
    try:
        assert len({user.url() for user in users}) == 1
        assert len(keepers(fresh_home)) == 1
        assert len(postmasters(find_place(fresh_home))) == 1
    finally:
        for user in users:
            user.kill()


@pytest.fixture(params=["dead", "zombie", "stranger"])
def foreign_pid(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process number that is not (or no more) our server's, though it belongs to the same account."""
    program = ["sleep", "60"] if request.param == "stranger" else ["true"]
    process = subprocess.Popen(program, cwd="/", **server_identity())
    if request.param == "dead":
        process.wait()
    if request.param == "zombie":
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    if request.param == "stranger":
        assert process.poll() is None, "a process that is none of ours was ended"
    process.kill()
    process.wait()


def test_a_stale_postmaster_pid_is_removed(home: Path, foreign_pid: int) -> None:
    place = find_place(home)
    with attach(home):
        locks = [place.data / "postmaster.pid", place.socket_folder / ".s.PGSQL.5432.lock"]
        texts = [lock.read_text() for lock in locks]
    wait_until(lambda: everything_stopped(home))
    for lock, text in zip(locks, texts, strict=True):
        lock.write_text(re.sub(r"^\d+", str(foreign_pid), text))
        os.chown(lock, place.data.stat().st_uid, place.data.stat().st_gid)
    with attach(home) as attachment:
        assert execute(attachment.libpq_url(), "SELECT 1") == [(1,)]


def test_a_server_that_cannot_start_is_an_error_with_its_own_words(home: Path) -> None:
    attach(home).close()
    wait_until(lambda: everything_stopped(home))
    configuration = find_place(home).data / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text(good + "no_such_setting = 1\n")
    try:
        with pytest.raises(PipelineError, match="no_such_setting") as failure:
            attach(home)
    finally:
        configuration.write_text(good)
    assert "server.log" in failure.value.hint
    with attach(home) as attachment:
        assert execute(attachment.libpq_url(), "SELECT 1") == [(1,)]


def test_deleting_the_folder_of_a_running_server_leaves_no_process_behind(home: Path) -> None:
    folder = find_place(home).folder
    deleted = folder.with_name("deleted")
    with ready_user(home):
        folder.rename(deleted)
        wait_until(lambda: everything_stopped(home))
    deleted.rename(folder)


@contextmanager
def ready_user(home: Path) -> Iterator[User]:
    """The only user of a server that has just started, when its keeper has nothing more to do."""
    starts = keeper_says(home, "PostgreSQL is ready")
    with User(home) as user:
        user.url()
        wait_until(lambda: keeper_says(home, "PostgreSQL is ready") > starts)
        yield user
