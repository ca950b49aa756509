"""Events in words: severity, title and description, all made of figures."""

from collections.abc import Sequence

from temporal_pipeline.crawls.coverage import HOUR
from temporal_pipeline.defs.events.detection import ALARM_Z
from temporal_pipeline.defs.events.episodes import Episode

TITLE_LENGTH = 256
NAME_LENGTH = 100
TERMS_IN_TITLE = 3
SEVERITIES = ("info", "warning", "critical")
# Judged by posts beyond the usual, since in a quiet topic a handful is many times the usual.
CRITICAL_RATIO = 3.0
CRITICAL_EXCESS = 20.0
WARNING_EXCESS = 5.0

Terms = Sequence[tuple[str, int]]


def severity(episode: Episode, earlier: str | None = None) -> str:
    """`critical`: at least 3 times the usual and 20 posts more; `warning`: 5 posts more; else `info`.

    Never less than it was `earlier`.
    """
    if episode.ratio >= CRITICAL_RATIO and episode.excess >= CRITICAL_EXCESS:
        now = "critical"
    else:
        now = "warning" if episode.excess >= WARNING_EXCESS else "info"
    return max(now, earlier or now, key=SEVERITIES.index)


def title(entity_name: str, episode: Episode, terms: Terms) -> str:
    """One line of at most 256 characters: how many posts when, against how many usually, about what."""
    name = entity_name if len(entity_name) <= NAME_LENGTH else entity_name[: NAME_LENGTH - 1] + "…"
    line = f"{name}: {episode.peak_count:,} posts at {episode.peak:%Y-%m-%d %H:%M} UTC, {_usual(episode)}"
    about = ", ".join(term for term, _ in terms[:TERMS_IN_TITLE])
    line = f"{line} ({about})" if about else line
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"


def description(episode: Episode, terms: Terms) -> str:
    """The figures behind the event in a few sentences."""
    hours = len(episode.alarms)
    if hours == 1:
        sentences = [f"One hour stands out: {episode.onset:%Y-%m-%d %H:%M} UTC with {episode.posts:,} posts."]
    else:
        sentences = [
            f"{hours} hours stand out between {episode.onset:%Y-%m-%d %H:%M} and "
            f"{episode.last_alarm + HOUR:%Y-%m-%d %H:%M} UTC, with {episode.posts:,} posts in all; "
            f"the busiest begins at {episode.peak:%Y-%m-%d %H:%M} with {episode.peak_count:,}."
        ]
    sentences.append(
        f"{_number(episode.baseline)} posts per hour were usual in the {episode.n_baseline} covered hours "
        f"compared with; the highest score is {episode.z:.1f}, and an alarm needs {ALARM_Z}."
    )
    if terms:
        named = ", ".join(f"{term} ({n:,} posts)" for term, n in terms)
        sentences.append(f"More frequent than in the days before: {named}.")
    return " ".join(sentences)


def _usual(episode: Episode) -> str:
    if episode.baseline >= 1:
        return f"{episode.ratio:.1f}× the usual {_number(episode.baseline)} per hour"
    if episode.baseline * 24 >= 1:
        return f"where {_number(episode.baseline * 24)} a day are usual"
    return "where hardly any are usual"


def _number(value: float) -> str:
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}".removesuffix(".0") if value >= 0.1 else f"{value:.2f}"
