"""The score of a post and its parts."""

import math
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.contents.relevance.keywords import Keywords, fold
from temporal_pipeline.defs.contents.relevance.language import Profile, buckets_of
from temporal_pipeline.defs.contents.relevance.scoring import (
    FITTED,
    LEAST_WEIGHT,
    Post,
    Subject,
    busyness,
    learning_weight,
    parts_of,
)

KEYWORDS = Keywords(["solid-state battery", "agents", "人工智能"])
TOPIC = Subject(KEYWORDS, ())


def post(text: str, tags: str = "", **known: object) -> Post:
    folded = fold(text)
    return Post(folded, fold(tags), buckets_of([folded])[0], **known)  # type: ignore[arg-type]


def score(text: str, subject: Subject = TOPIC, tags: str = "", **known: object) -> float:
    return parts_of(post(text, tags, **known), subject).score


def test_one_keyword_in_usual_words_is_the_usual_post() -> None:
    assert score("about agents") == pytest.approx(1 / (1 + math.exp(-FITTED.usual)), abs=1e-4)


def test_further_keywords_add_and_hashtags_are_no_others() -> None:
    assert score("agents") < score("agents 人工智能") < score("agents 人工智能 solid-state battery")
    assert (
        score("look", tags="agents 人工智能")
        == score("agents 人工智能")
        == score("agents", tags="人工智能 agents")
    )


def test_no_keyword_makes_even_odds_and_half_of_one_is_not_relevant() -> None:
    assert score("something else") == 0.5
    assert 0.5 < score("my phone battery died") < 0.7


def test_what_a_user_writes_needs_no_keyword() -> None:
    user = Subject(KEYWORDS, (), bound=False)
    assert score("something else", user) == score("agents", user) == score("agents")
    assert score("agents 人工智能", user) == score("agents 人工智能")
    assert score("something else", Subject(Keywords([]), ())) == score("agents")


def test_the_closest_of_several_profiles_counts() -> None:
    fires, floods = Profile(), Profile()
    for profile, word in ((fires, "wildfire burns"), (floods, "flood rises")):
        said = buckets_of(
            [f"the {word} near {n} again" for n in range(50)] + ["quite another matter altogether"]
        )
        profile.learn(said, [1.0] * len(said))
    one, both = Subject(None, (fires,)), Subject(None, (fires, floods))
    assert score("the flood rises again", both) > score("the flood rises again", one)
    assert score("the wildfire burns again", both) == score("the wildfire burns again", one)


def test_a_busy_moment_adds_and_an_unknown_one_does_not() -> None:
    assert score("agents", busyness=0.2) < score("agents") == score("agents", busyness=1.0)
    assert score("agents") < score("agents", busyness=5.0) < score("agents", busyness=1e3)
    assert score("agents", busyness=1e3) == score("agents", busyness=1e9)


def test_how_busy_an_hour_is() -> None:
    assert busyness(6, 20, 10) == 3
    assert busyness(None, 20, 10) is busyness(0, 0, 0) is None


def test_the_applications_judgement_counts() -> None:
    skipped, briefed, ready = (score("agents", triage=t) for t in ("skipped", "briefed", "detail_ready"))
    assert skipped < 0.7 < briefed == score("agents") < ready
    assert score("agents", has_key_points=True) > score("agents")


def test_reactions_only_break_ties() -> None:
    assert score("agents") < score("agents", reactions=10.0) < score("agents", reactions=1e5)
    assert score("agents", reactions=1e15) - score("agents") < 0.02


def test_the_parts_add_up_to_the_score() -> None:
    parts = parts_of(post("agents 人工智能", triage="integrated", busyness=3.0, reactions=7.0), TOPIC)
    assert parts.score == pytest.approx(1 / (1 + math.exp(-sum(astuple(parts)))), abs=1e-4)


def test_posts_without_a_keyword_teach_little() -> None:
    assert learning_weight("agents", "", KEYWORDS) == learning_weight("else", "agents", KEYWORDS) == 1
    assert learning_weight("a battery", "", KEYWORDS) == 0.5
    assert learning_weight("something else", "", KEYWORDS) == LEAST_WEIGHT
    assert learning_weight("something else", "", None) == learning_weight("x", "", Keywords([])) == 1


@given(
    st.text(),
    st.text(),
    st.none() | st.floats(0, 1e9),
    st.none() | st.text(),
    st.floats(-1e15, 1e15),
    st.booleans(),
)
def test_scores_are_in_range_for_any_post(
    text: str, tags: str, busy: float | None, triage: str | None, reactions: float, bound: bool
) -> None:
    profile = Profile()
    profile.learn(buckets_of(["a few words about agents"]), [1.0])
    subject = Subject(KEYWORDS, (profile,), bound=bound)
    value = score(text, subject, tags, busyness=busy, triage=triage, reactions=reactions)
    assert 0 <= value <= 1
    assert value == score(text, subject, tags, busyness=busy, triage=triage, reactions=reactions)
