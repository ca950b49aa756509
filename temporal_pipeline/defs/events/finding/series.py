"""The hourly series of an entity: how much was posted, how it was received, how much it was argued about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from temporal_pipeline.crawls import hourly_mask
from temporal_pipeline.crawls.coverage import HOUR, Interval
from temporal_pipeline.defs.events.finding.detection import Floats
from temporal_pipeline.defs.events.finding.lifecycle import Direction, Series

# A mean over fewer posts is one post's luck.
LEAST_POSTS = 5
# With fewer reactions one reply more or less is a jump.
LEAST_REACTIONS = 20


@dataclass(frozen=True)
class Metric:
    """What is watched: counts or rates, in which directions, as which type of event."""

    name: str
    counts: bool
    directions: tuple[Direction, ...]
    event_type: str


VOLUME = Metric("volume", True, ("up", "down"), "anomaly")
ENGAGEMENT = Metric("engagement", False, ("up", "down"), "anomaly")
# A quarrel that ends is no event of its own.
CONTROVERSY = Metric("controversy", False, ("up",), "controversy")
METRICS = (VOLUME, ENGAGEMENT, CONTROVERSY)


@dataclass(frozen=True)
class Activity:
    """Posts of an entity by the hour of their publication, hours counted from 1970; all of shape (n,).

    `approvals` are likes and reposts, `reactions` those with replies and quotes. Hours without posts are missing.
    """

    hours: NDArray[np.int64]
    posts: NDArray[np.int64]
    approvals: Floats
    replies: Floats
    reactions: Floats


def hourly_series(
    activity: Activity, covered: Sequence[Interval], first_hour: datetime, closed: datetime
) -> dict[str, Series]:
    """Per metric its values from `first_hour` to the last hour that is over by `closed`.

    NaN where no crawl covered the hour and, for the rates, where fewer than five posts (twenty reactions) would
    make a rate a matter of luck. Engagement is the logarithm of one plus reactions per post; controversy the
    log odds of a reply against a like or repost, with half of each added.
    """
    n = max((closed - first_hour) // HOUR, 0)
    usable = hourly_mask(covered, first_hour, n, closed)
    offsets = activity.hours - int(first_hour.timestamp()) // 3600
    within = (offsets >= 0) & (offsets < n)

    def spread(values: NDArray[np.int64] | Floats) -> Floats:
        spread_out = np.zeros(n)
        spread_out[offsets[within]] = values[within]
        return spread_out

    posts, approvals = spread(activity.posts), spread(activity.approvals)
    replies, reactions = spread(activity.replies), spread(activity.reactions)
    rated = usable & (posts >= LEAST_POSTS)
    engagement = np.log1p(reactions / np.maximum(posts, 1))
    controversy = np.log((replies + 0.5) / (approvals + 0.5))
    argued = rated & (replies + approvals >= LEAST_REACTIONS)
    return {
        VOLUME.name: Series(first_hour, np.where(usable, posts, np.nan)),
        ENGAGEMENT.name: Series(first_hour, np.where(rated, engagement, np.nan)),
        CONTROVERSY.name: Series(first_hour, np.where(argued, controversy, np.nan)),
    }


def natural(metric: Metric, value: float) -> float:
    """A value of a series as people count: posts per hour, reactions per post, replies per like or repost."""
    if metric is ENGAGEMENT:
        return float(np.expm1(value))
    return float(np.exp(value)) if metric is CONTROVERSY else value


def hour_of(hours: int) -> datetime:
    """The hour counted from 1970."""
    return datetime.fromtimestamp(hours * 3600, UTC)
