"""How close a post is to what was learnt."""

import statistics
import time
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.contents.relevance.keywords import fold
from temporal_pipeline.defs.contents.relevance.language import (
    BUCKET_BITS,
    CHARACTERS_AT_ONCE,
    FARTHEST,
    MEMORY,
    Profile,
    buckets_of,
)


def said_of(words: str, posts: int) -> list[str]:
    """Posts of six of the words each, always the same."""
    rng = Random(words)
    return [" ".join(rng.sample(words.split(), 6)) for _ in range(posts)]


FIRE = "wildfire burns homes canyon smoke rangers evacuated firefighters forest wind acres contained lightning ridge"
HENS = "chicken batteries farmer lays breakfast barnyard feathers rooster omelette market village basket morning yolk"
FIRES = said_of(FIRE, 60)
NEAR, FAR = "rangers evacuated homes, wildfire smoke on the ridge", "a farmer, his rooster and an omelette"

texts = st.lists(st.text().map(fold), max_size=8)


def learned(posts: list[str], weight: float = 1.0) -> Profile:
    profile = Profile()
    profile.learn(buckets_of(posts), [weight] * len(posts))
    return profile


@given(texts)
def test_a_text_has_the_same_buckets_alone_and_among_others(posts: list[str]) -> None:
    together = buckets_of(posts)
    assert len(together) == len(posts)
    for post, found in zip(posts, together, strict=True):
        (alone,) = buckets_of([post])
        assert found.tolist() == alone.tolist()
        assert found.tolist() == sorted(set(found.tolist()))
        assert all(0 <= bucket < 1 << BUCKET_BITS for bucket in found)


def test_four_letters_make_a_bucket_and_so_do_two_han_characters() -> None:
    sizes = [
        len(found) for found in buckets_of(["abc", "abcd", "abcdef", "人", "人工", "人工智能", "ai 人工", ""])
    ]
    assert sizes == [0, 1, 3, 0, 1, 3, 3, 0]
    assert len(buckets_of(["abab" * 50])[0]) == 2


def test_more_text_than_fits_in_one_pass() -> None:
    posts = [f"{n} wildfire" * 150 for n in range(CHARACTERS_AT_ONCE // 1000)]
    assert [b.tolist() for b in buckets_of(posts)] == [buckets_of([post])[0].tolist() for post in posts]


def test_a_post_in_the_topics_words_is_closer_than_one_in_others() -> None:
    profile = learned([*FIRES, *said_of(HENS, 6)])
    near, far, strange = (
        profile.closeness(buckets) for buckets in buckets_of([NEAR, FAR, "我今天去了图书馆"])
    )
    assert near > far >= strange >= -FARTHEST


def test_chinese_is_learnt_like_any_other_language() -> None:
    fire = "森林 火灾 蔓延 居民 撤离 消防 浓烟 山谷 直升机 大风 封路 扑灭"
    near, far = "森林火灾蔓延居民撤离浓烟大风", "今天的咖啡不错，下午休息"
    profile = learned([*(post.replace(" ", "") for post in said_of(fire, 60)), near, far])
    closeness = [profile.closeness(buckets) for buckets in buckets_of([near, far])]
    assert closeness[0] > closeness[1]


def test_nothing_known_says_nothing() -> None:
    (post, empty) = buckets_of(["a wildfire", ""])
    assert Profile().closeness(post) == 0
    assert learned(FIRES).closeness(empty) == 0
    profile = Profile()
    profile.learn([empty], [1.0])
    assert profile.posts == 0


def test_a_few_posts_say_less_than_many() -> None:
    (strange,) = buckets_of(["我今天去了图书馆"])
    assert learned(FIRES).closeness(strange) < learned(FIRES[:3]).closeness(strange) < 0


def test_what_weighs_little_teaches_little() -> None:
    """Many posts of rubbish do not become the language of the topic."""
    rubbish = said_of(HENS, 120)
    naive, profile = learned(FIRES + rubbish), Profile()
    profile.learn(buckets_of(FIRES + rubbish), [1.0] * len(FIRES) + [0.1] * len(rubbish))

    def usual(profile: Profile, posts: list[str]) -> float:
        return statistics.mean(profile.closeness(buckets) for buckets in buckets_of(posts))

    assert usual(naive, FIRES) < usual(naive, rubbish)
    assert usual(profile, FIRES) > usual(profile, rubbish)


def test_a_profile_forgets_so_that_it_follows_the_topic() -> None:
    profile = Profile()
    old = buckets_of(FIRES * 100)
    profile.learn(old, [1.0] * len(old))
    assert profile.posts == pytest.approx(MEMORY)
    flood = buckets_of(
        [*said_of("flood valley rises bridges closed rain dam river sandbags boats", 60), NEAR] * 100
    )
    before = profile.closeness(flood[0])
    profile.learn(flood, [1.0] * len(flood))
    assert profile.posts == pytest.approx(MEMORY)
    assert profile.closeness(flood[0]) > before


def test_the_same_batches_give_the_same_profile() -> None:
    first, second = learned(FIRES), learned(FIRES)
    assert np.array_equal(first.counts, second.counts)
    assert (first.posts, first.closeness_sum, first.closeness_squares) == (
        second.posts,
        second.closeness_sum,
        second.closeness_squares,
    )


def test_a_core_reads_and_compares_ten_thousand_posts_in_a_second() -> None:
    """Measured 40,000; CPU time, so that a busy machine does not matter."""
    posts = [
        f"post {i} about forest fire season and #agents, with some more words in it" for i in range(5000)
    ]
    started = time.process_time()
    profile = learned([fold(post) for post in posts])
    for buckets in buckets_of(posts):
        profile.closeness(buckets)
    assert time.process_time() - started < 1.0
