"""What a task asked for, in words."""

import pytest

from temporal_pipeline.defs.effectiveness.naming import platform_of, query_of


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
