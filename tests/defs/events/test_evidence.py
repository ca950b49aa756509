"""Evidence: weights are shares, the best posts come first, what is unknown does not count."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.events.evidence import MOST_POSTS, Post, weigh

posts = st.lists(
    st.builds(
        Post,
        st.uuids(),
        st.none() | st.sampled_from(["outage again", "a rollback", "故障 又 来 了", "nothing"]),
        st.none() | st.floats(0, 1),
        st.floats(0, 1e300),
    ),
    max_size=80,
)


def post(text: str | None = None, relevance: float | None = None, reactions: float = 0) -> Post:
    return Post(uuid.uuid4(), text, relevance, reactions)


@given(posts, st.sets(st.sampled_from(["outage", "rollback", "故障"])))
def test_weights_are_in_range_and_sorted(given_posts, terms):
    weights = [weight for _, weight in weigh(given_posts, terms)]
    assert all(0 <= weight <= 1 for weight in weights)
    assert weights == sorted(weights, reverse=True)
    assert len(weights) == min(len(given_posts), MOST_POSTS)


def test_the_documented_shares():
    loud, quiet = post("outage and rollback", 0.5, 10), post("outage", None, 0)
    weights = dict(weigh([quiet, loud], ["outage", "rollback"]))
    assert weights[loud.id] == pytest.approx(0.4 * 1 + 0.3 * 0.5 + 0.3 * 1)
    assert weights[quiet.id] == pytest.approx((0.4 * 0 + 0.3 * 0.5) / 0.7)


def test_where_nothing_is_known_the_weight_is_a_half():
    assert [weight for _, weight in weigh([post(), post()], [])] == [0.5, 0.5]


def test_chinese_terms_count():
    about, other = post("系统故障"), post("天气很好")
    assert dict(weigh([about, other], ["故障"])) == {about.id: 1.0, other.id: 0.0}


def test_no_posts_no_evidence():
    assert weigh([], ["outage"]) == []
