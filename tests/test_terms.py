"""Terms of posts in Latin and CJK script, and which of them rise."""

from temporal_pipeline.terms import document_frequencies, rising_terms, terms_of


def test_words_and_hashtags_are_folded_and_links_and_function_words_left_out() -> None:
    assert terms_of("The Agents of #OpenSource see https://x.example/Abc don’t") == {
        "agents",
        "#opensource",
        "see",
        "don’t",
    }


def test_chinese_is_counted_in_pairs_also_beside_latin() -> None:
    assert terms_of("人工智能AI很强 model") == {"人工", "工智", "智能", "很强", "model"}


def test_a_post_counts_a_term_once() -> None:
    counts, posts = document_frequencies(["alpha alpha", "alpha beta"])
    assert (counts["alpha"], counts["beta"], posts) == (2, 1, 2)


def test_what_grew_rises_and_what_is_rare_or_steady_does_not() -> None:
    before = ["agents are steady"] * 20
    now = ["agents are steady"] * 20 + ["outage again"] * 6 + ["hapax"]
    assert rising_terms(now, before) == [("again", 6), ("outage", 6)]


def test_nothing_before_means_most_used() -> None:
    assert rising_terms(["alpha beta"] * 3 + ["alpha"], [])[0] == ("alpha", 4)
