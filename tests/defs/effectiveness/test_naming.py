"""What a task asked for, in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.effectiveness.naming import (
    LONGEST_FORM,
    NO_QUERY,
    REPLIES,
    Parts,
    normal_form,
    parts_of,
    platform_of,
    query_of,
    similarity,
)


@pytest.mark.parametrize(
    ("action", "asked", "username", "widened", "query"),
    [
        ("search", "agents", None, "agents -is:retweet", "agents"),
        ("search", "  two\n words ", None, None, "two words"),
        ("search", None, None, "agents -is:retweet -is:reply", "agents"),
        ("search", " ", None, " agents ", "agents"),
        ("search", None, None, None, "(no query)"),
        ("search", "cats -is:retweet dogs", None, None, "cats -is:retweet dogs"),
        ("timeline", None, "ada", None, "from:ada"),
        ("timeline", None, "@ada ", None, "from:ada"),
        ("timeline", None, None, None, "(no query)"),
        ("tweet", None, None, None, "(replies)"),
        (None, "agents", None, None, "agents"),
        (None, None, None, None, "(no query)"),
    ],
)
def test_query(
    action: str | None, asked: str | None, username: str | None, widened: str | None, query: str
) -> None:
    assert query_of(action, asked, username, widened) == query


@pytest.mark.parametrize(
    ("label", "platform"),
    [
        ("crawler:x", "x"),
        ("searcher:web", "web"),
        ("crawler:", "(none)"),
        (None, "(none)"),
        ("crawler:a-very-long-platform", "a-very-long-plat"),
    ],
)
def test_platform(label: str | None, platform: str) -> None:
    assert platform_of(label) == platform


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("AI agents", "agents ai"),
        ("agents  AI", "agents ai"),
        ("ＡＩ agents agents", "agents ai"),
        ("AI -crypto", "ai -crypto"),
        ("AI crypto", "ai crypto"),
        ("lang:en -filter:replies min_faves:10 Battery", "battery lang:en min_faves:10 -filter:replies"),
        ("battery since:2026-01-01 until:2026-02-01 -is:retweet", "battery"),
        ("“Solid State” battery", '"solid state" battery'),
        ("night train OR sleeper train", "night train OR sleeper train"),
        ("train sleeper OR train night", "night train OR sleeper train"),
        ("a or b", "a b or"),
        ("(b OR a) c", "(a OR b) c"),
        ("((a b)) c", "a b c"),
        ("c NOT (b OR a)", "c -(a OR b)"),
        ("c -(b)", "c -b"),
        ("AI - agents", "agents ai"),
        ("大模型 人工智能", "人工智能 大模型"),
        ("since:2026-01-01", NO_QUERY),
        ("a ) b", "a b"),
        (REPLIES, REPLIES),
        ("from:Ada", "from:ada"),
        ("https://a.example/B", "https://a.example/b"),
    ],
)
def test_a_normal_form_has_what_matters_and_nothing_else(query: str, form: str) -> None:
    assert normal_form(query) == form


WORDS = [
    "a",
    "b",
    "C",
    "-c",
    "-(",
    "(",
    ")",
    "OR",
    "NOT",
    "AND",
    "from:ada",
    "-from:bob",
    "ﬁ",
    "İ",
    "or",
    "-",
]
PIECES = st.sampled_from([*WORDS, "-is:retweet", "since:2026-01-01", '"', '""', '"x y"', 'url:"q r"'])


@given(st.lists(PIECES, max_size=10).map(" ".join) | st.text(max_size=30))
def test_a_normal_form_is_its_own(query: str) -> None:
    form = normal_form(query)
    assert form
    assert normal_form(form) == form


@given(st.permutations(["alpha", "beta", "lang:en", "-gamma", '"d e"']))
def test_the_order_of_words_does_not_matter(words: list[str]) -> None:
    assert normal_form(" ".join(words)) == '"d e" alpha beta lang:en -gamma'


def test_a_long_query_keeps_its_identity_within_bounds() -> None:
    longest = " ".join(f"word{number}" for number in range(300))
    forms = {normal_form(longest), normal_form(f"{longest} more")}
    assert len(forms) == 2
    assert all(len(form) <= LONGEST_FORM for form in forms)
    assert normal_form("(" * 5000 + "a") == "a"


def test_neighbours_are_told_by_their_words_and_their_operators() -> None:
    assert parts_of('"d e" alpha (b OR c) lang:en -gamma') == Parts('"d e" alpha (b OR c)', "lang:en -gamma")
    assert similarity("ai crypto", "crypto ai") == 1
    assert similarity("solid state battery", "solid state batteries") > 0.6
    assert similarity("night train", "tidal energy") < 0.2
    assert similarity("", "") == 0
