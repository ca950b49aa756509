"""What is known of a topic, and what was known at a time."""

from datetime import datetime
from typing import Any

from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.entities import Entity
from temporal_pipeline.query import Timeline
from tests.query.world import ok

# Evidence that a later search replaced is not there any more.
OVERWRITTEN = ("evidence", "evidence_count")


def moment(database: Database) -> datetime:
    """A time of recording: what came before it is known, what comes after it is not."""
    with database.transaction() as connection:
        now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now


def told(database: Database, topic: Entity, as_of: datetime | None = None) -> dict[str, Any]:
    """Everything that can be asked of it, as JSON."""
    timeline = Timeline(database)
    everything: dict[str, Any] = {"as_of": as_of, "limit": 200, "max_chars": 10**6}
    asked = {
        "periods": timeline.query_period_timeline(
            topic.id, fields=["summary", "metrics", "metrics_delta"], **everything
        ),
        "contents": timeline.query_contents_by_timerange(topic.id, **everything),
        "open": timeline.get_unresolved_events(topic.id, **everything),
        "events": timeline.search_events(topic.id, **everything),
        "effectiveness": timeline.query_effectiveness(topic.id, **everything),
    }
    return {kind: [item.to_dict() for item in ok(answer).items] for kind, answer in asked.items()}


def assert_nothing_later(then: dict[str, Any], now: dict[str, Any]) -> None:
    """What is told now as of a time is what was told at that time; null where it was overwritten since."""
    for kind in ("periods", "contents"):
        assert now[kind] == then[kind]
    for kind in ("open", "events", "effectiveness"):
        assert _named(now[kind]).keys() == _named(then[kind]).keys()
        for name, earlier in _named(then[kind]).items():
            for key, value in _named(now[kind])[name].items():
                was = earlier[key]
                assert value in (was, None) or key in OVERWRITTEN, key


def _named(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item.get("event_id") or item["effectiveness_id"]: item for item in items}
