"""Every documented column of a period has a value, or a documented null."""

from sqlalchemy import text

from temporal_pipeline.database import Database
from tests.crosshot_rows import add_chat_message, add_content, add_task, add_topic, at
from tests.defs.periods.world import cut, periods_of, rows

SAID = {
    "metrics": {"total_contents": 99},
    "insights": [{"text": "It grows.", "sentiment": "positive"}, {"text": "", "sentiment": "x"}],
    "knowledge": "one\ntwo",
}


def test_period_zero_keeps_what_the_application_said(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c, last_summary="Agents are busy.", summary_data=SAID)
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    [period] = periods_of(database, topic)
    assert period.summary == period.summary_short == "Agents are busy."
    assert period.insights == {"items": [{"text": "It grows.", "sentiment": "positive"}]}
    assert (period.knowledge_doc, period.knowledge_version, period.knowledge_diff) == ("one\ntwo", 1, None)
    assert period.metrics["reported"] == {"total_contents": 99}
    assert period.metrics["total_contents"] == 1
    assert period.metrics_delta == {}


def test_a_text_of_the_application_is_used_once_and_then_computed(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c, last_summary="Agents are busy.", summary_data=SAID)
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    with database.transaction() as c:
        add_content(c, topic=topic, crawled_at=at(7), text="a rollback")
        c.execute(text('UPDATE topics SET summary_data = \'{"knowledge_doc": "one\\nthree"}\''))
    cut(database)
    _, one = periods_of(database, topic)
    assert one.summary.startswith("AI agents: 1 post by 1 author")
    assert len(one.summary_short) <= 200
    assert (one.knowledge_version, one.knowledge_diff) == (2, {"added": ["three"], "removed": ["two"]})


def test_figures_take_nonsense_as_missing_and_report_it(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        nonsense = ["NaN", "12k", -5, True, {"n": 1}]
        for value in [3, "4", None, *nonsense]:
            add_content(c, topic=topic, crawled_at=at(1), metrics={"like_count": value}, author_uid="7")
        add_content(c, topic=topic, crawled_at=at(3), metrics={}, author_uid="8", data={"media": [{}]})
    cut(database)
    [period] = periods_of(database, topic)
    assert period.metrics["total_likes"] == 7
    assert period.metrics["total_views"] == 0
    assert period.metrics["platforms"] == {"x": 9}
    assert period.metrics["unique_authors"] == 2
    assert period.metrics["with_media_pct"] == 11.1
    assert period.metrics["contents_per_hour"] == 4.5
    assert period.execution_log["contents_with_nonsense_metrics"] == len(nonsense)
    assert period.duration_hours == (period.period_end - period.period_start).total_seconds() / 3600


def test_the_delta_has_plain_numbers_and_no_percentage_without_a_previous_value(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1), metrics={"like_count": 4})
    cut(database)
    with database.transaction() as c:
        for _ in range(3):
            add_content(c, topic=topic, crawled_at=at(7), metrics={"like_count": 2, "reply_count": 1})
    cut(database)
    _, one = periods_of(database, topic)
    assert one.metrics_delta["total_likes"] == 2
    assert one.metrics_delta["pct"]["total_likes"] == 50
    assert one.metrics_delta["total_replies"] == 3
    assert "total_replies" not in one.metrics_delta["pct"]


def test_tasks_and_messages_of_the_interval_are_linked(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        full = add_task(c, topic=topic, started_at=at(1), found=5)
        empty = add_task(c, topic=topic, started_at=at(0.5), found=0)
        failed = add_task(c, topic=topic, started_at=at(0.7), status="failed")
        pending = add_task(c, topic=topic)
        later = add_task(c, topic=topic, started_at=at(9))
        other = add_task(c, topic=topic, started_at=at(1), label="analyst:analyze")
        add_content(c, task=full, topic=topic, crawled_at=at(1.01))
        add_chat_message(c, topic=topic, created_at=at(1), content="What happened?")
        add_chat_message(c, topic=topic, created_at=at(9), content="And now?")
    cut(database)
    [period] = periods_of(database, topic)
    assert period.tasks_dispatched == [empty, failed, full]
    assert period.tasks_summary == {"crawler:x": {"runs": 3, "found": 5, "failed": 1}}
    assert period.chat_summary == "1 message, 1 of them questions. The latest: “What happened?”"
    unlinked = rows(database, "SELECT id FROM tasks WHERE period_id IS NULL")
    assert {row.id for row in unlinked} == {pending, later, other}
    [counted] = rows(database, "SELECT count(period_id) AS n FROM chat_messages")
    assert counted.n == 1


def test_a_pending_task_whose_contents_are_in_the_period_is_linked(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        pending = add_task(c, topic=topic)
        add_content(c, task=pending, topic=topic, crawled_at=at(1))
    cut(database)
    [period] = periods_of(database, topic)
    assert period.tasks_dispatched == [pending]


def test_completeness_is_the_share_of_time_that_crawls_cover(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        for hour in (0, 6, 30):
            task = add_task(c, topic=topic, started_at=at(hour), minutes=0)
            add_content(c, task=task, topic=topic, crawled_at=at(hour))
    cut(database)
    [period] = periods_of(database, topic)
    # From 6 to 30 only the last 9 hours, 1.5 intervals, are covered.
    assert abs(period.completeness_score - 15 / 30) < 1e-6
    assert "No crawl covers 50% of this time" in period.summary


def test_quality_is_the_share_of_members_with_text_metrics_and_publication_time(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1), published_at=None)
        whole = add_content(c, topic=topic, crawled_at=at(1))
        c.execute(text("UPDATE contents SET published_at = now() WHERE id = :id"), {"id": whole})
    cut(database)
    [period] = periods_of(database, topic)
    assert period.quality_score == 0.5


def test_every_column_has_a_value_or_a_documented_null(database: Database) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
        add_content(c, topic=topic, crawled_at=at(1))
    cut(database)
    [period] = periods_of(database, topic)
    nulls = {name for name, value in period._mapping.items() if value is None}
    documented = {"superseded_by", "supersession_reason", "chat_summary", "knowledge_doc", "knowledge_diff"}
    assert nulls == documented
