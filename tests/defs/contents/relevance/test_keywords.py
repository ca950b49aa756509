"""Which keywords a post names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.contents.relevance.keywords import Keywords, Match, fold

words = st.sampled_from(["agents", "climate", "change", "fire", "人工智能", "gpt-4", "noise", "#agents", "x"])
texts = st.lists(words, min_size=1).map(" ".join)
TOPIC = Keywords(["agents", "climate change", "人工智能", "gpt-4", "forest fire season"])


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("nothing of that", 0),
        ("about agents", 1),
        ("AGENTS!", 1),
        ("ＡＧＥＮＴＳ", 1),
        ("agents and agents", 1),
        ("agents with GPT-4", 2),
        ("agents with GPT-4 in a change of climate", 3),
        ("reagents", 0),
        ("gpt-45", 0),
        ("我爱人工智能技术", 1),
        ("人工智能agents", 2),
        ("#climatechange now", 1),
        ("#climate_change now", 1),
        ("see https://agents.example/gpt-4", 0),
        ("见https://t.co/x人工智能", 1),
        ("agents\x00\ud800", 1),
    ],
)
def test_how_many_keywords_a_text_names(text: str, whole: int) -> None:
    assert TOPIC.match(fold(text)).whole == whole


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("nothing of that", 0.0),
        ("the climate is what it is", 1 / 2),
        ("a forest fire", 2 / 3),
        # "  ag" … "ents ": 7 trigrams of agents, 6 of agent, 5 of both.
        ("an agent of climate", 5 / 8),
        # 8 and 9 trigrams of climate and climates, 7 of both; change and changed 7 and 8, 6 of both.
        ("climates changed", (7 / 10 + 6 / 9) / 2),
        ("agents", 1.0),
    ],
)
def test_how_much_of_a_keyword_a_text_names(text: str, share: float) -> None:
    assert TOPIC.match(fold(text)).share == pytest.approx(share)


def test_short_words_are_not_similar() -> None:
    assert Keywords(["fire"]).match("fires").share == 0


def test_the_named_keywords_in_the_topics_spelling() -> None:
    assert Keywords(["#Agents", "Climate Change", "x"]).named(fold("AGENTS: #climatechange")) == [
        "#Agents",
        "Climate Change",
    ]


def test_keywords_are_the_same_in_any_spelling() -> None:
    assert Keywords(["#Fire", "fire", " FIRE ", '"fire"', None, ""]).match("fire") == Match(1, 1.0)
    assert Keywords(["C++", ".net"]).match(fold("we use C++ and .NET")).whole == 2
    assert Keywords(["c++"]).match("vitamin c") == Match(0, 0.0)
    assert not Keywords([" ", "#"])


def test_folding_leaves_one_spelling() -> None:
    assert fold("A\tＢ \nhttps://x.example/a?b c\u3000d") == "a b c d"


@given(texts, st.lists(words).map(" ".join))
def test_a_post_that_says_more_never_names_less(text: str, more: str) -> None:
    before, after = TOPIC.match(fold(text)), TOPIC.match(fold(f"{text} {more}"))
    assert before.whole <= after.whole
    assert 0 <= before.share <= after.share <= 1


@given(st.text(), st.lists(st.text(), max_size=5))
def test_matches_are_in_range_and_do_not_depend_on_order(text: str, keywords: list[str]) -> None:
    match = Keywords(keywords).match(fold(text))
    assert 0 <= match.share <= 1
    assert match == Keywords(reversed(keywords)).match(fold(text))
