"""Which posts show an event best, and how much each says about it."""

import uuid
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from temporal_pipeline.terms import terms_of

MOST_POSTS = 50
REACTIONS_SHARE = 0.4
RELEVANCE_SHARE = 0.3
TERMS_SHARE = 0.3
# Of a post about which nothing is known.
UNKNOWN = 0.5


@dataclass(frozen=True)
class Post:
    """A post of the event's alarm hours; `reactions` are likes, retweets, replies and quotes together."""

    id: uuid.UUID
    text: str | None
    relevance: float | None
    reactions: float


def weigh(posts: Sequence[Post], event_terms: Collection[str]) -> list[tuple[uuid.UUID, float]]:
    """The at most 50 weightiest of `posts` with their weights in [0, 1], the weightiest first.

    The weight is the mean of what is known: the share of the event's posts with fewer reactions (0.4;
    unknown if all have as many), the post's relevance to its topic (0.3; unknown if it has none), and the
    share of the event's rising terms that it uses (0.3; unknown if there are none); 0.5 where nothing is
    known.
    """
    ordered = sorted(post.reactions for post in posts)
    reactions_differ = bool(ordered) and ordered[0] < ordered[-1]
    wanted = set(event_terms)

    def weight(post: Post) -> float:
        parts: list[tuple[float, float]] = []
        if reactions_differ:
            parts.append((REACTIONS_SHARE, bisect_left(ordered, post.reactions) / (len(ordered) - 1)))
        if post.relevance is not None:
            parts.append((RELEVANCE_SHARE, post.relevance))
        if wanted:
            parts.append((TERMS_SHARE, len(wanted & terms_of(post.text or "")) / len(wanted)))
        known = sum(share for share, _ in parts)
        return min(sum(share * value for share, value in parts) / known, 1.0) if known else UNKNOWN

    weighed = [(post, weight(post)) for post in posts]
    weighed.sort(key=lambda pair: (-pair[1], -pair[0].reactions, pair[0].id))
    return [(post.id, value) for post, value in weighed[:MOST_POSTS]]
