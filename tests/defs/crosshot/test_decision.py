"""When new crawls deserve a run."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from temporal_pipeline.defs.crosshot.decision import History, Start, Wait, Waiting, decide, digest
from tests.crosshot_rows import at

READY = Waiting("topic:1", 5, at(1), None)
RUNNING = Waiting("topic:2", 3, at(2), "its crawl is running")
RECENT = Waiting("user:3", 1, at(3), "too little time since its last period")


NOW = at(100)
MINUTE = timedelta(minutes=1)


def start(*waiting: Waiting, last: str | None = None) -> str:
    decision = decide(waiting, History(last=last), NOW)
    assert isinstance(decision, Start)
    return decision.run_key


def test_a_ready_entity_starts_a_run() -> None:
    assert start(READY) == start(READY)
    assert start(READY, RUNNING) == start(READY)


@pytest.mark.parametrize(
    ("waiting", "unfinished", "words"),
    [
        ([], None, "nothing waits"),
        ([RUNNING], None, "1 entity waits .* none of them ready: 1 because its crawl is running"),
        (
            [RUNNING, RECENT, replace(RUNNING, entity="topic:4")],
            None,
            "3 entities wait .*: 2 because its crawl is running, 1 because too little time",
        ),
        ([READY, RUNNING], "abc", "run abc is not finished yet; 1 entity waits"),
        ([], "abc", "nothing waits"),
    ],
)
def test_every_no_says_why(waiting: list[Waiting], unfinished: str | None, words: str) -> None:
    decision = decide(waiting, History(unfinished), NOW)
    assert isinstance(decision, Wait)
    assert re.search(words, decision.reason)


def test_the_run_key_changes_with_the_waiting_state_and_after_every_run() -> None:
    states = [
        start(READY),
        start(READY, last="a run"),
        start(replace(READY, contents=6)),
        start(replace(READY, newest=at(2))),
        start(replace(READY, entity="topic:9")),
        start(READY, replace(RUNNING, reason=None)),
    ]
    assert len(set(states)) == len(states)


def test_the_order_of_entities_does_not_matter() -> None:
    assert digest([READY, RUNNING]) == digest([RUNNING, READY])


@pytest.mark.parametrize(
    ("failures", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (5000, 60)]
)
@pytest.mark.parametrize("waiting", [[], [READY], [RUNNING]])
def test_a_run_that_failed_is_followed_by_another_later_and_later(
    failures: int, minutes: int, waiting: list[Waiting]
) -> None:
    failed = History(None, failures, "the last", NOW)
    too_early = decide(waiting, failed, NOW + minutes * MINUTE - timedelta(seconds=1))
    assert isinstance(too_early, Wait)
    assert f"the next try is at {NOW + minutes * MINUTE:%Y-%m-%d %H:%M:%S} UTC" in too_early.reason
    decision = decide(waiting, failed, NOW + minutes * MINUTE)
    assert isinstance(decision, Start)
    assert decision.run_key.endswith("-the last")


def test_what_is_under_way_comes_before_another_try() -> None:
    decision = decide([READY], History("abc", 1, "the last", NOW - 60 * MINUTE), NOW)
    assert isinstance(decision, Wait)
    assert "run abc is not finished yet" in decision.reason


def test_one_failure_is_not_told_as_many() -> None:
    for failures, words in ((1, "the last run did not"), (3, "the last 3 runs did not")):
        decision = decide([], History(None, failures, "the last", NOW), NOW)
        assert isinstance(decision, Wait)
        assert decision.reason.startswith(words)
