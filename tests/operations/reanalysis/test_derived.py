"""What depends on a period is made anew with it, and nothing of the old one is lost or told twice."""

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.searching import detect_events
from temporal_pipeline.operations.verification import verify
from tests.crosshot_rows import at
from tests.defs.events.world import crawl_hour
from tests.defs.periods.world import rows
from tests.operations.reanalysis.asked import assert_nothing_later, moment, told
from tests.operations.reanalysis.world import NOTE, World, add_note, again, content, events_of, update

BURST_KEY = "volume_up"


def test_all_of_it_is_made_anew_once_and_the_old_stays(database: Database, world: World) -> None:
    before = told(database, world.topic)
    old_events = events_of(database, world.topic)
    done = again(database, world.topic)
    assert (done.failed, done.is_resumed) == ((), False)
    assert done.pair.content_count == done.pair.old_content_count
    after = told(database, world.topic)
    assert [p["period_id"] for p in after["periods"]] == [
        before["periods"][0]["period_id"],
        str(done.pair.id),
    ]
    for kind, same in {
        "contents": ("content_id", "text"),
        "open": ("title", "severity", "state", "onset", "first_detected_at", "period_number"),
        "events": ("title", "severity", "state", "onset", "first_detected_at", "period_number"),
        "effectiveness": ("period_number", "query", "effectiveness_score", "total_found"),
    }.items():
        assert [[i[key] for key in same] for i in after[kind]] == [
            [i[key] for key in same] for i in before[kind]
        ]
    assert {i["period_id"] for kind in ("events", "effectiveness") for i in after[kind]} <= {
        i["period_id"] for i in after["periods"]
    }
    assert {event.id for event in old_events} <= {event.id for event in events_of(database, world.topic)}
    kept = "SELECT query FROM crawl_effectiveness WHERE period_id = :id"
    assert rows(database, kept, id=done.pair.old) == rows(database, kept, id=done.pair.id)
    assert [claim for claim in verify(database) if claim.verdict != "holds"] == []


def test_an_open_event_is_open_once(database: Database, world: World) -> None:
    again(database, world.topic)
    burst = [e for e in events_of(database, world.topic) if e.metadata.get("key") == BURST_KEY]
    assert [(e.status, e.resolved_at is None, e.metadata["state"]) for e in burst] == [
        ("superseded", False, "superseded"),
        ("active", True, burst[1].metadata["state"]),
    ]
    open_of_view = (
        "SELECT unresolved_event_count FROM v_period_timeline WHERE entity_id = :id ORDER BY period_number"
    )
    counts = [row.unresolved_event_count for row in rows(database, open_of_view, id=world.topic.id)]
    assert sum(counts) == len(
        rows(
            database,
            "SELECT FROM temporal_events WHERE entity_id = :id AND resolved_at IS NULL",
            id=world.topic.id,
        )
    )


def test_what_a_person_noted_goes_along_and_was_where_it_was(database: Database, world: World) -> None:
    before = moment(database)
    done = again(database, world.topic)
    [note] = [e for e in events_of(database, world.topic) if e.title == NOTE]
    assert (note.period_id, note.resolved_at) == (done.pair.id, None)
    [then] = [e for e in told(database, world.topic, before)["open"] if e["title"] == NOTE]
    assert then["period_id"] == str(done.pair.old)
    # One that was begun before and written after.
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE temporal_events SET period_id = :old WHERE id = :id"),
            {"old": done.pair.old, "id": note.id},
        )
    [now] = [e for e in told(database, world.topic)["open"] if e["title"] == NOTE]
    assert now["period_id"] == str(done.pair.id)
    again(database, world.topic, reason="once more")
    [note] = [e for e in events_of(database, world.topic) if e.title == NOTE]
    assert note.status == "active"


@pytest.mark.parametrize("is_known", [False, True])
def test_what_a_person_dismissed_stays_dismissed(database: Database, world: World, *, is_known: bool) -> None:
    with database.transaction() as connection:
        connection.execute(
            text(
                "UPDATE temporal_events SET resolved_at = now(), resolution_note = 'expected' "
                "WHERE metadata->>'key' = :key"
            ),
            {"key": BURST_KEY},
        )
    if is_known:
        with database.transaction() as connection:
            crawl_hour(connection, 24, 2, topic=world.topic.id)
        update(database)
    done = again(database, world.topic)
    [burst] = [e for e in events_of(database, world.topic) if e.metadata.get("key") == BURST_KEY]
    assert (burst.period_id, burst.resolution_note) == (done.pair.id, "expected")
    detect_events(database, "later")
    assert len([e for e in events_of(database, world.topic) if e.metadata.get("key") == BURST_KEY]) == 1


def test_as_of_before_it_everything_is_as_it_was(database: Database, world: World) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE contents SET text = 'edited', metrics = '{\"like_count\": 7}'"))
    moments = []
    for reason in ("first", "second"):
        known = moment(database)
        moments.append((known, told(database, world.topic, known)))
        again(database, world.topic, reason=reason)
    again(database, world.topic, number=1)
    with database.transaction() as connection:
        for hour in range(24, 34):
            crawl_hour(connection, hour, 2, topic=world.topic.id)
    update(database)
    for known, then in moments:
        assert_nothing_later(then, told(database, world.topic, known))


def test_a_judgement_that_was_changed_since_is_not_told_of_before(database: Database, world: World) -> None:
    before = moment(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE contents SET relevance_score = 0.99"))
    again(database, world.topic)
    [latest, *_] = told(database, world.topic)["effectiveness"]
    [then, *_] = told(database, world.topic, before)["effectiveness"]
    assert latest["period_number"] == then["period_number"] == 1
    assert latest["effectiveness_score"] is not None
    assert (then["effectiveness_score"], then["recommendations"]) == (None, None)
    assert then["total_found"] == latest["total_found"]


def test_twice_in_a_row_makes_a_chain(database: Database, world: World) -> None:
    first = again(database, world.topic)
    second = again(database, world.topic)
    assert second.pair.old == first.pair.id
    assert not second.is_resumed
    chain = "SELECT id, superseded_by FROM analysis_periods WHERE entity_id = :id AND period_number = 0"
    assert {row.id: row.superseded_by for row in rows(database, chain, id=world.topic.id)} == {
        first.pair.old: first.pair.id,
        first.pair.id: second.pair.id,
        second.pair.id: None,
    }
    active = [event for event in events_of(database, world.topic) if event.status == "active"]
    assert len(active) == len(told(database, world.topic)["events"])


def test_the_user_of_shared_posts_keeps_them(database: Database, world: World) -> None:
    before = content(database)
    again(database, world.topic)
    again(database, world.user)
    after = content(database)
    assert len(after["contents"]) == len(before["contents"])
    assert not [row for row in after["contents"] if "None" in row]
    assert [claim for claim in verify(database) if claim.verdict != "holds"] == []


def test_a_resolved_event_is_found_again_and_the_trend_view_follows(database: Database, world: World) -> None:
    with database.transaction() as connection:
        for hour in range(24, 34):
            crawl_hour(connection, hour, 2, topic=world.topic.id)
    update(database)
    add_note(database, world.topic.id, number=2)
    before = told(database, world.topic)
    for number in (2, 0, 1):
        again(database, world.topic, number=number)
    after = told(database, world.topic)
    shown = ("title", "severity", "state", "onset", "resolved_at", "period_number", "first_detected_at")
    assert [[e[k] for k in shown] for e in after["events"]] == [
        [e[k] for k in shown] for e in before["events"]
    ]
    assert rows(database, "SELECT max(period_number) AS n FROM mv_period_metrics_trend")[0].n == 2
    assert at(20).isoformat() in str([e["onset"] for e in after["events"]]).replace("Z", "+00:00")
