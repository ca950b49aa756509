"""How relevant a post is to its topic, from the topic's keywords alone.

The score is a function of the post and the keywords and of nothing else, so that the same post gets the same
score on every machine and in every run. Only posts of a topic are scored: a user's own post has no keywords
to be measured against and stays without a score in this release.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

# Changes whenever any score could change.
METHOD = "keywords-1"

NO_TOPIC = "no topic to be relevant to"
NO_KEYWORDS = "its topic has no keywords"
NO_TEXT = "no text"

# A post with one whole keyword counts as relevant everywhere else (>= 0.7); every further one halves what is
# missing to 1, so that two make it a post of high value (>= 0.85).
ONE_KEYWORD = 0.7
MISSING_AFTER_ONE = 0.3

# Scripts without blanks between words (Han, kana) or with particles glued to them (Hangul).
_CJK = r"\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = rf"[^\W_{_CJK}]"
_WORD = re.compile(rf"{_LETTER}+")
_HAS_CJK = re.compile(rf"[{_CJK}]")
_URL = re.compile(r"(?:https?://|www\.)[!-~]+")


@dataclass(frozen=True, slots=True)
class _Keyword:
    words: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    joined: str

    def share(self, text: str, words: set[str]) -> float:
        """The share in [0, 1] of this keyword's words that occur."""
        if self.joined in words:
            return 1.0
        found = len(self.words & words) + sum(1 for pattern in self.patterns if pattern.search(text))
        return found / (len(self.words) + len(self.patterns))


class Keywords:
    """A topic's keywords, compiled once and then matched against many posts.

    A Latin word matches a whole word, CJK any part of the text, both without regard to case, width (NFKC) or
    a leading `#`. A keyword of several words is found whole when all of them occur, in any order, or when its
    words joined make a word or hashtag of the post (`climate change`, `#ClimateChange`).
    """

    def __init__(self, keywords: Iterable[str | None]) -> None:
        spelled = (_parts(keyword) for keyword in keywords if keyword)
        distinct = {frozenset(parts): parts for parts in spelled if parts}
        compiled = [_compile(parts) for parts in distinct.values()]
        # One set operation answers for all keywords of one word, which are most.
        self._single = frozenset(k.joined for k in compiled if k.words == {k.joined})
        self._others = [k for k in compiled if k.words != {k.joined}]

    def __bool__(self) -> bool:
        return bool(self._single or self._others)

    def score(self, text: str | None, hashtags: str = "") -> float | None:
        """The relevance in [0, 1] of a post; None for one without text.

        `hashtags`: the post's hashtags, separated by blanks. With n keywords found whole the score is
        1 - 0.3 * 0.5^(n-1): 0.7, 0.85, 0.925 … With none it is 0.7 times the largest share of a keyword's
        words that occur, so 0 where none does. It never falls when a post says more.
        """
        if text is None or not text.strip():
            return None
        folded = _fold(f"{text}\n{hashtags}")
        if "http" in folded or "www." in folded:
            folded = _URL.sub(" ", folded)
        words = set(_WORD.findall(folded))
        shares = [keyword.share(folded, words) for keyword in self._others]
        whole = len(self._single & words) + shares.count(1.0)
        if whole:
            return 1 - MISSING_AFTER_ONE * 0.5 ** (whole - 1)
        return ONE_KEYWORD * max(shares, default=0.0)


def assess(keywords: Keywords | None, text: str | None, hashtags: str) -> tuple[float | None, str | None]:
    """The relevance of a post to its topic's keywords (None: it has no topic), or why it has none."""
    if keywords is None:
        return None, NO_TOPIC
    if not keywords:
        return None, NO_KEYWORDS
    score = keywords.score(text, hashtags)
    return score, NO_TEXT if score is None else None


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _parts(keyword: str) -> list[str]:
    """The distinct words of a keyword, in order, without quotes, hash signs and closing punctuation."""
    stripped = (part.lstrip("#@\"'“‘(").rstrip("\"'”’).,;:!?") for part in _fold(keyword).split())
    return list(dict.fromkeys(part for part in stripped if part))


def _compile(parts: list[str]) -> _Keyword:
    return _Keyword(
        words=frozenset(part for part in parts if _WORD.fullmatch(part)),
        patterns=tuple(_pattern(part) for part in parts if not _WORD.fullmatch(part)),
        joined="".join(parts),
    )


def _pattern(part: str) -> re.Pattern[str]:
    """CJK anywhere; others (`gpt-4`, `c++`, `.net`) not inside a longer word."""
    literal = re.escape(part)
    return re.compile(literal if _HAS_CJK.search(part) else rf"(?<!{_LETTER}){literal}(?!{_LETTER})")
