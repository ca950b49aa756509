"""When new crawls deserve a run."""

import re
from dataclasses import replace

import pytest

from temporal_pipeline.defs.crosshot.decision import Start, Wait, Waiting, decide, digest
from tests.crosshot_rows import at

READY = Waiting("topic:1", 5, at(1), None)
RUNNING = Waiting("topic:2", 3, at(2), "its crawl is running")
RECENT = Waiting("user:3", 1, at(3), "too little time since its last period")


def start(*waiting: Waiting, finished: int = 0) -> str:
    decision = decide(waiting, None, finished)
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
    decision = decide(waiting, unfinished, 0)
    assert isinstance(decision, Wait)
    assert re.search(words, decision.reason)


def test_the_run_key_changes_with_the_waiting_state_and_after_every_run() -> None:
    states = [
        start(READY),
        start(READY, finished=1),
        start(replace(READY, contents=6)),
        start(replace(READY, newest=at(2))),
        start(replace(READY, entity="topic:9")),
        start(READY, replace(RUNNING, reason=None)),
    ]
    assert len(set(states)) == len(states)


def test_the_order_of_entities_does_not_matter() -> None:
    assert digest([READY, RUNNING]) == digest([RUNNING, READY])
