"""What gets into the outbox, and what is history."""

from datetime import timedelta

from sqlalchemy import Connection, text

from temporal_pipeline.alerts import Alert, record
from tests.alerts.receiver import START, alert


def told(state: str, hours: int) -> Alert:
    return alert(subject="event:topic:1:volume_up", state=state, since=START + timedelta(hours=hours))


def test_each_change_of_state_is_recorded_once(connection: Connection) -> None:
    for one in (told("opened", 0), told("resolved", 7), told("reopened", 9), told("resolved", 15)):
        assert record(connection, one)
        assert not record(connection, one)
    assert connection.scalar(text("SELECT count(*) FROM temporal_pipeline.alert")) == 4


def test_history_ends_what_was_told_before_and_nothing_else(connection: Connection) -> None:
    assert not record(connection, told("resolved", 7), is_news=False)
    assert record(connection, told("opened", 0))
    # An older episode of the same subject that only late posts show.
    assert not record(connection, told("resolved", -20), is_news=False)
    assert record(connection, told("resolved", 7), is_news=False)
    assert not record(connection, told("resolved", 8), is_news=False)
