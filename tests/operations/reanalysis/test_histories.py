"""Whatever happens in whatever order: what was told at a time is what is told as of that time, ever after."""

import uuid
from collections.abc import Sequence
from typing import Any

import hypothesis
from hypothesis import strategies as st
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.entities import Entity
from temporal_pipeline.operations.verification import verify
from tests.crosshot_rows import add_topic
from tests.defs.events.world import crawl_hour
from tests.defs.periods.world import rows
from tests.operations.reanalysis.asked import assert_nothing_later, moment, told
from tests.operations.reanalysis.world import add_note, again, update

# What is usual must be known before anything stands out.
FIRST_HOURS = 16
HOURS = 4
STEPS = st.tuples(st.sampled_from(["crawl", "burst", "again", "edit", "note", "dismiss"]), st.integers(0, 9))
DISMISS = (
    "UPDATE temporal_events SET resolved_at = now(), resolution_note = 'expected' "
    "WHERE entity_id = :id AND resolved_at IS NULL"
)


class History:
    """A topic to which things happen."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.hours = 0
        with database.transaction() as connection:
            name = uuid.uuid4().hex
            self.topic = Entity("topic", add_topic(connection, name), name)
        self.crawl(0, hours=FIRST_HOURS)

    def happen(self, step: str, which: int) -> None:
        if step in ("crawl", "burst"):
            self.crawl(30 * (step == "burst"))
        elif step == "again":
            periods = rows(
                self.database,
                "SELECT count(*) AS n FROM analysis_periods WHERE entity_id = :id AND status = 'active'",
                id=self.topic.id,
            )[0].n
            again(self.database, self.topic, number=which % periods, reason=uuid.uuid4().hex)
        elif step == "note":
            add_note(self.database, self.topic.id)
        else:
            edit = "UPDATE contents SET text = :text, relevance_score = :score WHERE topic_id = :id"
            with self.database.transaction() as connection:
                connection.execute(
                    text(DISMISS if step == "dismiss" else edit),
                    {"id": self.topic.id, "text": f"edit {which}", "score": which / 10},
                )
            if step == "dismiss":
                # That a person ended an event of ours is known since the next search saw it.
                self.crawl(0)

    def crawl(self, more: int, *, hours: int = HOURS) -> None:
        with self.database.transaction() as connection:
            for hour in range(hours):
                posts = 2 + more * (hour == hours - 1)
                crawl_hour(connection, self.hours + hour, posts, topic=self.topic.id)
        self.hours += hours
        update(self.database)


@hypothesis.settings(
    max_examples=3,
    # An example takes seconds.
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(steps=st.lists(STEPS, min_size=3, max_size=5))
@hypothesis.example(
    [("burst", 0), ("note", 0), ("edit", 3), ("again", 0), ("dismiss", 0), ("again", 0), ("again", 1)]
)
def test_what_was_told_then_is_told_as_of_then(database: Database, steps: Sequence[tuple[str, int]]) -> None:
    history = History(database)
    known: list[tuple[Any, dict[str, Any]]] = []
    for step, which in steps:
        at = moment(database)
        known.append((at, told(database, history.topic, at)))
        history.happen(step, which)
    for at, then in known:
        assert_nothing_later(then, told(database, history.topic, at))
    members = "SELECT period_number, status, content_count FROM analysis_periods WHERE entity_id = :id"
    states = rows(database, members, id=history.topic.id)
    assert len({(p.period_number, p.content_count) for p in states}) == len({p.period_number for p in states})
    unlinked = "SELECT FROM contents WHERE topic_id = :id AND analysis_period_id IS NULL"
    assert rows(database, unlinked, id=history.topic.id) == []
    assert {claim.name for claim in verify(database) if claim.verdict == "does not hold"} == set()
