"""Evidence: weights are shares, the best posts come first, what is unknown does not count."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.events.finding.evidence import MOST_POSTS, Post, weigh

HOURS = [datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=hour) for hour in range(3)]
posts = st.lists(
    st.builds(
        Post, st.uuids(), st.sampled_from(HOURS), st.none(), st.none() | st.floats(0, 1), st.floats(0, 1e300)
    ),
    max_size=80,
)
excesses = st.dictionaries(st.sampled_from(HOURS), st.floats(-10, 1e6), max_size=3)


def post(hour: datetime = HOURS[0], relevance: float | None = None, reactions: float = 0) -> Post:
    return Post(uuid.uuid4(), hour, "text", relevance, reactions)


@given(posts, excesses)
def test_weights_are_in_range_and_sorted(given_posts: list[Post], excess: dict[datetime, float]) -> None:
    weights = [weight for _, weight in weigh(given_posts, excess)]
    assert all(0 <= weight <= 1 for weight in weights)
    assert weights == sorted(weights, reverse=True)
    assert len(weights) == min(len(given_posts), MOST_POSTS)


def test_the_documented_shares() -> None:
    loud, quiet = post(HOURS[0], 0.5, 10), post(HOURS[1])
    weights = dict(weigh([quiet, loud], {HOURS[0]: 40.0, HOURS[1]: 10.0}))
    assert weights[loud.id] == pytest.approx(0.4 * 1 + 0.3 * 1 + 0.3 * 0.5)
    assert weights[quiet.id] == pytest.approx((0.4 * 0.25 + 0.3 * 0) / 0.7)


def test_where_nothing_is_known_the_weight_is_a_half() -> None:
    assert [weight for _, weight in weigh([post(), post()], {})] == [0.5, 0.5]


def test_no_posts_no_evidence() -> None:
    assert weigh([], {HOURS[0]: 1.0}) == []
