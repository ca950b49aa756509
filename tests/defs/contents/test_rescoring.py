"""Scoring again on purpose, beside scores that are not ours."""

import uuid
from typing import Any

import pytest
from sqlalchemy import Row, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents import rescoring
from temporal_pipeline.defs.contents.prepare import prepare_contents
from temporal_pipeline.defs.contents.relevance.scoring import METHOD, NO_TEXT
from temporal_pipeline.defs.contents.rescoring import explain, rescore, scores_of
from temporal_pipeline.entities import Entity
from temporal_pipeline.errors import PipelineError
from tests.crosshot_rows import add_content, add_topic, add_user


@pytest.fixture
def topic(database: Database) -> Entity:
    with database.transaction() as connection:
        return Entity("topic", add_topic(connection), "AI agents")


def content(database: Database, identity: uuid.UUID) -> Row[Any]:
    with database.transaction() as connection:
        return connection.execute(
            text(
                "SELECT c.relevance_score, p.method, p.scored, p.note, p.relevance_score AS noted FROM contents c "
                "LEFT JOIN temporal_pipeline.prepared_content p ON p.content_id = c.id WHERE c.id = :id"
            ),
            {"id": identity},
        ).one()


def change(database: Database, statement: str, **values: Any) -> None:
    with database.transaction() as connection:
        connection.execute(text(statement), values)


def test_ours_are_scored_anew_and_others_stay(database: Database, topic: Entity) -> None:
    with database.transaction() as connection:
        ours = add_content(connection, topic=topic.id)
        first_elsewhere = add_content(connection, topic=topic.id, relevance_score=0.11)
        later_elsewhere = add_content(connection, topic=topic.id)
        silent = add_content(connection, topic=topic.id, text=None)
        other = add_content(connection, topic=add_topic(connection, "another"), text="no such word")
    prepare_contents(database)
    change(database, "UPDATE contents SET relevance_score = 0.22 WHERE id = :id", id=later_elsewhere)
    change(database, "UPDATE temporal_pipeline.prepared_content SET method = 'keywords-1'")
    change(database, "UPDATE topics SET keywords = '{batteries}'")
    with database.transaction() as connection:
        assert scores_of(connection, topic) == {
            "keywords-1": 1,
            "scored elsewhere": 2,
            "without a score": 1,
        }
    before, of_another = content(database, ours), content(database, other)
    done = rescore(database, topic)
    assert (done.contents, done.scored, done.kept) == (2, 1, 0)
    after = content(database, ours)
    assert before.relevance_score > 0.7 > after.relevance_score == after.noted
    assert after.method == METHOD
    assert content(database, first_elsewhere).relevance_score == 0.11
    assert content(database, later_elsewhere).relevance_score == 0.22
    assert content(database, silent).note.endswith(NO_TEXT)
    assert content(database, other) == of_another


def test_a_content_that_got_its_text_later_is_scored(database: Database, topic: Entity) -> None:
    with database.transaction() as connection:
        silent = add_content(connection, topic=topic.id, text=None)
    prepare_contents(database)
    change(database, "UPDATE contents SET text = 'about agents'")
    rescore(database, topic)
    row = content(database, silent)
    assert row.relevance_score > 0.7
    assert (row.scored, NO_TEXT in row.note) == (True, False)


def test_a_second_time_changes_nothing_and_prepares_nothing(
    database: Database, topic: Entity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescoring, "IDS_AT_ONCE", 4)
    with database.transaction() as connection:
        posts = [add_content(connection, topic=topic.id, text=f"agents at work, day {n}") for n in range(9)]
    prepare_contents(database)
    rescore(database, topic)
    found = [content(database, post) for post in posts]
    assert rescore(database, topic).contents == 9
    assert [content(database, post) for post in posts] == found
    assert prepare_contents(database).rows_written == 0


def test_a_score_from_before_our_notes_is_ours(database: Database, topic: Entity) -> None:
    with database.transaction() as connection:
        post = add_content(connection, topic=topic.id)
    prepare_contents(database)
    change(database, "UPDATE contents SET relevance_score = 0.7")
    change(database, "UPDATE temporal_pipeline.prepared_content SET relevance_score = NULL")
    rescore(database, topic)
    assert content(database, post).relevance_score > 0.7


def test_what_the_application_holds_is_left(database: Database, topic: Entity) -> None:
    with database.transaction() as connection:
        post = add_content(connection, topic=topic.id)
    prepare_contents(database)
    change(database, "UPDATE topics SET keywords = '{batteries}'")
    with database.transaction() as application:
        application.execute(text("UPDATE contents SET lang = 'en' WHERE id = :id"), {"id": post})
        assert rescore(database, topic).kept == 1
    assert content(database, post).relevance_score > 0.7
    assert rescore(database, topic).kept == 0
    assert content(database, post).relevance_score < 0.7


def test_of_a_user_only_what_no_topic_owns(database: Database, topic: Entity) -> None:
    with database.transaction() as connection:
        ada = Entity("user", add_user(connection), "ada")
        own = add_content(connection, user=ada.id)
        shared = add_content(connection, user=ada.id, topic=topic.id)
    prepare_contents(database)
    change(database, "UPDATE temporal_pipeline.prepared_content SET method = 'old'")
    assert rescore(database, ada).contents == 1
    assert (content(database, own).method, content(database, shared).method) == (METHOD, "old")


def test_an_explanation_is_the_score_and_writes_nothing(database: Database, topic: Entity) -> None:
    with database.transaction() as connection:
        post = add_content(connection, topic=topic.id, text="Agents!", processing_status="skipped")
        for n in range(5):
            add_content(connection, topic=topic.id, text=f"agents at work, day {n}")
    prepare_contents(database)
    found = explain(database, post)
    assert found.parts is not None
    assert found.parts.score == found.now == found.stored
    assert (found.named, found.is_ours, found.method) == (("agents",), True, METHOD)
    assert found.parts.triage < 0 > found.parts.closeness
    change(database, "UPDATE contents SET relevance_score = 0.5 WHERE id = :id", id=post)
    elsewhere = explain(database, post)
    assert (elsewhere.now, elsewhere.stored, elsewhere.is_ours) == (found.now, 0.5, False)


def test_an_explanation_of_what_has_no_score(database: Database, topic: Entity) -> None:
    with database.transaction() as connection:
        silent = add_content(connection, topic=topic.id, text=" ")
        new = add_content(connection)
    prepare_contents(database, entities=[topic])
    assert explain(database, silent).reason.endswith(NO_TEXT)  # type: ignore[union-attr]
    found = explain(database, new)
    assert (found.parts, found.stored, found.is_ours, found.method) == (None, None, None, None)
    with pytest.raises(PipelineError, match="there is no content"):
        explain(database, uuid.uuid4())
