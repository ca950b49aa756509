"""Milestones, gaps and silent queries: examples of each, and that updates after each step record the same."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.crawls.coverage import Crawl, covered_intervals
from temporal_pipeline.defs.events.finding.findings import Finding
from temporal_pipeline.defs.events.finding.occurrences import (
    LONGEST_KEY,
    PeriodTotal,
    Run,
    crawl_gaps,
    milestones,
    silent_key,
    silent_queries,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hour: float) -> datetime:
    return START + hour * HOUR


def recorded(
    steps: Sequence[datetime | None], find: Callable[[int, datetime | None], list[Finding]]
) -> dict[datetime, Finding]:
    """What is known after updates one after the other, each from where the one before ended or what is open began."""
    rows: dict[datetime, Finding] = {}
    begin: datetime | None = None
    for n, step in enumerate(steps, 1):
        found = find(n, min([begin, *(row.onset for row in rows.values() if row.is_open)]) if begin else None)
        for row in rows.values():
            assert not row.is_open or row.onset in {one.onset for one in found}, "lost while it was open"
        for one in found:
            old = rows.get(one.onset)
            assert old is None or old.known_at == one.known_at
            rows[one.onset] = one
        begin = step
    return rows


def assert_complete(one: Finding) -> None:
    assert 0 < len(one.title) <= 256
    assert one.description.endswith(".")
    assert one.is_open == (one.resolution_note is None) == (one.state == "active")
    assert one.onset <= one.last_breach
    assert one.onset <= one.known_at
    assert json.loads(json.dumps(dict(one.figures), allow_nan=False)) == one.figures


NAMES = st.text(min_size=1, max_size=300)


# Milestones.


def totals(*posts: int) -> list[PeriodTotal]:
    """One period a day with so many posts each."""
    return [
        PeriodTotal(n, at(24 * n), at(24 * n + 1), count, sum(posts[:n])) for n, count in enumerate(posts)
    ]


def passed(*posts: int) -> list[tuple[int, str]]:
    return [(one.figures["period_number"], one.key) for one in milestones("AI agents", totals(*posts))]


@pytest.mark.parametrize(
    ("posts", "expected"),
    [
        ((99, 1), [(1, "milestone_100")]),
        ((98, 1), []),
        ((5, 4, 2), []),
        ((100, 5), []),
        ((5000, 10), []),
        ((60, 10_000), [(1, "milestone_10000")]),
        ((60, 40, 1, 899, 1), [(1, "milestone_100"), (3, "milestone_1000")]),
        ((0, 0, 999_999, 0, 1), [(2, "milestone_100000"), (4, "milestone_1000000")]),
    ],
)
def test_powers_of_ten_are_milestones(posts: tuple[int, ...], expected: list[tuple[int, str]]) -> None:
    assert passed(*posts) == expected


def test_a_milestone_is_over_at_once() -> None:
    [one] = milestones("AI agents", totals(950, 63))
    assert_complete(one)
    assert (one.event_type, one.severity, one.state) == ("milestone", "info", "resolved")
    assert (one.onset, one.resolved_at, one.known_at) == (at(24), at(24), at(25))
    assert one.title == "AI agents: 1,000 posts collected"
    assert one.description == "Period 1 brought 63 posts; with the 950 before it the total is 1,013."


@given(st.lists(st.integers(0, 3000), max_size=12), st.integers(0, 12), NAMES)
def test_milestones_of_each_period_by_itself(posts: list[int], begin: int, name: str) -> None:
    periods = totals(*posts)
    found = milestones(name, periods)
    assert found == [one for period in periods for one in milestones(name, [period])]
    assert milestones(name, periods[:begin]) + milestones(name, periods[begin:]) == found
    assert len({one.key for one in found}) == len(found)
    for one in found:
        assert_complete(one)


# Gaps.


def gaps(*covered: tuple[float, float], begin: float | None = None) -> list[Finding]:
    intervals = [(at(a), at(b)) for a, b in covered]
    return crawl_gaps("AI agents", intervals, None if begin is None else at(begin))


def test_time_that_no_crawl_covers_is_a_gap() -> None:
    [one] = gaps((0, 10), (16, 20))
    assert_complete(one)
    assert (one.key, one.event_type, one.severity, one.state) == ("crawl_gap", "risk", "info", "resolved")
    assert (one.onset, one.last_breach, one.known_at, one.resolved_at) == (at(10), at(10), at(16), at(16))
    assert one.figures == {"gaps": 1, "hours": 6}
    assert one.title == "AI agents: 6 hours from 2026-01-01 10:00 UTC on that no crawl covers"
    assert one.resolution_note == "crawled again from 2026-01-01 16:00 UTC on"
    assert one.cites_posts_before


def test_one_stretch_of_coverage_has_no_gap() -> None:
    assert gaps() == []
    assert gaps((0, 10)) == []


@pytest.mark.parametrize(("apart", "findings"), [(1, 1), (23.9, 1), (24, 2), (30, 2)])
def test_gaps_less_than_a_day_apart_are_one(apart: float, findings: int) -> None:
    found = gaps((0, 10), (13, 13 + apart), (17 + apart, 60))
    assert len(found) == findings
    if findings == 1:
        assert found[0].figures == {"gaps": 2, "hours": 7}
        assert (found[0].onset, found[0].known_at) == (at(10), at(13))
        assert (found[0].last_breach, found[0].resolved_at) == (at(13 + apart), at(17 + apart))
        assert " UTC there are 2 gaps of 7 hours in all that no crawl covers" in found[0].description


@pytest.mark.parametrize(("hours", "severity"), [(24, "info"), (25, "warning")])
def test_a_gap_beyond_a_day_is_a_warning(hours: int, severity: str) -> None:
    [one] = gaps((0, 10), (10 + hours, 99))
    assert one.severity == severity
    [in_parts] = gaps((0, 10), (10 + hours / 2, 30 + hours / 2), (30 + hours, 99))
    assert in_parts.severity == severity


def test_a_gap_that_ended_before_is_history() -> None:
    assert gaps((0, 10), (16, 20), begin=16) == []
    assert len(gaps((0, 10), (16, 20), begin=15.9)) == 1


@pytest.mark.parametrize(("pause", "findings"), [(9, 0), (9.1, 1)])
def test_a_pause_of_one_and_a_half_intervals_is_no_gap(pause: float, findings: int) -> None:
    times = [0, 6, 12, 12 + pause, 18 + pause]
    crawls = [Crawl(at(time), at(time + 0.1), None, False) for time in times]
    assert len(crawl_gaps("AI agents", covered_intervals(crawls, 6 * HOUR), None)) == findings


@given(st.lists(st.integers(1, 60), max_size=15), NAMES)
def test_updates_after_every_crawl_record_the_gaps_of_one_at_the_end(pauses: list[int], name: str) -> None:
    times = [at(sum(pauses[:n])) for n in range(len(pauses) + 1)]
    crawls = [Crawl(time, time + HOUR / 10, None, False) for time in times]

    def find(n: int, begin: datetime | None) -> list[Finding]:
        return crawl_gaps(name, covered_intervals(crawls[:n], 6 * HOUR), begin)

    whole = find(len(crawls), None)
    assert list(recorded(times, find).values()) == whole
    for one in whole:
        assert_complete(one)
        assert not one.is_open


# Silent queries.


def runs_of(*found: int) -> list[Run]:
    """One an hour, six minutes long."""
    return [Run(at(hour), at(hour + 0.1), n) for hour, n in enumerate(found)]


def silences(*found: int, begin: float | None = None) -> list[Finding]:
    return silent_queries("AI agents", "llm lang:en", runs_of(*found), None if begin is None else at(begin))


USUAL = [5, 3, 8, 6, 4, 5, 9, 2, 6, 5, 7, 4]


def test_a_query_that_suddenly_returns_nothing() -> None:
    assert silences(*USUAL, 0) == []
    [one] = silences(*USUAL, 0, 0)
    assert_complete(one)
    assert (one.key, one.event_type, one.severity) == ("query_silent:llm lang:en", "risk", "warning")
    assert (one.onset, one.last_breach, one.known_at) == (at(12), at(13), at(13.1))
    assert (one.state, one.resolved_at) == ("active", None)
    assert one.figures["score"] == pytest.approx(2.83, abs=0.01)  # -2 log10(0.5/13)
    assert (one.figures["n"], one.figures["empty_runs"], one.figures["query"]) == (12, 2, "llm lang:en")
    assert one.title == "AI agents: the query llm lang:en returns nothing, 2 runs in a row"
    assert one.cites_posts_before


def test_the_next_run_that_finds_something_ends_it() -> None:
    [one] = silences(*USUAL, 0, 0, 0, 4, 0)
    assert_complete(one)
    assert (one.state, one.resolved_at, one.figures["empty_runs"]) == ("resolved", at(15.1), 3)
    assert one.resolution_note == "found 4 posts again after 3 empty runs"


def test_a_query_that_is_often_empty_needs_more_of_it() -> None:
    """Six of thirteen empty: p = 6.5/14 is worth a third of a point, so that 2.2 takes seven in a row."""
    before = [3, 0] * 6 + [4]
    assert [len(silences(*before, *[0] * n)) for n in range(1, 10)] == [0] * 6 + [1] * 3


def test_few_runs_and_queries_that_never_found_anything_are_not_judged() -> None:
    assert silences(*USUAL[:9], *[0] * 9) == []
    assert len(silences(*USUAL[:10], 0, 0)) == 1
    assert silences(*[0] * 50) == []


def test_only_the_thirty_runs_before_count() -> None:
    [one] = silences(*[0, 1] * 30, *[4] * 30, 0, 0)
    assert (one.figures["n"], one.figures["baseline"]) == (30, 4)


def test_streaks_that_were_over_before_are_history() -> None:
    found = [*USUAL, 0, 0, 0, 4, 5]
    assert silences(*found, begin=14) == []
    assert len(silences(*found, begin=13.9)) == 1


def test_an_open_one_is_followed_from_its_onset() -> None:
    """Its end is seen by the update that brings it, and it goes on while other queries run."""
    [ended] = silences(*USUAL, 0, 0, 4, begin=12)
    assert (ended.state, ended.resolved_at) == ("resolved", at(14.1))
    [going_on] = silences(*USUAL, 0, 0, begin=12)
    assert going_on.is_open


def test_keys_of_long_queries_are_cut_and_stay_apart() -> None:
    long = " OR ".join(["#crisis"] * 40)
    keys = {silent_key(long + end) for end in ("", " a", " b")}
    assert len(keys) == 3
    assert silent_key(long) == silent_key(long)
    assert silent_key("x" * 107) == "query_silent:" + "x" * 107


@given(st.text(max_size=300), NAMES)
def test_keys_and_titles_fit(query: str, name: str) -> None:
    [one] = silent_queries(name, query, runs_of(*USUAL, 0, 0), None)
    assert len(one.key) <= LONGEST_KEY
    assert_complete(one)


STREAKS = st.lists(st.tuples(st.sampled_from([0, 0, 1, 7]), st.sampled_from([1, 2, 3, 12])), max_size=14).map(
    lambda streaks: [found for found, length in streaks for _ in range(length)]
)


@given(STREAKS)
def test_updates_after_every_run_record_the_silences_of_one_at_the_end(found: list[int]) -> None:
    runs = runs_of(*found)

    def find(n: int, begin: datetime | None) -> list[Finding]:
        return silent_queries("AI agents", "llm", runs[:n], begin)

    whole = find(len(runs), None)
    assert list(recorded([run.began for run in runs], find).values()) == whole
    for one in whole:
        assert_complete(one)


@given(STREAKS, st.integers(0, 60))
def test_a_prefix_of_runs_gives_the_silences_known_then(found: list[int], n: int) -> None:
    runs = runs_of(*found)
    whole, then = (silent_queries("AI agents", "llm", some, None) for some in (runs, runs[:n]))
    now = runs[min(n, len(runs)) - 1].ended if runs and n else START
    assert [(one.onset, one.known_at) for one in then] == [
        (one.onset, one.known_at) for one in whole if one.known_at <= now
    ]
    for old, new in zip(then, whole, strict=False):
        assert old == new or old.is_open
