"""Which of a topic's keywords a post names, and which it nearly names."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

# Scripts without blanks between words (Han, kana) or with particles glued to them (Hangul).
_CJK = r"\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = rf"[^\W_{_CJK}]"
_WORD = re.compile(rf"{_LETTER}+")
_HAS_CJK = re.compile(rf"[{_CJK}]")
_URL = re.compile(r"(?:https?://|www\.)[!-~]+")

# Two words of this trigram similarity are spellings of one: earthquakes and earthquake have 0.77, wildfire and
# wildlife 0.38. It is what the application's own search by similarity is used with.
SIMILAR = 0.6
# Shorter words are similar by accident.
LEAST_LETTERS = 5
# So many words of posts are remembered with how near they come to a keyword.
WORDS_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Match:
    """`whole`: how many keywords a post names. `share`: of the keyword that it names best, the share in [0, 1] of
    its words, one nearly named counting by its similarity; 1 when any is named whole.
    """

    whole: int
    share: float


@dataclass(frozen=True, slots=True)
class _Keyword:
    spelling: str
    words: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    joined: str

    def found(self, text: str, words: set[str]) -> int:
        """How many of its parts occur; all of them when its words joined make one."""
        if self.joined in words:
            return self.parts
        return len(self.words & words) + sum(1 for pattern in self.patterns if pattern.search(text))

    @property
    def parts(self) -> int:
        return len(self.words) + len(self.patterns)


class Keywords:
    """A topic's keywords, compiled once and then matched against many posts.

    A Latin word matches a whole word, CJK any part of the text, both without regard to case, width (NFKC) or
    a leading `#`. A keyword of several words is found whole when all of them occur, in any order, or when its
    words joined make a word or hashtag of the post (`climate change`, `#ClimateChange`).
    """

    def __init__(self, keywords: Iterable[str | None]) -> None:
        spelled = ((keyword, _parts(keyword)) for keyword in keywords if keyword)
        distinct = {frozenset(parts): (keyword, parts) for keyword, parts in spelled if parts}
        self._all = [_compile(keyword, parts) for keyword, parts in distinct.values()]
        # One set operation answers for all keywords of one word, which are most.
        self._single = frozenset(k.joined for k in self._all if k.words == {k.joined})
        self._others = [k for k in self._all if k.words != {k.joined}]
        words = {word for k in self._all for word in k.words if len(word) >= LEAST_LETTERS}
        self._trigrams = {word: _trigrams(word) for word in sorted(words)}
        self._nearest: dict[str, dict[str, float]] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def spellings(self) -> list[str]:
        """The keywords as the topic spells them."""
        return [keyword.spelling for keyword in self._all]

    def match(self, folded: str) -> Match:
        """What a text, folded by `fold`, names. It never names less when it says more."""
        words = set(_WORD.findall(folded))
        whole = len(self._single & words)
        for keyword in self._others:
            whole += keyword.found(folded, words) == keyword.parts
        return Match(whole, 1.0 if whole else self._best_share(folded, words))

    def named(self, folded: str) -> list[str]:
        """The keywords that a folded text names whole, as the topic spells them."""
        words = set(_WORD.findall(folded))
        return [k.spelling for k in self._all if k.found(folded, words) == k.parts]

    def _best_share(self, folded: str, words: set[str]) -> float:
        near: dict[str, float] = {}
        for word in words:
            for target, similarity in self._near(word).items():
                near[target] = max(similarity, near.get(target, 0.0))
        best = 0.0
        for keyword in self._all:
            found = keyword.found(folded, words)
            nearly = sum(near.get(word, 0.0) for word in keyword.words - words) if near else 0.0
            best = max(best, (found + nearly) / keyword.parts)
        return best

    def _near(self, word: str) -> dict[str, float]:
        """The keywords' words that `word` is another spelling of, with the similarity."""
        if len(word) < LEAST_LETTERS:
            return {}
        known = self._nearest.get(word)
        if known is None:
            trigrams = _trigrams(word)
            known = {
                target: similarity
                for target, others in self._trigrams.items()
                if SIMILAR
                <= (
                    similarity := len(trigrams & others)
                    / (len(trigrams) + len(others) - len(trigrams & others))
                )
                < 1
            }
            if len(self._nearest) >= WORDS_REMEMBERED:
                self._nearest.clear()
            self._nearest[word] = known
        return known


def fold(text: str) -> str:
    """The text in one spelling of case, width and blanks, without links."""
    folded = text.lower() if text.isascii() else _unaccustomed(text)
    if "http" in folded or "www." in folded:
        folded = _URL.sub(" ", folded)
    return " ".join(folded.split())


def _unaccustomed(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _trigrams(word: str) -> frozenset[str]:
    """As pg_trgm has them: of the word with two blanks before it and one after."""
    padded = f"  {word} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def _parts(keyword: str) -> list[str]:
    """The distinct words of a keyword, in order, without quotes, hash signs and closing punctuation."""
    folded = fold(keyword)
    stripped = (part.lstrip("#@\"'“‘(").rstrip("\"'”’).,;:!?") for part in folded.split())
    return list(dict.fromkeys(part for part in stripped if part))


def _compile(spelling: str, parts: list[str]) -> _Keyword:
    return _Keyword(
        spelling=spelling.strip(),
        words=frozenset(part for part in parts if _WORD.fullmatch(part)),
        patterns=tuple(_pattern(part) for part in parts if not _WORD.fullmatch(part)),
        joined="".join(parts),
    )


def _pattern(part: str) -> re.Pattern[str]:
    """CJK anywhere; others (`gpt-4`, `c++`, `.net`) not inside a longer word."""
    literal = re.escape(part)
    return re.compile(literal if _HAS_CJK.search(part) else rf"(?<!{_LETTER}){literal}(?!{_LETTER})")
