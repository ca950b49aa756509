"""The words of an event: severity, title and description."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_pipeline.defs.events.episodes import Episode
from temporal_pipeline.defs.events.wording import description, severity, title

START = datetime(2026, 1, 5, 14, tzinfo=UTC)
TERMS = [("outage", 23), ("rollback", 12), ("故障", 4), ("status", 3)]


def episode(peak_count: int = 31, baseline: float = 6, hours: int = 1) -> Episode:
    alarms = tuple(START + timedelta(hours=i) for i in range(hours))
    return Episode(
        onset=START,
        last_alarm=alarms[-1],
        resolved_at=None,
        alarms=alarms,
        baseline=baseline,
        n_baseline=29,
        threshold_count=14,
        peak=START,
        peak_count=peak_count,
        z=7.26,
        posts=peak_count * hours,
    )


def test_title():
    assert title("AI agents", episode(), TERMS) == (
        "AI agents: 31 posts at 2026-01-05 14:00 UTC, 5.2× the usual 6 per hour (outage, rollback, 故障)"
    )


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        (6.04, "5.1× the usual 6 per hour"),
        (0.2, "where 4.8 a day are usual"),
        (0.02, "where hardly any are usual"),
    ],
)
def test_what_is_usual_is_said_in_numbers_that_mean_something(baseline: float, words: str):
    assert title("AI agents", episode(baseline=baseline), []).endswith(words)


@given(st.text(min_size=1, max_size=256), st.lists(st.tuples(st.text(max_size=200), st.integers(3, 50))))
def test_a_title_fits_its_column(name, terms):
    assert 0 < len(title(name, episode(), terms)) <= 256


def test_description():
    assert description(episode(hours=3), TERMS[:2]) == (
        "3 hours stand out between 2026-01-05 14:00 and 2026-01-05 17:00 UTC, with 93 posts in all; "
        "the busiest begins at 2026-01-05 14:00 with 31. "
        "6 posts per hour were usual in the 29 covered hours compared with; "
        "the highest score is 7.3, and an alarm needs 2.9. "
        "More frequent than in the days before: outage (23 posts), rollback (12 posts)."
    )
    assert description(episode(), []).startswith("One hour stands out: 2026-01-05 14:00 UTC with 31 posts.")


@pytest.mark.parametrize(
    ("peak_count", "baseline", "expected"),
    [(31, 6, "critical"), (31, 11, "warning"), (12, 0.5, "warning"), (4, 0.02, "info")],
)
def test_severity(peak_count: int, baseline: float, expected: str):
    assert severity(episode(peak_count, baseline)) == expected


def test_severity_is_never_lowered():
    assert severity(episode(4, 0.02), "critical") == "critical"
    assert severity(episode(31, 6), "info") == "critical"
