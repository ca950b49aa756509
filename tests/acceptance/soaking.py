"""A deployment that is not left in peace: crawl rounds that keep coming, and who dies meanwhile and comes back."""

import json
import logging
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from sqlalchemy.exc import DBAPIError

from temporal_pipeline.abandoned_runs import PROCESS_TAG
from temporal_pipeline.crosshot.demo.loading import world
from temporal_pipeline.crosshot.demo.posts import Post, seeded
from temporal_pipeline.crosshot.demo.rounds import entity_records, round_records
from temporal_pipeline.crosshot.demo.world import TOPICS, round_time
from temporal_pipeline.crosshot.lines import Line
from temporal_pipeline.crosshot.replay import replay_lines
from temporal_pipeline.database import Database
from temporal_pipeline.embedded.server import command_line
from temporal_pipeline.errors import PipelineError
from tests.alerts.receiver import Receiver
from tests.deploy.stack import Stack, end

log = logging.getLogger(__name__)

# Five days of data, so that there is a baseline before anybody dies.
ROUNDS_BEFORE = 20
# As many as the demo's month has left for twenty kills.
ROUNDS_PER_KILL = 5
ROUND_PAUSE_SECONDS = 2.0
# The sensors' interval, and a little for the daemon to get round to it.
SENSOR_SECONDS = 40.0
# A run takes five to ten seconds beside others; a kill may hit any part of it.
LONGEST_LEAD_SECONDS = 4.0
# A run that never starts holds up all others for three minutes, and Dagster looks every two; then one has to succeed.
PATIENCE_SECONDS = 420.0
LAUNCH = """
mutation Launch {
  launchRun(executionParams: {
    selector: {
      repositoryLocationName: "temporal_pipeline", repositoryName: "__repository__", pipelineName: "update"
    },
    runConfigData: "{}"
  }) { __typename ... on PythonError { message } }
}
"""
UNDER_WAY = """
SELECT r.run_id, t.value FROM runs r JOIN run_tags t ON t.run_id = r.run_id AND t.key = %s
WHERE r.status = 'STARTED'
"""
# What was created when the database died, and never started, is ended by Dagster in the end; it keeps nobody waiting.
UNFINISHED = "SELECT run_id FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED', 'NOT_STARTED')"
SUCCEEDED_SINCE = """
SELECT run_id FROM runs WHERE status = 'SUCCESS' AND pipeline_name = 'update' AND start_time > %s
"""
STATUS = "SELECT status FROM runs WHERE run_id = %s"


def wait_until(holds: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `holds` returns as soon as that is true. Fails after `seconds`, with the name of what did not come."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)
    return value


def rows(url: str, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query, also when the server is being killed or coming up just then."""

    def attempt() -> list[list[tuple[Any, ...]]]:
        try:
            with psycopg.connect(url) as connection:
                return [connection.execute(query, values).fetchall()]
        except psycopg.OperationalError:
            return []

    found: list[tuple[Any, ...]] = wait_until(attempt, "an answer of the database")[0]
    return found


def bursts(rounds: Sequence[int]) -> Iterator[Post]:
    """In each round another topic talks about something for an hour, each time a little more than before."""
    rng = seeded("soak")
    for number in rounds:
        topic = TOPICS[number % 3]
        begins = round_time(number) - timedelta(hours=3)
        for n in range(20 + number // 2):
            yield Post(
                f"soak-{number:03d}-{n:02d}",
                topic.queries[0].platform,
                begins + timedelta(seconds=rng.randrange(3600)),
                topic.voice.write(rng, "strong"),
                topic.voice.lang,
                f"reader{rng.randrange(900):03d}",
                topic=topic.key,
            )


class Crawler:
    """The application: it crawls round after round, and does again what the database did not take."""

    def __init__(self, url: str, kills: int) -> None:
        self.database = Database(url)
        self.rounds = range(ROUNDS_BEFORE + 1, ROUNDS_BEFORE + ROUNDS_PER_KILL * kills + 1)
        posts = [*world(), *bursts(self.rounds)]
        self.world = sorted(posts, key=lambda post: (post.published_at, post.key))
        self.interrupted = 0
        self._due = threading.Semaphore(0)
        self._given_up = threading.Event()

    def begin(self) -> None:
        """What was there before."""
        self._write(entity_records())
        for number in range(1, ROUNDS_BEFORE + 1):
            self._write(round_records(number, self.world))

    def go_on(self) -> None:
        """Let the next rounds come, so that there are some between any two kills, however long these take."""
        self._due.release(ROUNDS_PER_KILL)

    @contextmanager
    def at_work(self) -> Iterator["Future[None]"]:
        with ThreadPoolExecutor(1) as threads:
            try:
                yield threads.submit(self._crawl)
            finally:
                self._given_up.set()
                self._due.release()
        self.database.dispose()

    def _crawl(self) -> None:
        for number in self.rounds:
            self._due.acquire()
            while not self._given_up.is_set():
                try:
                    self._write(round_records(number, self.world))
                    break
                except (PipelineError, DBAPIError):
                    self.interrupted += 1
                    self._given_up.wait(0.2)
            self._given_up.wait(ROUND_PAUSE_SECONDS)

    def _write(self, records: Iterator[dict[str, Any]]) -> None:
        lines = (Line(n, json.dumps(record).encode()) for n, record in enumerate(records, start=1))
        report = replay_lines(self.database, lines)
        assert report.ok, report.rejections


def processes(stack: Stack) -> dict[int, str]:
    """What runs for a stack: command lines by process id; without what is dead but not buried."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        line = command_line(int(entry.name))
        try:
            environment = (entry / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            # The server, under an account of its own; it is told the folder.
            environment = b""
        if line and (bytes(stack.folder) in environment or str(stack.folder) in line):
            found[int(entry.name)] = line
    return found


class Supervisor:
    """Starts a service again when it has ended, as `restart: unless-stopped` does."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.restarts: Counter[str] = Counter()
        self._stop = threading.Event()

    @contextmanager
    def supervising(self, *names: str) -> Iterator[None]:
        with ExitStack() as cleaning:
            for name in names:
                self.processes[name] = self.stack.start(name)
                cleaning.callback(self._end, name)
                self.stack.wait_until_healthy(name, self.processes[name])
            thread = cleaning.enter_context(ThreadPoolExecutor(1)).submit(self._watch)
            try:
                yield
            finally:
                self._stop.set()
                thread.result()

    def _end(self, name: str) -> None:
        end(self.processes[name])

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            for name, process in self.processes.items():
                if process.poll() is not None:
                    self.restarts[name] += 1
                    self.processes[name] = self.stack.start(name)


@dataclass
class Killer:
    """Kills, in turn, the daemon, the process of a run under way, and the database."""

    stack: Stack
    supervisor: Supervisor
    receiver: Receiver
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    killed_runs: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    launched: int = 0

    def __post_init__(self) -> None:
        self.storage = self.stack.url("pipeline", "dagster")

    def kill(self, number: int) -> None:
        """The victim whose turn it is."""
        victim = (self.daemon, self.worker, self.database)[number % 3]
        victim()
        self.kills[victim.__name__] += 1
        log.info("killed: %s, number %d", victim.__name__, number + 1)

    def daemon(self) -> None:
        victim = self.supervisor.processes["daemon"]
        victim.kill()
        wait_until(lambda: self.supervisor.processes["daemon"] is not victim, "another daemon")

    def worker(self) -> None:
        """A run is killed that is under way; one that is over before the signal comes does not count."""
        patience = SENSOR_SECONDS
        while True:
            run, pid = self.run_under_way(patience)
            os.kill(pid, signal.SIGKILL)
            if rows(self.storage, STATUS, run) != [("SUCCESS",)]:
                self.killed_runs.append(run)
                return
            patience = 0

    def database(self) -> None:
        """In turn while a receiver has got a message of which nobody has written that it has, and in a run."""
        if self.kills["database"] % 2 == 0:
            self.receiver.began.clear()
            self.receiver.may_answer.clear()
            self.receiver.began.wait(SENSOR_SECONDS)
        else:
            self.run_under_way(patience=0)
        self.stack.server.kill()
        self.receiver.may_answer.set()
        self.stack.server.start()

    def run_under_way(self, patience: float) -> tuple[str, int]:
        """A run that has been at it for a while, and its process; started by hand if the sensor starts none."""
        until = time.monotonic() + patience
        while True:
            for run in rows(self.storage, UNDER_WAY, PROCESS_TAG):
                time.sleep(self.rng.uniform(0, LONGEST_LEAD_SECONDS))
                if run in rows(self.storage, UNDER_WAY, PROCESS_TAG):
                    return run[0], int(run[1].partition(":")[0])
            if time.monotonic() > until:
                self.launch_unless_unfinished()
            time.sleep(0.1)

    def recover(self) -> None:
        """Wait until a run has succeeded that began after now; as a person would, start one if there is none."""
        now = time.time()

        def succeeded() -> bool:
            if rows(self.storage, SUCCEEDED_SINCE, now):
                return True
            self.launch_unless_unfinished()
            return False

        wait_until(succeeded, "a run that succeeds")
        log.info("recovered after %.0f s", time.time() - now)

    def launch_unless_unfinished(self) -> None:
        if rows(self.storage, UNFINISHED):
            return
        try:
            launched = self.stack.graphql("webserver", LAUNCH)["launchRun"]["__typename"]
        except (OSError, AssertionError):
            # The webserver, or its code server, has not noticed yet that the database is back.
            return
        self.launched += launched == "LaunchRunSuccess"
