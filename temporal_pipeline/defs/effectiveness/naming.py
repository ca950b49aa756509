"""What a crawl task asked for: the words that are shown, and the normal form under which runs are counted.

In a normal form the order of words, their case and their width do not matter, nor do dates, nor what crawlers
append by themselves. `AI -crypto` and `AI crypto` stay apart, whatever their letters have in common.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

NO_QUERY = "(no query)"
REPLIES = "(replies)"
NO_PLATFORM = "(none)"
# The width of the column `platform`.
PLATFORM_WIDTH = 16
# An entry of an index holds 2.7 kB; a character takes at most four bytes.
LONGEST_FORM = 500
# No person nests brackets this deep; beyond it they say nothing.
DEEPEST = 20

# What crawlers append to a search of their own accord, such as ` -is:retweet`.
_WIDENING = re.compile(r"(\s+-is:\w+)+\s*$")
_APPENDED = frozenset({"-is:retweet"})
# When the posts are from, not what they are about.
_DATES = frozenset({"since", "until", "since_time", "until_time", "since_id", "until_id", "max_id"})
_QUOTES = str.maketrans("“”„‟«»", '""""""')
_TOKEN = re.compile(r'-?\(|\)|-?(?:[A-Za-z_]+:)?"[^"]*"|[^\s()"]+|"')
_OPERATOR = re.compile(r"-?([a-z_]+):(?!//)\S")
_WORD = re.compile(r"\w+")


def query_of(action: str | None, asked: str | None, username: str | None, widened: str | None) -> str:
    """The query that a task's contents are counted under, in its own spelling.

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


def normal_form(query: str) -> str:
    """The identity of a query: sorted terms, then sorted operators, then sorted negations.

    Words side by side must all occur and bind closer than OR; alternatives and what stands in brackets are
    brought into normal form and sorted in turn. Never empty. Taking the normal form of one changes nothing,
    unless it had to be cut to 500 characters: it then ends in a digest of the whole.
    """
    if query in (NO_QUERY, REPLIES):
        return query
    folded = unicodedata.normalize("NFKC", query).translate(_QUOTES)
    form = _alternatives(iter(_TOKEN.findall(folded)), depth=0) or NO_QUERY
    if len(form) <= LONGEST_FORM:
        return form
    digest = hashlib.sha256(form.encode(errors="replace")).hexdigest()[:32]
    return f"{form[: LONGEST_FORM - 36].rstrip()} … {digest}"


@dataclass(frozen=True)
class Parts:
    """The parts of a normal form: its words, and everything that changes what the words mean."""

    terms: str
    operators: str


def parts_of(form: str) -> Parts:
    """A normal form without its operators and negations, and these alone."""
    pieces = _pieces(form)
    return Parts(
        " ".join(piece for piece in pieces if not _rank(piece)),
        " ".join(piece for piece in pieces if _rank(piece)),
    )


def similarity(first: str, second: str) -> float:
    """How many groups of three letters two texts share, of all that they have: 0 to 1, as pg_trgm counts."""
    ours, theirs = _trigrams(first), _trigrams(second)
    together = len(ours | theirs)
    return len(ours & theirs) / together if together else 0.0


def _alternatives(parts: Iterator[str], depth: int) -> str:
    """The normal form of what comes up to the closing bracket, or the end."""
    groups: list[list[str]] = [[]]
    negated = False
    for part in parts:
        if part == ")":
            if depth:
                break
        elif part == "OR":
            groups.append([])
        elif part == "NOT":
            negated = True
        elif part in ("(", "-("):
            if depth == DEEPEST:
                continue
            groups[-1] += _bracketed(_alternatives(parts, depth + 1), negated or part == "-(")
            negated = False
        elif part != "AND" and (term := _term(part)):
            groups[-1].append(f"-{term.lstrip('-')}" if negated else term)
            negated = False
    forms = {" ".join(sorted(set(group), key=lambda term: (_rank(term), term))) for group in groups}
    return " OR ".join(sorted(forms - {""}))


def _bracketed(form: str, negated: bool) -> list[str]:
    """What brackets contribute to the words around them: brackets that change nothing fall away."""
    if not form:
        return []
    pieces = _pieces(form)
    if negated:
        alone = len(pieces) == 1 and not form.startswith(("-", "("))
        return [f"-{form}" if alone else f"-({form})"]
    return [f"({form})"] if "OR" in pieces else pieces


def _pieces(form: str) -> list[str]:
    """The terms of a normal form; what stands in brackets or quotation marks is one."""
    pieces, depth, current = [], 0, ""
    for part in re.findall(r'"[^"]*"|\s|[()]|[^\s()"]+', form):
        if part.isspace() and not depth:
            pieces.append(current)
            current = ""
        else:
            current += part
            depth += (part == "(") - (part == ")")
    return [piece for piece in (*pieces, current) if piece]


def _term(token: str) -> str:
    """A term as it is compared; empty for what says nothing about what is looked for."""
    folded = unicodedata.normalize("NFKC", token.casefold())
    folded = " ".join(folded.split())
    operator = _OPERATOR.match(folded)
    if folded in _APPENDED or (operator and operator[1] in _DATES):
        return ""
    return folded if folded.strip('-"') else ""


def _rank(term: str) -> int:
    """Terms come first, then operators, then negations; an operator may be negated."""
    if term.startswith("-"):
        return 2
    return 1 if _OPERATOR.match(term) else 0


def _trigrams(text: str) -> set[str]:
    padded = (f"  {word} " for word in _WORD.findall(text.casefold()))
    return {word[i : i + 3] for word in padded for i in range(len(word) - 2)}


def _plain(text: str | None) -> str:
    return " ".join((text or "").split())
