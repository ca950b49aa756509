"""Which posts show an event best, and how much each says about it."""

import uuid
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

MOST_POSTS = 50
EXCESS_SHARE = 0.4
REACTIONS_SHARE = 0.3
RELEVANCE_SHARE = 0.3
# Of a post about which nothing is known.
UNKNOWN = 0.5


@dataclass(frozen=True)
class Post:
    """A post of one of the event's hours; `reactions` are likes, reposts, replies and quotes together."""

    id: uuid.UUID
    hour: datetime
    text: str | None
    relevance: float | None
    reactions: float


def weigh(posts: Sequence[Post], excess: Mapping[datetime, float]) -> list[tuple[uuid.UUID, float]]:
    """The at most 50 weightiest of `posts` with their weights in [0, 1], the weightiest first.

    The weight is the mean of what is known: how far the post's hour was beyond the usual, as a share of the
    hour that was furthest (0.4; `excess` per hour, unknown where it is missing), the share of the event's posts
    with fewer reactions (0.3; unknown if all have as many), and the post's relevance (0.3); 0.5 where nothing
    is known.
    """
    ordered = sorted(post.reactions for post in posts)
    reactions_differ = bool(ordered) and ordered[0] < ordered[-1]
    furthest = max(excess.values(), default=0.0)

    def weight(post: Post) -> float:
        parts: list[tuple[float, float]] = []
        if furthest > 0 and post.hour in excess:
            parts.append((EXCESS_SHARE, max(excess[post.hour], 0.0) / furthest))
        if reactions_differ:
            parts.append((REACTIONS_SHARE, bisect_left(ordered, post.reactions) / (len(ordered) - 1)))
        if post.relevance is not None:
            parts.append((RELEVANCE_SHARE, post.relevance))
        known = sum(share for share, _ in parts)
        return min(sum(share * value for share, value in parts) / known, 1.0) if known else UNKNOWN

    weighed = [(post, weight(post)) for post in posts]
    weighed.sort(key=lambda pair: (-pair[1], -pair[0].reactions, pair[0].id))
    return [(post.id, value) for post, value in weighed[:MOST_POSTS]]
