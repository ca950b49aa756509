"""Which contents are linked to which period, and where a period begins and ends."""

from datetime import UTC, datetime, timedelta

import pytest

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods import cutting
from tests.crosshot_rows import add_content, add_topic, add_user, at, mark_prepared
from tests.defs.periods.world import cut, digest, members, periods_of, pointer, rows

MICROSECOND = timedelta(microseconds=1)


def test_a_content_belongs_to_its_owners_and_points_to_the_primary_one(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c)
        of_topic = add_content(c, topic=topic, crawled_at=at(1))
        of_user = add_content(c, user=user, crawled_at=at(2))
        of_both = add_content(c, topic=topic, user=user, crawled_at=at(3))
        of_none = add_content(c, crawled_at=at(4))
    report = cut(database)
    [of_the_topic], [of_the_user] = periods_of(database, topic), periods_of(database, user)
    assert pointer(database, of_topic) == pointer(database, of_both) == of_the_topic.id
    assert pointer(database, of_user) == of_the_user.id
    assert pointer(database, of_none) is None
    assert members(database, of_the_topic.id) == {of_topic, of_both}
    assert members(database, of_the_user.id) == {of_user, of_both}
    assert (of_the_topic.content_count, of_the_user.content_count) == (2, 2)
    assert (report.linked, report.unowned) == (3, 1)


def test_period_zero_contains_its_contents_and_ends_with_the_last_crawl(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c, last_crawl_at=at(5))
        add_content(c, topic=topic, crawled_at=at(1))
        add_content(c, topic=topic, crawled_at=at(3))
    cut(database)
    [period] = periods_of(database, topic)
    assert (period.period_start, period.period_end) == (at(1), at(5))


@pytest.mark.parametrize("last_crawl_at", [at(-9), None, datetime(2100, 1, 1, tzinfo=UTC)])
def test_period_zero_is_never_empty_or_inverted(database: Database, last_crawl_at: datetime | None) -> None:
    with database.transaction() as c:
        topic = add_topic(c, last_crawl_at=last_crawl_at)
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    [period] = periods_of(database, topic)
    assert (period.period_start, period.period_end) == (at(1), at(1) + MICROSECOND)


def test_the_last_crawl_of_an_owner_that_was_only_drawn_in_does_not_count(database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c), add_user(c, last_crawl_at=at(9))
        add_content(c, topic=topic, user=user, crawled_at=at(1))
    cut(database)
    [period] = periods_of(database, user)
    assert period.period_end == at(1) + MICROSECOND


def test_periods_follow_each_other_without_a_gap_and_never_reach_beyond_the_data(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(7))
    cut(database)
    zero, one = periods_of(database, topic)
    assert (zero.period_number, one.period_number) == (0, 1)
    assert one.period_start == zero.period_end
    assert one.period_end == at(7) + MICROSECOND


def test_all_periods_of_a_cut_have_its_instant(database: Database) -> None:
    with database.transaction() as c:
        for name in ("a", "b", "c"):
            add_content(c, topic=add_topic(c, name=name), crawled_at=at(1))
    cut(database)
    [row] = rows(
        database,
        "SELECT count(DISTINCT analyzed_at) AS instants, bool_and(p.analyzed_at = c.instant) AS is_cut "
        "FROM analysis_periods p, temporal_pipeline.cut c",
    )
    assert (row.instants, row.is_cut) == (1, True)


def test_a_late_arrival_goes_to_the_next_period(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(10))
    cut(database)
    with database.transaction() as c:
        late = add_content(c, topic=topic, crawled_at=at(2))
    cut(database)
    zero, one = periods_of(database, topic)
    assert pointer(database, late) == one.id
    assert one.period_start == zero.period_end
    assert one.period_end == one.period_start + MICROSECOND
    assert one.metrics["contents_per_hour"] is None
    [topic_row] = rows(database, "SELECT avg_period_duration_hours FROM topics")
    assert topic_row.avg_period_duration_hours is None


def test_a_run_with_nothing_new_writes_nothing(database: Database) -> None:
    with database.transaction() as c:
        add_content(c, topic=add_topic(c), crawled_at=at(1))
    cut(database)
    before = digest(database)
    report = cut(database)
    assert digest(database) == before
    assert (report.linked, list(report.periods)) == (0, [])


def test_a_run_makes_one_cut_and_reports_it_again(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
        mark_prepared(c)
    first = cutting.perform_cut(database, "run")
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(2))
        mark_prepared(c)
    second = cutting.perform_cut(database, "run")
    assert list(second.periods) == list(first.periods)
    assert second.linked == 0
