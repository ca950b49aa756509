"""What is learnt of topics and users, once per content, whatever happens meanwhile."""

import uuid
from typing import Any

import pytest
from sqlalchemy import Connection, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents import prepare
from temporal_pipeline.defs.contents.learning import TEXTS_PER_OWNER, known_of, queries, stride
from temporal_pipeline.defs.contents.prepare import prepare_contents
from temporal_pipeline.defs.contents.relevance.language import LANGUAGE
from tests.crosshot_rows import add_content, add_topic, add_user, at

FIRES = [f"agents report: the wildfire near canyon {n} burns, people leave" for n in range(12)]
STRANGE = "agents sell cheap watches"


def add_posts(
    connection: Connection, owner: dict[str, uuid.UUID], posts: list[str], **columns: Any
) -> list[uuid.UUID]:
    return [add_content(connection, text=said, **(owner | columns)) for said in posts]


def scores(database: Database) -> dict[str, float | None]:
    with database.transaction() as connection:
        rows = connection.execute(text("SELECT text, relevance_score FROM contents"))
        return {row.text: row.relevance_score for row in rows}


def learned(database: Database) -> dict[tuple[str, uuid.UUID], Any]:
    with database.transaction() as connection:
        rows = connection.execute(
            text("SELECT entity_type, entity_id FROM temporal_pipeline.language_profile")
        )
        return dict(known_of(connection, [(row.entity_type, row.entity_id) for row in rows]))


def test_a_topics_first_contents_are_scored_by_its_own_language(database: Database) -> None:
    with database.transaction() as connection:
        add_posts(connection, {"topic": add_topic(connection)}, [*FIRES, STRANGE])
    prepare_contents(database)
    found = scores(database)
    assert found[STRANGE] is not None
    assert found[STRANGE] < min(found[post] or 0 for post in FIRES)


def test_each_content_is_learnt_once(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_posts(connection, {"topic": topic}, FIRES)
    prepare_contents(database)
    prepare_contents(database)
    (known,) = learned(database).values()
    assert (known.profile.posts, known.contents, known.hours) == (12, 12, 1)
    with database.transaction() as connection:
        add_posts(connection, {"topic": topic}, [STRANGE], crawled_at=at(3))
        add_content(connection, topic=topic, text=None, crawled_at=at(4), published_at=at(0.5))
    prepare_contents(database)
    (known,) = learned(database).values()
    assert (known.profile.posts, known.contents, known.hours) == (13, 14, 2)


def test_a_content_with_two_owners_teaches_both(database: Database) -> None:
    with database.transaction() as connection:
        topic, user = add_topic(connection), add_user(connection)
        add_posts(connection, {"topic": topic, "user": user}, FIRES)
    prepare_contents(database)
    found = learned(database)
    assert {owner: known.profile.posts for owner, known in found.items()} == {
        ("topic", topic): 12,
        ("user", user): 12,
    }


def test_a_user_is_scored_against_its_own_words_and_its_topics(database: Database) -> None:
    """Bob, who appears in no topic, writes what Ada writes."""
    with database.transaction() as connection:
        topic, ada, bob = add_topic(connection), add_user(connection), add_user(connection, "bob")
        connection.execute(
            text("INSERT INTO topic_users (topic_id, user_id) VALUES (:topic, :user)"),
            {"topic": topic, "user": ada},
        )
        add_posts(connection, {"topic": topic}, FIRES)
        cats = [f"my cat sleeps on chair {n} all day" for n in range(12)]
        for user, name in ((ada, "ada"), (bob, "bob")):
            own = [
                *cats,
                "the wildfire near the canyon burns, people leave",
                "quarterly figures exceeded guidance",
            ]
            add_posts(connection, {"user": user}, [f"{said} {name}" for said in own])
    prepare_contents(database)
    found = {said: score or 0 for said, score in scores(database).items()}
    for name in ("ada", "bob"):
        assert (
            found[f"quarterly figures exceeded guidance {name}"]
            < found[f"my cat sleeps on chair 3 all day {name}"]
        )
    fire = "the wildfire near the canyon burns, people leave"
    assert found[f"{fire} ada"] > found[f"{fire} bob"]


@pytest.mark.parametrize(("batch_size", "workers"), [(3, 1), (1000, 2)])
def test_scores_do_not_depend_on_batches_nor_on_a_death(
    database: Database, monkeypatch: pytest.MonkeyPatch, batch_size: int, workers: int
) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_posts(connection, {"topic": topic}, [*FIRES, STRANGE])
    prepare_contents(database)
    expected, profile = scores(database), learned(database)["topic", topic]
    with database.transaction() as connection:
        connection.execute(text("UPDATE contents SET relevance_score = NULL, published_at = NULL"))
        connection.execute(text("DELETE FROM temporal_pipeline.prepared_content"))
        connection.execute(text("DELETE FROM temporal_pipeline.language_profile"))
    learn = prepare.learn_new

    def learn_and_die(*arguments: Any) -> Any:
        learn(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(prepare, "learn_new", learn_and_die)
        with pytest.raises(KeyboardInterrupt):
            prepare_contents(database)
    assert prepare_contents(database, batch_size=batch_size, workers=workers).scored == 13
    assert scores(database) == expected
    again = learned(database)["topic", topic]
    assert (again.profile.counts == profile.profile.counts).all()
    assert (again.profile.posts, again.contents) == (profile.profile.posts, profile.contents)


def test_a_busy_moment_counts(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for hour in range(20):
            add_content(connection, topic=topic, published_at=at(hour - 20))
        burst = [add_content(connection, topic=topic, published_at=at(-30)) for _ in range(20)]
    prepare_contents(database)
    with database.transaction() as connection:
        busy, usual = (
            connection.scalars(
                text("SELECT DISTINCT relevance_score FROM contents WHERE (id = ANY (:burst)) = :which"),
                {"burst": burst, "which": which},
            ).one()
            for which in (True, False)
        )
    assert busy > usual


def test_what_was_learnt_of_a_topic_that_is_gone_goes(database: Database) -> None:
    with database.transaction() as connection:
        add_content(connection, topic=add_topic(connection, "one"))
    prepare_contents(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE contents SET topic_id = NULL"))
        connection.execute(text("DELETE FROM topics"))
        kept = add_topic(connection, "two")
        add_content(connection, topic=kept)
    prepare_contents(database)
    assert learned(database).keys() == {("topic", kept)}


def test_only_a_sample_of_very_many_texts_is_read() -> None:
    assert (stride(0, 0), stride(TEXTS_PER_OWNER, TEXTS_PER_OWNER)) == (1, 1)
    assert stride(1_000_000, 1_000_000) == 1_000_000 // TEXTS_PER_OWNER
    assert stride(50_000, 0) == 5


def test_new_contents_are_found_through_their_index(database: Database) -> None:
    """Whatever a topic has already is not read again."""
    with database.transaction() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        scope = {"everybody": True, "entity_ids": [], "since": None}
        plan = connection.execute(
            text(f"EXPLAIN {queries['owners_to_learn']}"), scope | {"language": LANGUAGE}
        )
        assert "idx_contents_unprepared" in "\n".join(plan.scalars())
