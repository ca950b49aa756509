"""Daemon, run worker and database are killed in turn while crawl rounds keep coming; at the end nothing is missing,
nothing is there twice and nothing is left running.

What "doubled" means: two sensor runs under one run key; two cuts of one run; two runs that write under way at the same
time by Dagster's own times, of which the end of a killed run is when somebody noticed; a content in two periods of one
owner. An alert is lost when no message that has it was received, and told twice when two messages have it: the same
message may come twice, under one id.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, LiteralString

import pytest

from temporal_pipeline.defs.events.reading import DETECTOR
from tests.acceptance.soaking import Crawler, Killer, Supervisor, processes, rows, wait_until
from tests.alerts.receiver import Receiver, receiving
from tests.deploy import compose
from tests.deploy.stack import Stack, running_stack

pytestmark = pytest.mark.acceptance

log = logging.getLogger(__name__)

KILLS = 20
# Daemon, worker and database; then somebody looks whether all is well again.
TURN = 3
# A run that was never started is ended by Dagster after three to five minutes; it may be the third in a row that
# failed, after which the sensor pauses for four; a message whose sender was killed is sent again after two.
QUIET_SECONDS = 900

SESSION_SECONDS = 10

OWNERS: LiteralString = """
WITH owner AS (
    SELECT c.id AS content_id, c.analysis_period_id, o.entity_type, o.entity_id, o.is_primary
    FROM contents c CROSS JOIN LATERAL (VALUES
        ('topic', c.topic_id, true), ('user', c.user_id, c.topic_id IS NULL)
    ) AS o (entity_type, entity_id, is_primary)
    WHERE o.entity_id IS NOT NULL AND c.crawled_at <= now()
), counted AS (
    SELECT owner.content_id, owner.entity_type, owner.is_primary, count(p.id) AS periods,
           count(p.id) FILTER (WHERE p.id = owner.analysis_period_id) AS pointers
    FROM owner
    LEFT JOIN period_content_snapshots s ON s.content_id = owner.content_id
    LEFT JOIN analysis_periods p ON p.id = s.period_id AND p.status = 'active'
      AND p.entity_type = owner.entity_type AND p.entity_id = owner.entity_id
    GROUP BY owner.content_id, owner.entity_type, owner.is_primary
)
"""
# To the last step that a run told of, should it have gone on after it was said to be over.
WRITERS: LiteralString = """
SELECT run_id, start_time, greatest(end_time, (
    SELECT extract(epoch FROM max(e.timestamp)) FROM event_logs e
    WHERE e.run_id = r.run_id AND e.dagster_event_type LIKE 'STEP%%'
)) FROM runs r
WHERE pipeline_name IN ('update', 'refresh', 'maintain', 'migrate') AND start_time IS NOT NULL
"""
SAME_RUN_KEY: LiteralString = """
SELECT key.value, count(*) FROM run_tags key JOIN run_tags sensor ON sensor.run_id = key.run_id
WHERE key.key = 'dagster/run_key' AND sensor.key = 'dagster/sensor_name'
GROUP BY sensor.value, key.value HAVING count(*) > 1
"""
LAST_RUN: LiteralString = """
SELECT r.status, sensor.value FROM runs r
LEFT JOIN run_tags sensor ON sensor.run_id = r.run_id AND sensor.key = 'dagster/sensor_name'
ORDER BY r.id DESC LIMIT 1
"""
UNDER_WAY: LiteralString = "SELECT run_id FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"
NOTHING_WAITS: LiteralString = """
SELECT CAST(tick_body AS json)->>'skip_reason' LIKE 'nothing waits%%' AND create_timestamp > to_timestamp(%s)
FROM job_ticks WHERE CAST(tick_body AS json)->>'job_name' = 'new_crawls' ORDER BY id DESC LIMIT 1
"""
SESSIONS: LiteralString = """
SELECT usename, state, query FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
UNTOLD: LiteralString = """
SELECT count(*) FROM temporal_pipeline.alert a WHERE NOT EXISTS (
    SELECT FROM temporal_pipeline.alert_in_message i
    JOIN temporal_pipeline.alert_message m ON m.id = i.message_id AND m.delivered_at IS NOT NULL
    WHERE i.alert_id = a.id
)
"""
SENT: LiteralString = """
SELECT i.message_id::text, a.subject, a.state, a.since, a.details->>'event_id'
FROM temporal_pipeline.alert a JOIN temporal_pipeline.alert_in_message i ON i.alert_id = a.id
"""
EVENTS: LiteralString = """
SELECT id::text, format('event:%%s:%%s:%%s', entity_type, entity_id, metadata->>'key'), metadata->'history'
FROM temporal_events WHERE metadata->>'detector' = %s
"""


@dataclass
class Soaked:
    """What is left of a deployment after the last kill and a quiet time."""

    stack: Stack
    receiver: Receiver
    killer: Killer
    crawler: Crawler
    # When the last crawl round was over.
    since: float

    def rows(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        return rows(self.stack.url("crosshot"), query, *values)

    def runs(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        return rows(self.killer.storage, query, *values)

    def status(self) -> dict[str, Any]:
        done = self.stack.run("code", "temporal-pipeline", "status", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)["data"]
        return found

    def is_quiet(self) -> bool:
        """Whether the sensor itself finds nothing to do after the last run, and everything was told.

        Runs first: one that ends meanwhile may have failed.
        """
        return (
            self.runs(UNDER_WAY) == []
            and self.runs(NOTHING_WAITS, self.since) == [(True,)]
            and self.untold_failures() == set()
            and self.rows(UNTOLD) == [(0,)]
        )

    def figures(self) -> dict[str, object]:
        """What was tried, and what came of it."""
        runs = self.runs("SELECT status, count(*) FROM runs GROUP BY status")
        return {
            "kills": dict(self.killer.kills),
            "restarts": dict(self.killer.supervisor.restarts),
            "crawl rounds": len(self.crawler.rounds),
            "rounds written again": self.crawler.interrupted,
            "runs": dict(runs),
            "of these by hand": self.killer.launched,
            "contents": self.rows("SELECT count(*) FROM contents")[0][0],
            "periods": self.rows("SELECT count(*) FROM analysis_periods")[0][0],
            "events": self.rows("SELECT count(*), count(resolved_at) FROM temporal_events")[0],
            "alerts": self.rows("SELECT count(*) FROM temporal_pipeline.alert")[0][0],
            "messages": (len(self.receiver.keys), len(set(self.receiver.keys))),
        }

    def untold_failures(self) -> set[str]:
        failed = {run for (run,) in self.runs("SELECT run_id FROM runs WHERE status = 'FAILURE'")}
        told = self.rows("SELECT subject FROM temporal_pipeline.alert WHERE subject LIKE 'run:%%'")
        return failed - {subject.removeprefix("run:") for (subject,) in told}


@pytest.fixture(scope="module")
def soaked() -> Iterator[Soaked]:
    with ExitStack() as cleaning:
        stack = cleaning.enter_context(running_stack(compose.BASE, compose.ALERTS))
        receiver = cleaning.enter_context(receiving())
        (stack.secrets / "alert_webhooks").write_text(f"ops=json+{receiver.url}")
        migrated = stack.run("migrate", *stack.model["services"]["migrate"]["command"])
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
        crawler = Crawler(stack.url("crosshot"), KILLS)
        crawler.begin()
        supervisor = Supervisor(stack)
        with supervisor.supervising("code", "webserver", "daemon"):
            killer = Killer(stack, supervisor, receiver)
            began = time.monotonic()
            killer.recover()
            with crawler.at_work() as crawling:
                for number in range(KILLS):
                    crawler.go_on()
                    killer.kill(number)
                    if number % TURN == TURN - 1:
                        killer.recover()
                wait_until(crawling.done, "the last crawl round")
                crawling.result()
            soaked = Soaked(stack, receiver, killer, crawler, time.time())
            wait_until(soaked.is_quiet, "quiet", QUIET_SECONDS)
            log.info("quiet after %.0f s: %s", time.monotonic() - began, soaked.figures())
            # The process of a run outlives it by a moment.
            wait_until(lambda: not left_running(stack, supervisor), "the end of all processes of runs")
        yield soaked
    assert processes(stack) == {}


def left_running(stack: Stack, supervisor: Supervisor) -> list[str]:
    """What runs besides the services, the helper that Python gives whoever starts processes, and the server."""
    services = {process.pid for process in supervisor.processes.values()}
    return [
        line
        for pid, line in processes(stack).items()
        if pid not in services and "resource_tracker" not in line and str(stack.server.data) not in line
    ]


def test_the_kills_hit(soaked: Soaked) -> None:
    kills = soaked.killer.kills
    assert kills.total() == KILLS
    assert kills["worker"] == len(soaked.killer.killed_runs)
    assert soaked.killer.supervisor.restarts["daemon"] >= kills["daemon"]
    found = dict(soaked.runs("SELECT run_id, status FROM runs"))
    assert {found[run] for run in soaked.killer.killed_runs} == {"FAILURE"}
    # Nobody helped after the last kill.
    assert soaked.runs(LAST_RUN) == [("SUCCESS", "new_crawls")]


def test_every_content_is_in_exactly_one_period_of_each_owner(soaked: Soaked) -> None:
    found = soaked.rows(OWNERS + "SELECT count(*), count(DISTINCT content_id) FROM counted")
    assert found[0][0] > found[0][1] > 3000, "contents with two owners are among them"
    wrong = OWNERS + "SELECT * FROM counted WHERE periods <> 1 OR pointers <> CAST(is_primary AS int)"
    assert soaked.rows(wrong) == []


def test_periods_of_an_entity_follow_one_another(soaked: Soaked) -> None:
    periods: dict[Any, list[Any]] = defaultdict(list)
    for entity, *period in soaked.rows(
        "SELECT entity_id, period_number, period_start, period_end FROM analysis_periods "
        "WHERE status = 'active' ORDER BY period_start"
    ):
        periods[entity].append(period)
    for entity, found in periods.items():
        assert [number for number, _, _ in found] == list(range(len(found))), entity
        assert all(earlier[2] <= later[1] for earlier, later in pairwise(found)), entity
    assert len(periods) == 6
    assert soaked.rows("SELECT id FROM analysis_periods WHERE status <> 'active'") == []


def test_no_run_is_doubled(soaked: Soaked) -> None:
    assert soaked.runs(SAME_RUN_KEY) == []
    assert soaked.rows("SELECT run_id FROM temporal_pipeline.cut GROUP BY run_id HAVING count(*) > 1") == []
    writers = sorted(soaked.runs(WRITERS), key=lambda run: run[1])
    overlapping = [(earlier, later) for earlier, later in pairwise(writers) if earlier[2] > later[1]]
    assert overlapping == []


def test_no_run_and_no_cut_is_left_unfinished(soaked: Soaked) -> None:
    assert {status for (status,) in soaked.runs("SELECT status FROM runs")} == {"SUCCESS", "FAILURE"}
    assert soaked.rows("SELECT id FROM temporal_pipeline.cut WHERE finished_at IS NULL") == []


def test_no_session_is_left(soaked: Soaked) -> None:
    """The services have ended; the server notices a moment later."""
    url = soaked.stack.url("postgres")
    wait_until(lambda: rows(url, SESSIONS) == [], "the end of every session", SESSION_SECONDS)


def test_no_alert_is_lost(soaked: Soaked) -> None:
    sent: dict[str, set[Any]] = defaultdict(set)
    for message, *alert in soaked.rows(SENT):
        sent[message].add(tuple(alert))
    received = dict(soaked.receiver.received)
    assert received.keys() == sent.keys()
    for key, document in received.items():
        assert len(document["alerts"]) + document["more"] == len(sent[key])
    told = {alert for alerts in sent.values() for alert in alerts}
    ended = {(event, since) for _, state, since, event in told if state == "resolved"}
    states = {(subject, state) for subject, state, _, _ in told}
    began = set()
    for event, subject, history in soaked.rows(EVENTS, DETECTOR):
        for before, after in pairwise([None, *history]):
            was_open = before is not None and before["state"] != "resolved"
            is_open = after["state"] != "resolved"
            if is_open and not was_open:
                state = "opened" if before is None else "reopened"
                assert (subject, state) in states, (event, history)
                began.add(event)
            elif was_open and not is_open:
                assert event in {event for event, _ in ended}, (event, history)
    assert began
    assert ended
    assert soaked.untold_failures() == set()
    assert {f"run:{run}" for run in soaked.killer.killed_runs} <= {subject for subject, *_ in told}


def test_no_alert_is_told_under_two_ids(soaked: Soaked) -> None:
    ids: dict[Any, set[str]] = defaultdict(set)
    contents: dict[str, set[str]] = defaultdict(set)
    for key, document in soaked.receiver.received:
        contents[key].add(json.dumps(document, sort_keys=True))
        for alert in document["alerts"]:
            ids[alert["subject"], alert["state"], alert["since"]].add(key)
    assert {alert: keys for alert, keys in ids.items() if len(keys) > 1} == {}
    assert {key: texts for key, texts in contents.items() if len(texts) > 1} == {}
    # Killed between the delivery and its note: without that, the claim would be an empty one.
    assert len(soaked.receiver.keys) > len(set(soaked.receiver.keys))


def test_verification_holds_and_nothing_waits(soaked: Soaked) -> None:
    verified = soaked.stack.run("code", "temporal-pipeline", "verify", "--json")
    assert verified.returncode == 0, verified.stdout
    status = soaked.status()
    assert (status["contents"]["waiting"], status["drafts"], status["problems"]) == (0, 0, [])
    assert status["unfinished_cuts"] == []
