"""The sentences of a period, without a database."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from temporal_pipeline.defs.periods.narrative import (
    PeriodFacts,
    application_insights,
    chat_summary,
    knowledge_diff,
    summary,
    summary_short,
)

FACTS = PeriodFacts(
    entity_name="AI agents",
    number=1,
    start=datetime(2026, 1, 5, tzinfo=UTC),
    end=datetime(2026, 1, 5, 6, tzinfo=UTC),
    metrics={
        "total_contents": 60,
        "unique_authors": 20,
        "contents_per_hour": 10.0,
        "avg_relevance": 0.8,
        "relevant_count": 40,
    },
    previous={"contents_per_hour": 4.0},
    rising=[("outage", 12), ("rollback", 5)],
    leading=[("ada", "It is down again", 1200.0)],
    completeness=1.0,
    late_arrivals=0,
)


def test_a_summary_tells_volume_terms_and_the_leading_post() -> None:
    assert summary(FACTS) == (
        "AI agents: 60 posts by 20 authors, 2026-01-05 00:00 to 2026-01-05 06:00 UTC; 10 posts/h against 4 "
        "before (+150%). 40 posts relevant, 0.80 on average. Rising: outage (12), rollback (5). Leading post "
        "by ada (1,200 reactions): “It is down again”"
    )


def test_a_small_change_is_told_as_none() -> None:
    assert "about as many as before" in summary(replace(FACTS, previous={"contents_per_hour": 9.0}))


@pytest.mark.parametrize("before", [None, {}, {"contents_per_hour": None}, {"contents_per_hour": 0}])
def test_without_a_rate_before_nothing_is_compared(before: dict[str, object] | None) -> None:
    assert "%)" not in summary(replace(FACTS, previous=before))


def test_gaps_and_late_arrivals_are_told() -> None:
    text = summary(replace(FACTS, completeness=0.5, late_arrivals=2))
    assert "No crawl covers 50% of this time" in text
    assert "2 posts crawled earlier came in late." in text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("Short.", "Short."),
        ("a" * 100 + ". " + "b" * 150, "a" * 100 + "."),
        ("word " * 60, ("word " * 39).strip() + "…"),
        ("长" * 300, "长" * 199 + "…"),
    ],
)
def test_a_short_summary_ends_with_a_sentence_or_a_word(text: str, short: str) -> None:
    assert summary_short(text) == short
    assert len(short) <= 200


@pytest.mark.parametrize(
    ("said", "items"),
    [
        ([{"text": "up", "sentiment": "positive"}], [("up", "positive")]),
        ({"items": [{"text": "up"}]}, [("up", "neutral")]),
        ({"first": {"text": "a"}, "second": "b"}, [("a", "neutral"), ("b", "neutral")]),
        (["plain", {"no": "text"}, 7], [("plain", "neutral")]),
        ("nonsense", None),
        ([], None),
        (None, None),
    ],
)
def test_insights_of_the_application_come_in_one_shape(
    said: object, items: list[tuple[str, str]] | None
) -> None:
    found = application_insights(said)
    assert (found and [(i["text"], i["sentiment"]) for i in found["items"]]) == items


def test_a_knowledge_diff_names_lines_that_came_and_went() -> None:
    assert knowledge_diff("a\nb", "b\nc") == {"added": ["c"], "removed": ["a"]}
    assert knowledge_diff("a", "a") is None
    assert knowledge_diff(None, "a") is None


def test_no_message_has_no_summary() -> None:
    assert chat_summary(0, 0, None) is None
