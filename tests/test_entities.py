"""How people name topics and users, and what they are told when they miss."""

import pytest
from sqlalchemy import Connection

from temporal_pipeline.entities import find_entities
from temporal_pipeline.errors import PipelineError
from tests.crosshot_rows import add_topic, add_user


def test_by_id_by_name_and_by_type_and_name(connection: Connection) -> None:
    topic, user = add_topic(connection, name="AI agents"), add_user(connection, name="ada")
    for wanted in (str(topic), "AI agents", "topic:AI agents"):
        found = find_entities(connection, [wanted])
        assert found is not None
        assert [(e.type, e.id) for e in found] == [("topic", topic)]
    found = find_entities(connection, ["user:ada", "AI agents"])
    assert found is not None
    assert [e.id for e in found] == [user, topic]


def test_naming_nobody_means_all(connection: Connection) -> None:
    assert find_entities(connection, []) is None


def test_an_unknown_name_is_told_the_nearest(connection: Connection) -> None:
    add_topic(connection, name="Solid-state batteries")
    with pytest.raises(PipelineError, match="no topic or user 'solid state batery'") as error:
        find_entities(connection, ["solid state batery"])
    assert "did you mean 'Solid-state batteries'?" in error.value.hint
    assert error.value.exit_code == 2


def test_a_name_that_two_bear_is_refused_with_their_ids(connection: Connection) -> None:
    topic, user = add_topic(connection, name="ada"), add_user(connection, name="ada")
    with pytest.raises(PipelineError, match="names 2 entities") as error:
        find_entities(connection, ["ada"])
    assert str(topic) in error.value.hint
    assert str(user) in error.value.hint
