"""Thirty questions about the demo, whose answers are known: asked through the tools, checked exactly."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from temporal_pipeline.crosshot.demo import PLANTED
from temporal_pipeline.crosshot.demo.loading import SUMMARIES
from temporal_pipeline.crosshot.demo.planted import ADA, AI, BATTERIES, TRAINS, XIAOMAN
from temporal_pipeline.crosshot.demo.planted_posts import BURST_BEGINS, EDITED, LUCKY, VANISHING
from temporal_pipeline.query import ContentItem, EffectivenessItem, PeriodItem
from tests.query.demo import NOTE, Demo
from tests.query.world import code, ok

pytestmark = pytest.mark.slow

FACTS = {fact.key: fact for fact in PLANTED}
BURST_ENDS = BURST_BEGINS + timedelta(hours=3)


def periods(demo: Demo, entity: uuid.UUID, **asked: Any) -> list[PeriodItem]:
    return ok(demo.timeline.query_period_timeline(entity, **asked)).items


def posts(demo: Demo, entity: uuid.UUID, **asked: Any) -> list[ContentItem]:
    """All posts, page by page."""
    found: list[ContentItem] = []
    cursor: str | None = None
    while True:
        page = ok(
            demo.timeline.query_contents_by_timerange(
                entity, limit=200, cursor=cursor, **{"max_chars": 100_000} | asked
            )
        )
        found += page.items
        if (cursor := page.next_cursor) is None:
            return found


def post(demo: Demo, entity: uuid.UUID, key: str, **asked: Any) -> ContentItem:
    """A planted post, among those of its day."""
    [identity] = FACTS[key].contents
    [published] = demo.scalars("SELECT published_at FROM contents WHERE id = :id", id=identity)
    day = {"since": published.date(), "until": published.date()}
    [found] = [item for item in posts(demo, entity, **day | asked) if item.content_id == identity]
    return found


def queries(demo: Demo, **asked: Any) -> list[EffectivenessItem]:
    found = ok(demo.timeline.query_effectiveness(BATTERIES, limit=200, max_chars=10**6, **asked)).items
    return [item for item in found if item.period_number == 0]


def test_01_is_there_a_topic_called_solid_state_batteries(demo: Demo) -> None:
    answer = demo.timeline.query_period_timeline("Solid state batteries")
    assert code(answer) == "unknown_entity"
    assert answer.error.choices[0] == "Solid-state batteries"  # type: ignore[union-attr]


def test_02_which_periods_have_the_batteries(demo: Demo) -> None:
    assert [item.period_number for item in periods(demo, BATTERIES)] == [2, 1, 0]


def test_03_which_of_them_were_known_after_the_first_month(demo: Demo) -> None:
    assert [item.period_number for item in periods(demo, BATTERIES, as_of=demo.after_the_month)] == [0]


def test_04_and_after_one_round_more(demo: Demo) -> None:
    assert [item.period_number for item in periods(demo, BATTERIES, as_of=demo.after_one_round)] == [1, 0]


def test_05_what_was_said_of_the_batteries_in_the_first_month(demo: Demo) -> None:
    first = periods(demo, BATTERIES, fields=["summary"])[-1]
    assert first.summary == SUMMARIES["topics"][0]["last_summary"]


def test_06_how_many_posts_had_the_application_counted_then(demo: Demo) -> None:
    first = periods(demo, BATTERIES)[-1]
    assert first.metrics["reported"]["total_contents"] == 1700


def test_07_what_was_the_biggest_thing_in_the_last_week_of_february(demo: Demo) -> None:
    found = ok(
        demo.timeline.search_events(
            BATTERIES, since="2026-02-22", until="2026-02-28", event_type="anomaly", fields=["figures"]
        )
    ).items
    biggest = max(found, key=lambda event: ("info", "warning", "critical").index(event.severity))
    assert biggest.onset == BURST_BEGINS
    assert "Solid-state batteries" in biggest.title


def burst(demo: Demo, **asked: Any) -> Any:
    found = ok(
        demo.timeline.search_events(
            BATTERIES, since=BURST_BEGINS, until=BURST_ENDS, event_type="anomaly", **asked
        )
    )
    [event] = [event for event in found.items if event.onset == BURST_BEGINS]
    return event


def test_08_which_posts_show_it(demo: Demo) -> None:
    event = burst(demo)
    assert len(event.evidence) == 3
    assert {evidence.content_id for evidence in event.evidence} <= set(FACTS["burst"].contents)


def test_09_which_queries_found_the_burst(demo: Demo) -> None:
    found = [
        item
        for item in posts(demo, BATTERIES, since=BURST_BEGINS, until=BURST_ENDS)
        if item.content_id in FACTS["burst"].contents
    ]
    assert {item.found_by for item in found} == {"solid-state battery", "#SolidState"}
    assert [item.found_by for item in found].count("#SolidState") == sum(
        "#SolidState" in (item.text or "") for item in found
    )


def test_10_when_was_it_over(demo: Demo) -> None:
    event = burst(demo)
    assert event.state == "resolved"
    assert BURST_ENDS <= event.resolved_at <= BURST_ENDS + timedelta(hours=12)


def test_11_could_it_be_known_before_the_crawl_that_saw_it(demo: Demo) -> None:
    [crawled] = demo.scalars(
        "SELECT min(crawled_at) FROM contents WHERE id = ANY (:ids)", ids=list(FACTS["burst"].contents)
    )
    assert burst(demo).first_detected_at >= crawled


def test_12_was_it_open_when_the_month_was_recorded(demo: Demo) -> None:
    found = ok(demo.timeline.get_unresolved_events(BATTERIES, as_of=demo.after_the_month)).items
    assert BURST_BEGINS not in [event.onset for event in found]
    assert burst(demo, as_of=demo.after_the_month).state == "resolved"


def test_13_was_the_12th_of_february_a_quiet_day(demo: Demo) -> None:
    found = ok(
        demo.timeline.search_events(BATTERIES, since="2026-02-12", until="2026-02-12", event_type="anomaly")
    )
    assert [event for event in found.items if event.onset and event.onset.day == 12] == []
    answer = ok(demo.timeline.query_contents_by_timerange(BATTERIES, since="2026-02-12", until="2026-02-12"))
    gaps = [notice.message for notice in answer.warnings if notice.code == "crawl_gap"]
    assert [message.partition(" UTC")[0] for message in gaps] == [
        "no crawl covers 2026-02-12 00:00 to 2026-02-12 15:00"
    ]


def test_14_was_the_day_before_it_covered(demo: Demo) -> None:
    answer = ok(demo.timeline.query_contents_by_timerange(BATTERIES, since="2026-02-10", until="2026-02-10"))
    assert [notice for notice in answer.warnings if notice.code == "crawl_gap"] == []


def test_15_which_posts_were_published_in_the_three_hours_of_the_fire(demo: Demo) -> None:
    found = posts(demo, BATTERIES, since=BURST_BEGINS, until=BURST_ENDS)
    published = demo.scalars(
        "SELECT id FROM contents WHERE topic_id = :id AND published_at >= :begins AND published_at < :ends",
        id=BATTERIES,
        begins=BURST_BEGINS,
        ends=BURST_ENDS,
    )
    assert sorted(item.content_id for item in found) == sorted(published)
    assert set(FACTS["burst"].contents) <= set(published)


def test_16_what_did_the_edited_post_say_at_first(demo: Demo) -> None:
    assert post(demo, TRAINS, "edited_post", as_of=demo.after_two_rounds).text == EDITED[0]


def test_17_and_since_its_period_was_analysed_again(demo: Demo) -> None:
    assert post(demo, TRAINS, "edited_post").text == EDITED[1]


def test_18_what_did_the_period_say_before_it_was_analysed_again(demo: Demo) -> None:
    [then] = [
        p
        for p in periods(demo, TRAINS, as_of=demo.after_two_rounds, fields=["summary"])
        if not p.period_number
    ]
    assert (then.period_id, then.summary, then.status, then.superseded_by) == (
        demo.old,
        demo.old_summary,
        "active",
        None,
    )


def test_19_what_took_its_place_and_why(demo: Demo) -> None:
    states = periods(demo, TRAINS, include_superseded=True, fields=["supersession_reason"])[-2:]
    assert [state.period_id for state in states] == [demo.new, demo.old]
    old = states[1]
    assert (old.status, old.superseded_by, old.supersession_reason) == (
        "superseded",
        demo.new,
        "posts were edited",
    )
    assert old.superseded_at == states[0].recorded_at > demo.after_two_rounds


def test_20_how_many_posts_say_something_else_in_the_new_period(demo: Demo) -> None:
    counts = ok(demo.timeline.compare_periods(TRAINS, demo.old, demo.new)).counts
    [members] = demo.scalars(
        "SELECT count(*) FROM period_content_snapshots WHERE period_id = :id", id=demo.old
    )
    assert (counts.contents_came, counts.contents_left, counts.contents_kept) == (0, 0, members)
    # The other edited post was edited back before.
    assert counts.contents_reworded == 1


def test_21_which_query_about_batteries_was_worth_most(demo: Demo) -> None:
    best = queries(demo)[0]
    assert (best.platform, best.query) == (FACTS["good_query"].platform, FACTS["good_query"].query)


def test_22_and_which_one_nothing(demo: Demo) -> None:
    [worst] = [item for item in queries(demo) if item.relevant_count == 0 and item.total_found]
    assert (worst.platform, worst.query) == (FACTS["bad_query"].platform, FACTS["bad_query"].query)
    assert (worst.recommendations or "").startswith("drop")


def test_23_was_the_lucky_query_as_good_as_the_good_one(demo: Demo) -> None:
    [lucky] = queries(demo, text="DENDRITE")
    assert (lucky.total_found, lucky.relevant_count) == (1, 1)
    assert lucky.effectiveness_score is not None
    assert lucky.effectiveness_score < (queries(demo)[0].effectiveness_score or 0)


def test_24_what_found_the_lucky_post(demo: Demo) -> None:
    found = post(demo, BATTERIES, "lucky_query")
    assert (found.text, found.found_by) == (LUCKY, FACTS["lucky_query"].query)


def test_25_what_did_the_post_say_that_vanished_from_her_timeline(demo: Demo) -> None:
    assert post(demo, ADA, "vanishing_post").text == VANISHING


def test_26_what_did_the_application_note_about_lin_xiaoman_by_itself(demo: Demo) -> None:
    [theirs] = [
        p for p in periods(demo, XIAOMAN, fields=["summary"]) if p.summary == "夜里的三篇手账，都在写春天。"
    ]
    found = [item for item in posts(demo, XIAOMAN) if item.period_id == theirs.period_id]
    assert {item.content_id for item in found} == set(FACTS["application_period"].contents)


def test_27_what_is_in_the_long_texts(demo: Demo) -> None:
    article = post(demo, BATTERIES, "long_text")
    assert len(article.text or "") == 12_288
    assert len(post(demo, AI, "long_chinese_text").text or "") == 1_200
    moment = {"since": article.happened_at, "until": article.happened_at + timedelta(seconds=1)}
    page = ok(demo.timeline.query_contents_by_timerange(BATTERIES, **moment))
    assert page.items == []
    assert str(article.content_id) in next(n.message for n in page.warnings if n.code == "item_too_large")


def test_28_what_changed_about_batteries_in_the_last_period(demo: Demo) -> None:
    answer = ok(demo.timeline.compare_periods("Solid-state batteries", max_chars=100_000))
    before, after = demo.scalars(
        "SELECT count(*) FROM period_content_snapshots s JOIN analysis_periods p ON p.id = s.period_id "
        "WHERE p.entity_id = :id AND p.period_number > 0 GROUP BY p.period_number ORDER BY p.period_number",
        id=BATTERIES,
    )
    [total] = [change for change in answer.metrics if change.metric == "total_contents"]
    assert (total.before, total.after, total.change) == (before, after, after - before)
    assert total.change_pct == pytest.approx(100 * (after - before) / before, abs=0.01)
    assert answer.counts.contents_came == len(answer.contents_came) == after


def test_29_which_posts_of_a_month_of_night_trains_are_known(demo: Demo) -> None:
    found = [item.content_id for item in posts(demo, TRAINS)]
    linked = demo.scalars(
        "SELECT id FROM contents WHERE topic_id = :id AND crawled_at < '2100-01-01'", id=TRAINS
    )
    assert len(found) == len(set(found))
    assert set(found) == set(linked)
    assert not set(FACTS["future_crawl"].contents) & set(found)


def test_30_which_notes_were_open_then_as_known_then(demo: Demo) -> None:
    def titles(as_of: datetime | None) -> list[str]:
        found = ok(demo.timeline.get_unresolved_events("Tidal energy", as_of=as_of)).items
        return [event.title for event in found if event.event_type == "observation"]

    assert titles(demo.after_two_rounds) == []
    assert titles(demo.while_the_note_was_open) == [NOTE]
    assert titles(None) == []


def test_there_are_thirty() -> None:
    numbered = sorted(name[5:7] for name in globals() if name.startswith("test_") and name[5:7].isdigit())
    assert numbered == [f"{n:02d}" for n in range(1, 31)]
