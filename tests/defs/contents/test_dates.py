"""Publication times as platforms write them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.contents.dates import (
    EARLIEST,
    NO_DATE,
    TOLERANCE,
    TOO_EARLY,
    TOO_LATE,
    UNREADABLE,
    find_published_at,
    parse_time,
)

CRAWLED = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON = datetime(2018, 10, 10, 20, 19, 24, tzinfo=UTC)
times = st.datetimes(datetime(1990, 1, 1), datetime(2026, 3, 2), timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=0)
)


@pytest.mark.parametrize(
    "written",
    [
        "Wed Oct 10 20:19:24 +0000 2018",
        "Thu Oct 11 04:19:24 +0800 2018",
        "2018-10-10T20:19:24Z",
        "2018-10-10T22:19:24+02:00",
        "2018-10-10T20:19:24.000000Z",
        "2018-10-10 20:19:24",
        " 2018-10-10 20:19:24+00 ",
        1539202764,
        1539202764.0,
        1539202764000,
        "1539202764",
        "1539202764000",
        "Wed, 10 Oct 2018 20:19:24 GMT",
        "10 Oct 2018 22:19:24 +0200",
        "Wed, 10 Oct 2018 20:19:24 -0000",
    ],
)
def test_a_time_is_read_in_every_format(written: object) -> None:
    assert parse_time(written) == NOON


@pytest.mark.parametrize("written", ["2018-10-10", "20181010"])
def test_a_date_alone_is_its_midnight_in_utc(written: str) -> None:
    assert parse_time(written) == datetime(2018, 10, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "",
        "12k",
        "NaN",
        "Infinity",
        "9" * 400,
        "1e309",
        True,
        None,
        [],
        {},
        float("nan"),
        "0000-00-00",
    ],
)
def test_nonsense_is_no_time(written: object) -> None:
    assert parse_time(written) is None


def test_a_time_at_the_edge_of_the_calendar_is_no_time() -> None:
    assert parse_time("0001-01-01T00:00:00+14:00") is None
    assert parse_time("Mon Jan 01 00:00:00 +0000 0000") is None
    assert parse_time(10**300) is None
    assert parse_time(10**5000) is None


@given(times)
def test_every_format_gives_the_same_time(time: datetime) -> None:
    assert parse_time(time.isoformat()) == time
    assert parse_time(time.timestamp()) == time
    assert parse_time(str(int(time.timestamp()))) == time
    english = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][
        time.month - 1
    ]
    assert parse_time(f"Mon {english} {time:%d %H:%M:%S} +0000 {time.year:04}") == time


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.booleans()))
def test_nothing_that_a_platform_writes_raises(value: object) -> None:
    published_at, note = find_published_at([value], CRAWLED)
    assert (published_at is None) != (note is None)
    if published_at is not None:
        assert EARLIEST <= published_at <= CRAWLED + TOLERANCE


def test_the_first_plausible_value_counts() -> None:
    assert find_published_at([None, "", "soon", "2018-10-10T20:19:24Z", "2019-01-01"], CRAWLED) == (
        NOON,
        None,
    )


@pytest.mark.parametrize(
    ("candidates", "note"),
    [
        ([], NO_DATE),
        ([None, ""], NO_DATE),
        (["soon"], UNREADABLE),
        ([0], TOO_EARLY),
        (["1989-12-31T23:59:59Z"], TOO_EARLY),
        ([(CRAWLED + timedelta(days=1, seconds=1)).isoformat()], TOO_LATE),
        (["soon", 0], UNREADABLE),
    ],
)
def test_why_there_is_no_time(candidates: list[object], note: str) -> None:
    assert find_published_at(candidates, CRAWLED) == (None, note)


def test_a_day_after_the_crawl_is_still_believed() -> None:
    time = CRAWLED + timedelta(days=1)
    assert find_published_at([time.isoformat()], CRAWLED) == (time, None)
