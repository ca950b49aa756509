"""The score of a post: the probability that a person would call it related to its topic or user.

A logistic model of a few signals, each of which can be read off and explained. Its weights were fitted to what
people said of 10,000 posts of ten crises (CrisisLexT26: Olteanu, Vieweg and Castillo, "What to Expect When the
Unexpected Happens", 2015), each time without the crisis that was then scored; see `benchmarks.relevance`.
"""

import math
from dataclasses import dataclass

from temporal_pipeline.defs.contents.relevance.keywords import Keywords, Match
from temporal_pipeline.defs.contents.relevance.language import Buckets, Profile

# Changes whenever any score could change.
METHOD = "signals-2"

NO_OWNER = "no topic or user to be relevant to"
NO_TEXT = "no text"

# More digits than the method has to say; they would differ between machines.
DIGITS = 4
# Of 10,575 labelled posts 36 named more than four keywords; 99.4 % of those with three were related.
MOST_FURTHER_KEYWORDS = 3
# Among the posts of the ten crises an hour had from a 20th to 20 times the usual number.
LARGEST_LOG_RATIO = 3.0
# The application's own judgement, in log odds: what its triage skipped is seven times less likely to be related, what
# it worked out in detail three times more. Set by hand, since no labelled data has them.
TRIAGE = {"skipped": -2.0, "detail_ready": 1.0, "integrated": 1.0}
KEY_POINTS = 0.5
# A tie-breaker: a million reactions are worth a twentieth of what separates an odd post from a usual one.
REACTIONS = 0.01
MOST_REACTIONS = 1e6
# A post that names no keyword teaches little of a topic's language, lest a query that brings much rubbish make that
# the language of the topic; but a topic whose keywords nobody uses has to learn it from somewhere.
LEAST_WEIGHT = 0.1


@dataclass(frozen=True)
class Weights:
    """The model, in log odds. `usual`: a post that names one keyword, at a usual moment in usual words.

    `closeness`: per standard deviation. `further_keyword`: each keyword beyond the first. `busyness`: per log of the
    hour's posts over those of a usual hour.
    """

    usual: float
    closeness: float
    further_keyword: float
    busyness: float


# Fitted to all ten crises by `python -m benchmarks.relevance`, except busyness: likelihood alone would give it 0.45,
# but then the mean AUC falls, since it differs between crises whether busy moments attract what is related.
FITTED = Weights(usual=2.26, closeness=1.15, further_keyword=0.48, busyness=0.2)


@dataclass(frozen=True, slots=True)
class Post:
    """What is known of a post. `folded`: its text and `tags` its hashtags, by `keywords.fold`; `buckets` by
    `language.buckets_of`. `busyness`: posts of its hour over those of a usual hour, None if unknown.
    """

    folded: str
    tags: str
    buckets: Buckets
    busyness: float | None = None
    triage: str | None = None
    has_key_points: bool = False
    reactions: float = 0.0


@dataclass(frozen=True, slots=True)
class Subject:
    """What posts are scored against: keywords (None: there are none) and profiles, of which the closest counts.

    `bound`: whether a post that names no keyword is less likely to be related. That holds for what searches find,
    not for what a user writes.
    """

    keywords: Keywords | None
    profiles: tuple[Profile, ...]
    bound: bool = True


@dataclass(frozen=True, slots=True)
class Parts:
    """The log odds of a score, by signal; their sum is the score's."""

    usual: float
    keywords: float
    closeness: float
    busyness: float
    triage: float
    reactions: float

    @property
    def score(self) -> float:
        """The probability in [0, 1]."""
        odds = self.usual + self.keywords + self.closeness + self.busyness + self.triage + self.reactions
        return round(1 / (1 + math.exp(-odds)), DIGITS)


def parts_of(post: Post, subject: Subject, weights: Weights = FITTED) -> Parts:
    """What each signal adds to the score of a post with a text."""
    closest = max((profile.closeness(post.buckets) for profile in subject.profiles), default=0.0)
    triage = TRIAGE.get(post.triage or "", 0.0) + (KEY_POINTS if post.has_key_points else 0.0)
    return Parts(
        usual=weights.usual,
        keywords=_keywords(post, subject, weights),
        closeness=weights.closeness * closest,
        busyness=weights.busyness * _log_ratio(post.busyness),
        triage=triage,
        reactions=REACTIONS * math.log1p(min(max(post.reactions, 0.0), MOST_REACTIONS)),
    )


def learning_weight(folded: str, tags: str, keywords: Keywords | None) -> float:
    """How much a post teaches of its topic's language, from 0.1 to 1."""
    if not keywords:
        return 1.0
    return max(LEAST_WEIGHT, keywords.match(f"{folded} {tags}").share)


def _keywords(post: Post, subject: Subject, weights: Weights) -> float:
    """Each keyword beyond the first adds; without any, down to even odds for a post in usual words.

    A share of a keyword counts by its square: half the words of `solid-state battery` are far from half of it.
    """
    if not subject.keywords:
        return 0.0
    match: Match = subject.keywords.match(f"{post.folded} {post.tags}")
    if match.whole:
        return weights.further_keyword * min(match.whole - 1, MOST_FURTHER_KEYWORDS)
    return -weights.usual * (1 - match.share**2) if subject.bound else 0.0


def _log_ratio(busyness: float | None) -> float:
    if not busyness:
        return 0.0
    return max(-LARGEST_LOG_RATIO, min(math.log(busyness), LARGEST_LOG_RATIO))


def busyness(in_hour: float | None, contents: float, hours: int) -> float | None:
    """Posts of an hour over those of a usual one, the mean over the hours that had any; None if unknown."""
    return in_hour * hours / contents if in_hour and contents else None
