"""`query_contents_by_timerange`: the posts of some time, as they were frozen."""

import uuid

import pytest
from sqlalchemy import text

from temporal_pipeline.database import Database
from temporal_pipeline.query import Contents, Timeline
from tests.crosshot_rows import add_content, add_task, add_topic, add_user, at
from tests.query.world import add_event, add_period, add_snapshot, insert, ok, supersede


def ids(page: Contents) -> list[uuid.UUID]:
    return [item.content_id for item in page.items]


@pytest.fixture
def topic(database: Database) -> uuid.UUID:
    with database.transaction() as c:
        topic = add_topic(c)
        add_period(c, topic, 0, 0, 12)
    return topic


def add_post(
    database: Database, topic: uuid.UUID, period: uuid.UUID, published: float, crawled: float
) -> uuid.UUID:
    """A post of a topic, frozen an hour after its crawl."""
    with database.transaction() as c:
        post = add_content(c, topic=topic, crawled_at=at(crawled), text="as it is now")
        c.execute(
            text("UPDATE contents SET published_at = :at WHERE id = :id"), {"at": at(published), "id": post}
        )
        add_snapshot(c, period, post, at(crawled + 1), relevance_score=0.5)
    return post


def period_of(timeline: Timeline, topic: uuid.UUID) -> uuid.UUID:
    return ok(timeline.query_period_timeline(topic)).items[0].period_id


def test_posts_of_a_window_by_publication_newest_first(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    period = period_of(timeline, topic)
    early, late, later = (add_post(database, topic, period, hour, 11) for hour in (1, 5, 9))
    assert ids(ok(timeline.query_contents_by_timerange(topic))) == [later, late, early]
    assert ids(ok(timeline.query_contents_by_timerange(topic, since=at(1), until=at(9)))) == [late, early]
    [item] = ok(timeline.query_contents_by_timerange(topic, since=at(9), as_of=at(20))).items
    assert (item.text, item.relevance, item.found_by) == ("as it was", 0.5, "agents")
    assert (item.happened_at, item.recorded_at, item.period_number) == (at(9), at(12), 0)
    assert item.age == "11 hours ago"


def test_reactions_are_told_only_of_now(timeline: Timeline, database: Database, topic: uuid.UUID) -> None:
    add_post(database, topic, period_of(timeline, topic), 5, 6)
    [now] = ok(timeline.query_contents_by_timerange(topic, fields=["engagement"])).items
    assert now.engagement == {"like_count": 1, "retweet_count": 0, "reply_count": 0}
    [then] = ok(timeline.query_contents_by_timerange(topic, fields=["engagement"], as_of=at(20))).items
    assert then.engagement is None


def test_what_was_frozen_later_was_not_known(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    period = period_of(timeline, topic)
    known = add_post(database, topic, period, 1, 11)
    add_post(database, topic, period, 2, 30)
    assert ids(ok(timeline.query_contents_by_timerange(topic, as_of=at(12)))) == [known]


def test_after_a_reanalysis_there_is_the_new_text_and_before_it_the_old_one(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    old = period_of(timeline, topic)
    post = add_post(database, topic, old, 5, 6)
    with database.transaction() as c:
        new = supersede(c, old, at(50))
        add_snapshot(c, new, post, at(50), text_snapshot="as it became")
    [now] = ok(timeline.query_contents_by_timerange(topic)).items
    [then] = ok(timeline.query_contents_by_timerange(topic, as_of=at(49))).items
    assert (now.text, now.period_id, then.text, then.period_id) == ("as it became", new, "as it was", old)


def test_a_user_sees_what_it_shares_with_a_topic(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    period = period_of(timeline, topic)
    with database.transaction() as c:
        user = add_user(c)
        own = add_period(c, user, 0, 0, 12, entity_type="user")
        post = add_content(c, topic=topic, user=user, crawled_at=at(6))
        add_snapshot(c, own, post, at(12))
        add_snapshot(c, period, post, at(12))
    [item] = ok(timeline.query_contents_by_timerange(user)).items
    assert (item.content_id, item.period_id) == (post, own)
    assert ids(ok(timeline.query_contents_by_timerange(topic))) == [post]


def test_pages_do_not_repeat_or_skip_posts_of_one_moment(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    period = period_of(timeline, topic)
    posts = {add_post(database, topic, period, 5, 6) for _ in range(7)}
    seen: list[uuid.UUID] = []
    cursor = None
    while True:
        page = ok(timeline.query_contents_by_timerange(topic, limit=2, cursor=cursor))
        seen += ids(page)
        add_post(database, topic, period, 8, 9)
        if (cursor := page.next_cursor) is None:
            break
    assert len(seen) == 7
    assert set(seen) == posts


def test_an_item_without_room_is_left_out_by_name_and_the_rest_follows(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    period = period_of(timeline, topic)
    small, large, last = (add_post(database, topic, period, hour, 11) for hour in (3, 5, 7))
    with database.transaction() as c:
        c.execute(
            text(
                "UPDATE period_content_snapshots SET text_snapshot = repeat('x', 5000) WHERE content_id = :id"
            ),
            {"id": large},
        )
    first = ok(timeline.query_contents_by_timerange(topic, max_chars=2000))
    assert (ids(first), first.truncated) == ([last], True)
    second = ok(timeline.query_contents_by_timerange(topic, max_chars=2000, cursor=first.next_cursor))
    assert (ids(second), second.truncated) == ([], True)
    [told] = [notice for notice in second.warnings if notice.code == "item_too_large"]
    assert str(large) in told.message
    third = ok(timeline.query_contents_by_timerange(topic, max_chars=2000, cursor=second.next_cursor))
    assert (ids(third), third.truncated, third.next_cursor) == ([small], False, None)
    assert all(len(page.to_json()) <= 2000 for page in (first, second, third))


def test_an_answer_has_no_more_characters_than_asked_for_and_as_many_items_as_fit(
    timeline: Timeline, database: Database, topic: uuid.UUID
) -> None:
    period = period_of(timeline, topic)
    for _ in range(9):
        add_post(database, topic, period, 5, 6)
    pages = [ok(timeline.query_contents_by_timerange(topic, limit=count)) for count in range(1, 10)]
    for page in pages:
        length = len(page.to_json())
        fitting = ok(timeline.query_contents_by_timerange(topic, max_chars=length))
        assert ids(fitting) == ids(page)
        assert (fitting.truncated, fitting.next_cursor) == (page.truncated, page.next_cursor)
        smaller = ok(timeline.query_contents_by_timerange(topic, max_chars=length - 1))
        assert len(smaller.items) == len(page.items) - 1
        assert smaller.truncated
        assert smaller.next_cursor or not smaller.items
    assert not pages[-1].truncated


@pytest.mark.parametrize("never", ["infinity", "-infinity"])
def test_times_of_recording_that_no_calendar_has_are_shown_as_the_nearest(
    timeline: Timeline, database: Database, topic: uuid.UUID, never: str
) -> None:
    period = period_of(timeline, topic)
    add_post(database, topic, period, 5, 6)
    with database.transaction() as c:
        add_event(c, period, topic, 5)
        measured = {
            "period_id": period,
            "entity_type": "topic",
            "entity_id": topic,
            "platform": "x",
            "query": "q",
        }
        insert(c, "crawl_effectiveness", measured)
        for table in ("period_content_snapshots", "temporal_events", "crawl_effectiveness"):
            c.execute(text(f"UPDATE {table} SET created_at = '{never}'"))
    nearest = 9998 if never == "infinity" else 1970
    for ask in (
        timeline.query_contents_by_timerange,
        timeline.search_events,
        timeline.query_effectiveness,
    ):
        [item] = ok(ask(topic)).items  # type: ignore[operator]
        assert item.recorded_at.year == nearest


def test_where_no_crawl_looked_silence_is_no_news(timeline: Timeline, database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        period = add_period(c, topic, 0, 0, 48)
        for hour in (6, 12, 30, 36, 42, 48):
            task = add_task(c, topic=topic, started_at=at(hour))
            post = add_content(c, task=task, topic=topic, crawled_at=at(hour))
            add_snapshot(c, period, post, at(48))
    page = ok(timeline.query_contents_by_timerange(topic, since=at(12), until=at(48)))
    [gap] = [notice for notice in page.warnings if notice.code == "crawl_gap"]
    assert "no crawl covers 2026-01-05 12:01 to 2026-01-05 21:" in gap.message
    page = ok(timeline.query_contents_by_timerange(topic, since=at(30), until=at(48)))
    assert page.warnings == []
