"""Episodes as findings: severity by score and size, figures, and sentences with numbers that mean something."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.events.finding.detection import score
from temporal_pipeline.defs.events.finding.findings import Finding
from temporal_pipeline.defs.events.finding.hourly import finding, number, short_name, with_terms
from temporal_pipeline.defs.events.finding.lifecycle import OPEN_SCORE, Episode, Series
from temporal_pipeline.defs.events.finding.series import CONTROVERSY, ENGAGEMENT, VOLUME, Metric

FIRST = datetime(2026, 1, 4, 14, tzinfo=UTC)
START = FIRST + timedelta(hours=24)
HOUR = timedelta(hours=1)
TERMS = [("outage", 23), ("rollback", 12), ("故障", 4), ("status", 3)]


def episode(peak: float = 31, usual: float = 6, hours: int = 1, **changes: Any) -> Episode:
    breaches = tuple(START + i * HOUR for i in range(hours))
    one = Episode(
        direction="up",
        onset=START,
        last_breach=breaches[-1],
        state="active",
        resolved_at=None,
        peak=START,
        peak_value=peak,
        score=4.26,
        usual=usual,
        hours=29,
        tier="A",
        breaches=breaches,
    )
    return replace(one, **changes)


def found(one: Episode, metric: Metric = VOLUME, name: str = "AI agents") -> Finding:
    """The finding in a series of the usual, interrupted by the breaches."""
    values = np.full(24 + len(one.breaches), one.usual)
    values[24:] = one.peak_value
    return finding(name, metric, one, Series(FIRST, values), START + 2 * HOUR)


def title(one: Episode, metric: Metric = VOLUME) -> str:
    return found(one, metric).title


def resolved(one: Episode) -> Episode:
    return replace(one, state="resolved", resolved_at=one.last_breach + 7 * HOUR)


def test_title() -> None:
    assert with_terms(found(episode()), TERMS).title == (
        "AI agents: 31 posts at 2026-01-05 14:00 UTC, 5.2× the usual 6 per hour (outage, rollback, 故障)"
    )


@pytest.mark.parametrize(
    ("usual", "words"),
    [
        (6.04, "5.1× the usual 6 per hour"),
        (1234.5, "0.0× the usual 1,234 per hour"),
        (0.2, "where 4.8 a day are usual"),
        (0.02, "where hardly any are usual"),
    ],
)
def test_what_is_usual_is_said_in_numbers_that_mean_something(usual: float, words: str) -> None:
    assert title(episode(usual=usual)).endswith(words)


def test_titles_of_drops_and_rates() -> None:
    down = {"direction": "down", "score": 3.0}
    assert title(episode(0, 12, **down)) == (
        "AI agents: no posts at 2026-01-05 14:00 UTC, where 12 per hour are usual"
    )
    assert title(episode(2, 12, **down)) == (
        "AI agents: only 2 posts at 2026-01-05 14:00 UTC, where 12 per hour are usual"
    )
    assert title(episode(np.log1p(40.4), np.log1p(4)), ENGAGEMENT) == (
        "AI agents: 40 reactions per post at 2026-01-05 14:00 UTC, where 4 are usual"
    )
    assert title(episode(np.log1p(0.5), np.log1p(4), **down), ENGAGEMENT) == (
        "AI agents: only 0.5 reactions per post at 2026-01-05 14:00 UTC, where 4 are usual"
    )
    assert title(episode(np.log(3.2), np.log(0.25)), CONTROVERSY) == (
        "AI agents: 3.2 replies per like or repost at 2026-01-05 14:00 UTC, where 0.2 are usual"
    )


@given(st.text(min_size=1, max_size=256), st.lists(st.tuples(st.text(max_size=200), st.integers(3, 50))))
def test_a_title_fits_its_column(name: str, terms: list[tuple[str, int]]) -> None:
    assert 0 < len(with_terms(found(episode(), name=name), terms).title) <= 256


def test_description() -> None:
    assert with_terms(found(episode(hours=3)), TERMS[:2]).description == (
        "3 hours stand out between 2026-01-05 14:00 and 2026-01-05 17:00 UTC; the furthest from the usual begins at "
        "2026-01-05 14:00, with 31 posts per hour. 6 posts per hour were usual in the 29 covered hours compared "
        "with; chance alone goes that far in one of 18,197 hours (score 4.3, an event begins at 2.2). "
        "More frequent than in the days before: outage (23 posts), rollback (12 posts)."
    )
    assert found(episode()).description.startswith("One hour stands out: 2026-01-05 14:00 UTC.")


def test_without_terms_nothing_is_said_of_them() -> None:
    plain = found(episode())
    assert with_terms(plain, []) is plain
    assert with_terms(plain, TERMS).figures["terms"] == ["outage", "rollback", "故障", "status"]


def test_the_note_of_an_end() -> None:
    assert found(episode()).resolution_note is None
    assert found(resolved(episode())).resolution_note == (
        "quiet for 6 h; peak 2026-01-05 14:00 UTC, 5.2× the usual 6 posts per hour"
    )
    silence = resolved(episode(0, 12, direction="down"))
    assert found(silence).resolution_note == (
        "quiet for 6 h; low 2026-01-05 14:00 UTC, 0 against the usual 12 posts per hour"
    )
    expired = replace(resolved(episode()), state="expired")
    assert found(expired).resolution_note == (
        "not covered by any crawl for 7 days; peak 2026-01-05 14:00 UTC, 5.2× the usual 6 posts per hour"
    )
    rate = found(replace(expired, peak_value=2.0, usual=1.0), ENGAGEMENT)
    assert str(rate.resolution_note).startswith("too few posts to judge for 7 days; ")


def test_it_says_when_it_flared_up_again() -> None:
    again = episode(hours=3, reopened=(START + 2 * HOUR,))
    assert found(again).description.endswith("It flared up again at 2026-01-05 16:00.")
    assert (found(again).figures["reopened_count"], found(again).figures["reopened"]) == (
        1,
        ["2026-01-05T16:00:00+00:00"],
    )


@pytest.mark.parametrize(
    ("peak", "usual", "strength", "expected"),
    [
        (31, 6, 4.0, "critical"),
        (31, 6, 2.9, "warning"),
        (31, 11, 4.0, "warning"),
        (21, 1.5, 4.0, "warning"),
        (12, 0.5, 4.0, "warning"),
        (4, 0.02, 4.0, "info"),
    ],
)
def test_severity_of_bursts_is_by_score_and_size(
    peak: float, usual: float, strength: float, expected: str
) -> None:
    assert found(episode(peak, usual, score=strength)).severity == expected


def test_severity_of_drops_and_rates() -> None:
    assert found(episode(0, 500, direction="down", score=9.0)).severity == "warning"
    assert found(episode(6.0, 1.0, score=9.0), ENGAGEMENT).severity == "warning"
    assert found(episode(6.0, 1.0, score=2.5), CONTROVERSY).severity == "info"


def test_the_threshold_is_the_least_count_that_is_an_alarm() -> None:
    values = np.array([float(3 + i % 3) for i in range(24)] + [31.0])
    one = finding("x", VOLUME, episode(usual=4.0), Series(FIRST, values), START)
    threshold = one.figures["threshold_count"]
    assert 5 < threshold < 31

    def up(count: float) -> float:
        [scored] = score([np.append(values[:-1], count)], [24])
        return float(scored.up[0])

    assert up(threshold - 1) < OPEN_SCORE <= up(threshold)


def test_only_bursts_of_posts_have_a_threshold() -> None:
    assert "threshold_count" not in found(episode(0, 12, direction="down")).figures
    assert "threshold_count" not in found(episode(3.0, 1.0), ENGAGEMENT).figures


def test_the_excess_of_each_hour_and_what_absences_cite() -> None:
    upward = found(episode(hours=2))
    assert upward.excess == {START: 25, START + HOUR: 25}
    assert not upward.cites_posts_before
    downward = found(episode(0, 12, direction="down"))
    assert (downward.excess, downward.cites_posts_before) == ({}, True)
    assert found(episode(np.log1p(9), np.log1p(4)), ENGAGEMENT).excess == {START: pytest.approx(5)}


def test_what_identifies_a_finding() -> None:
    one = found(resolved(episode(0, 12, direction="down")))
    assert (one.key, one.metric, one.direction, one.event_type) == (
        "volume_down",
        "volume",
        "down",
        "anomaly",
    )
    assert (one.onset, one.last_breach, one.known_at, one.resolved_at) == (
        START,
        START,
        START + 2 * HOUR,
        START + 7 * HOUR,
    )
    assert not one.is_open
    assert found(episode(), CONTROVERSY).event_type == "controversy"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (0.04, "0.04"), (0.25, "0.2"), (6.04, "6"), (6.5, "6.5"), (12.4, "12"), (12345, "12,345")],
)
def test_numbers(value: float, said: str) -> None:
    assert number(value) == said


def test_a_long_name_is_cut() -> None:
    assert short_name("x" * 100) == "x" * 100
    assert short_name("x" * 101) == "x" * 99 + "…"
