"""Every argument is checked, and says what would do instead."""

import base64
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.query.asking import Cursors, Question, Refusal, moment, number, question, text_argument


def asked(**arguments: Any) -> Question:
    usual: dict[str, Any] = {"limit": 20, "max_chars": 8000, "fields": None}
    return question(**usual | {"known_fields": ("x", "y"), "default_fields": ("x",)} | arguments)


def refused(**arguments: Any) -> str:
    with pytest.raises(Refusal) as error:
        asked(**arguments)
    return error.value.error.code


def test_a_date_is_that_whole_day_and_the_times_are_utc() -> None:
    one_day = asked(since="2026-03-01", until="2026-03-01", as_of=date(2026, 3, 1))
    assert one_day.since == datetime(2026, 3, 1, tzinfo=UTC)
    assert one_day.until == datetime(2026, 3, 2, tzinfo=UTC)
    assert one_day.as_of == datetime(2026, 3, 1, 23, 59, 59, 999999, tzinfo=UTC)
    assert asked(since="2026-03-01T06:00").since == datetime(2026, 3, 1, 6, tzinfo=UTC)
    east = datetime(2026, 3, 1, 8, tzinfo=timezone(timedelta(hours=2)))
    assert asked(since=east).since == asked(since="2026-03-01T08:00+02:00").since
    assert str(asked(since=east).since).startswith("2026-03-01 06:00")


@pytest.mark.parametrize("value", ["", "yesterday", "2026-13-01", "9999-12-31", "0001-01-01T00:00+14:00", 5])
@pytest.mark.parametrize("name", ["until", "as_of"])
def test_what_is_no_time_is_refused(name: str, value: Any) -> None:
    if (name, value) == ("as_of", "9999-12-31"):
        value = "9999-12-31T23:59-14:00"
    assert refused(**{name: value}) == "invalid_time_range"


def test_a_window_begins_before_it_ends() -> None:
    assert refused(since="2026-03-02", until="2026-03-01") == "invalid_time_range"
    assert refused(since="2026-03-02T00:00Z", until="2026-03-02T00:00Z") == "invalid_time_range"


@pytest.mark.parametrize("limit", [0, -1, 201, pytest.param(10**5000, id="huge"), True, "20", 2.5, None])
def test_limits_are_whole_numbers_up_to_200(limit: Any) -> None:
    assert refused(limit=limit) == "invalid_limit"
    assert asked(limit=200).limit == 200


def test_fields_and_characters() -> None:
    assert asked().fields == {"x"}
    assert asked(fields=["y", "x"]).fields == {"x", "y"}
    assert asked(fields="y").fields == {"y"}
    assert asked(fields=[]).fields == frozenset()
    for fields in (["z"], ["half a \ud800"], [["x"]], "z" * 10**6, 5, {"x": 1}):
        with pytest.raises(Refusal) as error:
            asked(fields=fields)
        told = error.value.error
        assert (told.code, told.choices) == ("invalid_argument", ["x", "y"])
        assert len(told.to_json()) < 500
    assert refused(max_chars=0) == "invalid_argument"


@pytest.mark.parametrize("value", ["nul \x00", "half a \ud800", b"bytes", 7])
def test_texts_that_the_server_cannot_take_are_refused(value: Any) -> None:
    with pytest.raises(Refusal):
        text_argument(value, "text")


@given(
    place=st.tuples(
        st.integers(0, 2**31 - 1), st.datetimes(timezones=st.just(UTC)), st.floats(allow_nan=False)
    )
)
def test_a_cursor_says_the_same_place_to_its_own_question_only(place: tuple[Any, ...]) -> None:
    cursors = Cursors(("a question", 1), (number, moment, float))
    written = cursors.write(place)
    assert cursors.read(written) == place
    assert len(written) <= 200
    with pytest.raises(Refusal, match="another question"):
        Cursors(("a question", 2), (number, moment, float)).read(written)


@given(garbage=st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_what_is_no_cursor_is_refused(garbage: str) -> None:
    with pytest.raises(Refusal) as error:
        Cursors(("a question",), (number, moment)).read(garbage)
    assert error.value.error.code == "invalid_cursor"


@pytest.mark.parametrize(
    "place",
    [(2**31, "2026-03-01T00:00+00:00"), (1, "2026-03-01T00:00"), (1,), (1, 2, 3)],
)
def test_a_cursor_with_a_place_that_cannot_be_is_refused(place: tuple[Any, ...]) -> None:
    cursors = Cursors(("a question",), (number, moment))
    with pytest.raises(Refusal):
        cursors.read(cursors.write(place))


@pytest.mark.parametrize("number_in_it", ["Infinity", "NaN", "1" + "0" * 400, "true", "[]"])
def test_a_cursor_that_somebody_made_up_is_refused(number_in_it: str) -> None:
    document = f'["0123456789ab", {number_in_it}, {number_in_it}]'.encode()
    with pytest.raises(Refusal) as error:
        Cursors(("a question",), (number, float)).read(base64.urlsafe_b64encode(document).decode())
    assert error.value.error.code == "invalid_cursor"
