"""What a crawl task asked for, in words that stay the same from run to run."""

import re

NO_QUERY = "(no query)"
REPLIES = "(replies)"
NO_PLATFORM = "(none)"
# The width of the column `platform`.
PLATFORM_WIDTH = 16

# What crawlers append to a search of their own accord, such as ` -is:retweet`.
_WIDENING = re.compile(r"(\s+-is:\w+)+\s*$")


def query_of(action: str | None, asked: str | None, username: str | None, widened: str | None) -> str:
    """The query that a task's contents are counted under.

    `asked`: payload.query; `username`: whose timeline; `widened`: result.query. A timeline is `from:USERNAME`;
    the lookups of single posts and their replies count together, since none is ever repeated.
    """
    if action == "tweet":
        return REPLIES
    name = _plain(username).lstrip("@")
    if action == "timeline" and name:
        return f"from:{name}"
    return _plain(asked) or _plain(_WIDENING.sub("", widened or "")) or NO_QUERY


def platform_of(label: str | None) -> str:
    """The platform of a task that found nothing, from its label: `crawler:x` is x."""
    _, _, suffix = (label or "").partition(":")
    return suffix.strip()[:PLATFORM_WIDTH] or NO_PLATFORM


def _plain(text: str | None) -> str:
    return " ".join((text or "").split())
