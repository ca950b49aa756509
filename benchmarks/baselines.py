"""What is simpler than our relevance, written in a few lines each: keyword count and TF-IDF centroids."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_URL = re.compile(r"https?://\S+")


def keyword_count(keywords: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
    """How many of the keywords are in a text, as words in any order."""
    wanted = [set(_normal(keyword).replace("#", " ").split()) for keyword in keywords]
    found = [set(re.findall(r"\w+", _normal(text))) for text in texts]
    return np.array([float(sum(keyword <= words for keyword in wanted)) for words in found])


def tfidf_centroid(texts: Sequence[str], terms_of: Callable[[str], Iterable[str]]) -> NDArray[np.float64]:
    """Cosine of each text to the mean of all texts' TF-IDF vectors of length 1."""
    counted = [Counter(terms_of(_normal(text))) for text in texts]
    documents = Counter(term for counts in counted for term in counts)
    rarity = {term: math.log((1 + len(texts)) / (1 + n)) + 1 for term, n in documents.items()}
    vectors = []
    for counts in counted:
        vector = {term: n * rarity[term] for term, n in counts.items()}
        length = math.sqrt(sum(value * value for value in vector.values())) or 1.0
        vectors.append({term: value / length for term, value in vector.items()})
    centroid: Counter[str] = Counter()
    for vector in vectors:
        centroid.update(vector)
    length = math.sqrt(sum(value * value for value in centroid.values())) or 1.0
    return np.array(
        [sum(value * centroid[term] for term, value in vector.items()) / length for vector in vectors]
    )


def words_of(text: str) -> Iterable[str]:
    """Words and hashtags."""
    return re.findall(r"#?\w\w+", text)


def character_grams(text: str) -> Iterable[str]:
    """All runs of three to five characters."""
    return (text[i : i + n] for n in (3, 4, 5) for i in range(len(text) - n + 1))


def _normal(text: str) -> str:
    return " ".join(_URL.sub(" ", unicodedata.normalize("NFKC", text).casefold()).split())
