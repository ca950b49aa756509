"""Words worth counting in short posts, in Latin and in CJK script; and which of them are on the rise."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

_URL = re.compile(r"https?://\S+|www\.\S+")
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"[#@]?[^\W_{_CJK}][^\W{_CJK}]*(?:['’][^\W{_CJK}]+)*|[{_CJK}]+")
# The same for text in ASCII, much of which there is: it takes half the time.
_ASCII_TOKEN = re.compile(r"[#@]?[a-z0-9][a-z0-9_]*(?:'[a-z0-9_]+)*")
# A term must be in this many posts before its rise says anything.
LEAST_POSTS = 3
# The commonest function words of English; other languages' are outweighed by comparing with the time before.
_STOPWORDS = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "get",
        "got",
        "had",
        "has",
        "have",
        "he",
        "her",
        "here",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "like",
        "me",
        "more",
        "my",
        "new",
        "no",
        "not",
        "now",
        "of",
        "on",
        "one",
        "only",
        "or",
        "our",
        "out",
        "over",
        "rt",
        "s",
        "she",
        "so",
        "some",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "they",
        "this",
        "to",
        "up",
        "us",
        "via",
        "was",
        "we",
        "were",
        "what",
        "when",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


def terms_of(text: str) -> set[str]:
    """The distinct terms of a post: words and hashtags casefolded, CJK runs as overlapping pairs."""
    if text.isascii():
        tokens = _ASCII_TOKEN.findall(_without_urls(text.lower()))
        return {t for t in set(tokens) if len(t) > 2 and t not in _STOPWORDS and not t.isdigit()}
    folded = _without_urls(unicodedata.normalize("NFKC", text).casefold())
    terms: set[str] = set()
    for match in _TOKEN.finditer(folded):
        token = match.group()
        if "\u3040" <= token[0] <= "\ud7af":
            terms.update(token[i : i + 2] for i in range(len(token) - 1))
        elif len(token) > 2 and token not in _STOPWORDS and not token.isdigit():
            terms.add(token)
    return terms


def _without_urls(folded: str) -> str:
    return _URL.sub(" ", folded) if "http" in folded or "www." in folded else folded


def document_frequencies(texts: Iterable[str]) -> tuple[Counter[str], int]:
    """In how many posts each term occurs, and how many posts there are."""
    counts: Counter[str] = Counter()
    posts = 0
    for text in texts:
        posts += 1
        counts.update(terms_of(text))
    return counts, posts


def rising_terms(now: Iterable[str], before: Iterable[str], limit: int = 5) -> list[tuple[str, int]]:
    """Terms whose share of posts has grown most, with the number of posts that have them now.

    Ranked by the log odds ratio with half a post added everywhere, in standard errors (Monroe, Colaresi and
    Quinn, "Fightin' Words", 2008, with a flat prior), so that rare words do not win by luck.
    """
    counts, posts = document_frequencies(now)
    earlier, earlier_posts = document_frequencies(before)
    ranked = []
    for term, n in counts.items():
        if n < LEAST_POSTS:
            continue
        m = earlier[term]
        odds = math.log((n + 0.5) / (posts - n + 0.5)) - math.log((m + 0.5) / (earlier_posts - m + 0.5))
        error = math.sqrt(1 / (n + 0.5) + 1 / (m + 0.5))
        if odds > 0:
            ranked.append((-odds / error, term, n))
    return [(term, n) for _, term, n in sorted(ranked)[:limit]]
