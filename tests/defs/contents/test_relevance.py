"""The score of a post against a topic's keywords."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.contents.relevance import NO_KEYWORDS, NO_TEXT, NO_TOPIC, Keywords, assess

words = st.sampled_from(["agents", "climate", "change", "fire", "人工智能", "gpt-4", "noise", "#agents", "x"])
texts = st.lists(words, min_size=1).map(" ".join)
TOPIC = Keywords(["agents", "climate change", "人工智能", "gpt-4", "forest fire season"])


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("nothing of that", 0.0),
        ("about agents", 0.7),
        ("AGENTS!", 0.7),
        ("ＡＧＥＮＴＳ", 0.7),
        ("agents and agents", 0.7),
        ("agents with GPT-4", 0.85),
        ("agents with GPT-4 in a change of climate", 0.925),
        ("reagents", 0.0),
        ("gpt-45", 0.0),
        ("我爱人工智能技术", 0.7),
        ("人工智能agents", 0.85),
        ("the climate is what it is", 0.35),
        ("a forest fire", 0.7 * 2 / 3),
        ("#climatechange now", 0.7),
        ("#climate_change now", 0.7),
        ("see https://agents.example/gpt-4", 0.0),
        ("见https://t.co/x人工智能", 0.7),
        ("agents\x00\ud800", 0.7),
    ],
)
def test_what_a_text_is_worth(text: str, score: float) -> None:
    assert TOPIC.score(text) == pytest.approx(score)


def test_one_keyword_is_relevant_and_two_are_of_high_value() -> None:
    """Exactly: the thresholds 0.7 and 0.85 are compared with these very numbers."""
    one, two = TOPIC.score("agents"), TOPIC.score("agents gpt-4")
    assert one is not None
    assert two is not None
    assert one >= 0.7
    assert two >= 0.85


def test_hashtags_count_but_not_twice() -> None:
    assert TOPIC.score("look", "agents gpt-4") == pytest.approx(0.85)
    assert TOPIC.score("agents", "agents") == pytest.approx(0.7)


def test_keywords_are_the_same_in_any_spelling() -> None:
    assert Keywords(["#Fire", "fire", " FIRE ", '"fire"', None, ""]).score("fire") == pytest.approx(0.7)
    assert Keywords(["C++", ".net"]).score("we use C++ and .NET") == pytest.approx(0.85)
    assert Keywords(["c++"]).score("vitamin c") == 0


@pytest.mark.parametrize("text", [None, "", " \n\t"])
def test_no_text_has_no_score(text: str | None) -> None:
    assert TOPIC.score(text, "agents") is None


def test_why_there_is_no_score() -> None:
    assert assess(None, "agents", "") == (None, NO_TOPIC)
    assert assess(Keywords([" ", "#"]), "agents", "") == (None, NO_KEYWORDS)
    assert assess(TOPIC, None, "") == (None, NO_TEXT)
    assert assess(TOPIC, "agents", "") == (0.7, None)


@given(texts, st.lists(words).map(" ".join))
def test_a_post_that_says_more_never_scores_less(text: str, more: str) -> None:
    before, after = TOPIC.score(text), TOPIC.score(f"{text} {more}")
    assert before is not None
    assert after is not None
    assert 0 <= before <= after <= 1


@given(st.text(), st.text(), st.lists(st.text(), max_size=5))
def test_scores_are_in_range_and_deterministic_for_any_text(
    text: str, hashtags: str, keywords: list[str]
) -> None:
    score = Keywords(keywords).score(text, hashtags)
    assert score is None or 0 <= score <= 1
    assert score == Keywords(reversed(keywords)).score(text, hashtags)


def test_a_core_scores_twenty_thousand_short_posts_per_second() -> None:
    """Measured 120,000 on real posts; CPU time, so that a busy machine does not matter."""
    posts = [
        f"post {i} about forest fire season 人工智能 https://x.example/{i} #agents" for i in range(20_000)
    ]
    started = time.process_time()
    for post in posts:
        TOPIC.score(post)
    assert time.process_time() - started < 1
