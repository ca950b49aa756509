"""As of T, exactly what was known at T: a history, asked as of T, answers as if it had ended at T."""

import json
import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import hypothesis
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from temporal_pipeline.database import Database
from temporal_pipeline.query import Failure, Timeline
from tests.crosshot_rows import add_content, add_task, add_topic, at
from tests.query.world import add_event, add_period, add_snapshot, insert, supersede

# What may be recorded, each at an hour of its own; a number says what it happens to.
Change = tuple[str, int]
CHANGES = st.tuples(
    st.sampled_from(["period", "again", "event", "event of others", "move", "resolve", "query", "evidence"]),
    st.integers(0, 20),
)
OVERWRITTEN = {"description", "figures", "resolution_note"}
ENDS = ("opened", "resolved")
STATES = ("active", "recovering", "resolved", "dismissed", "expired")


class History:
    """Writes changes as the pipeline would: rows are added, and rows that are there are changed in place."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.topic = add_topic(connection, name, id=self.id("topic"))
        self.periods: list[list[uuid.UUID]] = []
        self.posts: list[uuid.UUID] = []
        self.events: list[tuple[uuid.UUID, bool]] = []

    def id(self, what: str) -> uuid.UUID:
        """The same thing has the same place in every history, and an id of its own."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{self.name}/{what}")

    def write(self, hour: int, change: Change) -> None:
        """Record a change at an hour, which all texts name."""
        kind, which = change
        if kind == "period" or not self.periods:
            self._period(hour)
        elif kind == "again":
            self._again(hour, self.periods[which % len(self.periods)])
        elif kind.startswith("event") or not self.events:
            self._event(hour, ours=kind != "event of others")
        elif kind in ("move", "resolve"):
            self._move(hour, which, "resolved" if kind == "resolve" else STATES[which % len(STATES)])
        elif kind == "evidence":
            self.connection.execute(
                text(
                    "INSERT INTO event_contents VALUES (:event, :post, :weight, :at) ON CONFLICT DO NOTHING"
                ),
                {
                    # Equal ones are told in the order of their ids, which differ from history to history.
                    "weight": hour / 1000,
                    "event": self.events[which % len(self.events)][0],
                    "post": self.posts[which % len(self.posts)],
                    "at": at(hour),
                },
            )
        else:
            self._query(hour, self.periods[which % len(self.periods)][-1])

    def _told(self, hour: int) -> dict[str, Any]:
        return {
            "summary": f"said at {hour}",
            "summary_short": f"said at {hour}",
            "metrics": {"total_contents": 1000 + hour},
        }

    def _period(self, hour: int) -> None:
        number = len(self.periods)
        period = add_period(
            self.connection,
            self.topic,
            number,
            6 * number,
            6 * number + 6,
            recorded=at(hour),
            id=self.id(f"period {hour}"),
            **self._told(hour),
        )
        task = add_task(
            self.connection, topic=self.topic, started_at=at(6 * number), id=self.id(f"task {hour}")
        )
        post = add_content(
            self.connection,
            topic=self.topic,
            task=task,
            crawled_at=at(6 * number),
            id=self.id(f"post {hour}"),
            source_url="",
        )
        add_snapshot(self.connection, period, post, at(hour), text_snapshot=f"said at {hour}")
        self.periods.append([period])
        self.posts.append(post)

    def _again(self, hour: int, states: list[uuid.UUID]) -> None:
        new = supersede(
            self.connection, states[-1], at(hour), id=self.id(f"again {hour}"), **self._told(hour)
        )
        for post in self.connection.scalars(
            text("SELECT content_id FROM period_content_snapshots WHERE period_id = :id"), {"id": states[-1]}
        ).all():
            add_snapshot(self.connection, new, post, at(hour), text_snapshot=f"said at {hour}")
        states.append(new)

    def _event(self, hour: int, *, ours: bool) -> None:
        entry = {"at": at(hour).isoformat(), "state": "active", "resolved_at": None, **self._title(hour)}
        event = add_event(
            self.connection,
            self.periods[-1][-1],
            self.topic,
            hour,
            id=self.id(f"event {hour}"),
            description=f"said at {hour}",
            metadata={"state": "active", "score": 1000 + hour, "history": [entry]} if ours else {},
            **self._title(hour),
        )
        self.events.append((event, ours))

    @staticmethod
    def _title(hour: int) -> dict[str, Any]:
        return {"title": f"said at {hour}", "severity": ("info", "warning", "critical")[hour % 3]}

    def _move(self, hour: int, which: int, state: str) -> None:
        event, ours = self.events[which % len(self.events)]
        is_over = state not in ("active", "recovering")
        changed: dict[str, Any] = {"id": event, "at": at(hour), "over": at(hour) if is_over else None}
        if not ours:
            # Others leave no history; that an end was taken back is not to be known.
            self.connection.execute(
                text(
                    "UPDATE temporal_events SET resolved_at = :at, last_updated_at = :at "
                    "WHERE id = :id AND resolved_at IS NULL"
                ),
                changed,
            )
            return
        entry = {"at": at(hour).isoformat(), "state": state, **self._title(hour)}
        entry["resolved_at"] = at(hour).isoformat() if is_over else None
        changed |= self._title(hour) | {
            "metadata": json.dumps({"state": state, "score": 1000 + hour}),
            "entry": json.dumps([entry]),
            "description": f"said at {hour}",
        }
        self.connection.execute(
            text(
                "UPDATE temporal_events SET resolved_at = CAST(:over AS timestamptz), last_updated_at = :at, "
                "title = :title, severity = :severity, description = :description, "
                "metadata = metadata || CAST(:metadata AS jsonb) || jsonb_build_object("
                "'history', metadata->'history' || CAST(:entry AS jsonb)) WHERE id = :id"
            ),
            changed,
        )

    def _query(self, hour: int, period: uuid.UUID) -> None:
        insert(
            self.connection,
            "crawl_effectiveness",
            {
                "id": self.id(f"query {hour}"),
                "period_id": period,
                "entity_type": "topic",
                "entity_id": self.topic,
                "platform": "x",
                "query": f"said at {hour}",
                "effectiveness_score": hour / 1000,
                "created_at": at(hour),
            },
        )


def answers(timeline: Timeline, name: str, as_of: datetime) -> dict[str, Any]:
    """Everything that can be asked as of a time, without the names that tell histories from each other."""
    everything: dict[str, Any] = {"as_of": as_of, "limit": 200, "max_chars": 10**6}
    asked = {
        "periods": timeline.query_period_timeline(
            name,
            include_superseded=True,
            fields=["summary", "metrics", "metrics_delta", "supersession_reason"],
            **everything,
        ),
        "comparison": timeline.compare_periods(name, **everything),
        "contents": timeline.query_contents_by_timerange(name, **everything),
        "open": timeline.get_unresolved_events(name, **everything),
        "events": timeline.search_events(
            name,
            fields=["description", "figures", "resolution_note", "evidence", "evidence_count"],
            **everything,
        ),
        "effectiveness": timeline.query_effectiveness(name, **everything),
    }
    for told in asked.values():
        assert not isinstance(told, Failure) or told.error.code == "no_periods", told
    return {kind: json.loads(told.to_json()) for kind, told in asked.items()}


def without_ids(told: dict[str, Any], history: History, hours: int) -> dict[str, Any]:
    """The same with ids replaced by what they are of."""
    document = json.dumps(told).replace(history.name, "HISTORY")
    document = document.replace(str(history.topic), "TOPIC")
    for hour in range(hours):
        for what in ("period", "post", "task", "again", "event", "query"):
            document = document.replace(str(history.id(f"{what} {hour}")), f"{what} {hour}")
    read: dict[str, Any] = json.loads(document)
    return read


def hide_what_was_overwritten(expected: dict[str, Any], told: dict[str, Any]) -> None:
    """Of an event that was updated later, the figures and sentences of that time are gone: null, never later ones."""
    for section in (("open", "items"), ("events", "items"), *(("comparison", f"events_{e}") for e in ENDS)):
        for known, shown in zip(
            *(side[section[0]].get(section[1], []) for side in (expected, told)), strict=True
        ):
            for field in OVERWRITTEN & known.keys():
                if shown.get(field) is None:
                    known[field] = None


@hypothesis.settings(max_examples=40, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(changes=st.lists(CHANGES, min_size=1, max_size=14), data=st.data())
@hypothesis.example(
    changes=[("period", 0), ("event", 0), ("move", 2), ("again", 0), ("move", 0), ("query", 0)], data=None
)
def test_as_of_a_time_nothing_of_later_is_known(
    database: Database, timeline: Timeline, changes: Sequence[Change], data: Any
) -> None:
    last = data.draw(st.integers(0, len(changes))) if data is not None else 3
    name = uuid.uuid4().hex
    with database.transaction() as connection:
        whole, part = History(connection, f"whole {name}"), History(connection, f"part {name}")
        for hour, change in enumerate(changes):
            whole.write(hour, change)
            if hour < last:
                part.write(hour, change)
    # Between two changes, or at the very time of the last one.
    as_of = at(last - (data.draw(st.sampled_from([0.5, 1])) if data is not None else 0.5))
    told = without_ids(answers(timeline, whole.name, as_of), whole, len(changes))
    expected = without_ids(answers(timeline, part.name, as_of), part, len(changes))
    hide_what_was_overwritten(expected, told)
    assert told == expected
    document = json.dumps(told)
    assert [hour for hour in map(int, re.findall(r"said at (\d+)", document)) if hour >= last] == []
    recorded = re.findall(r'"(?:recorded_at|superseded_at)": "([^"]+)"', document)
    assert [time for time in recorded if datetime.fromisoformat(time) > as_of] == []
