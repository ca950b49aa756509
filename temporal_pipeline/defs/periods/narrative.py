"""Texts of a period computed from its figures, where the application wrote none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SHORT_LENGTH = 200
EXCERPT_LENGTH = 120
# A growth below this is told as "about as many as before".
NOTABLE_CHANGE = 0.2


@dataclass(frozen=True)
class PeriodFacts:
    """What the sentences are made of. Times are UTC; `previous` are the metrics of the period before."""

    entity_name: str
    number: int
    start: datetime
    end: datetime
    metrics: dict[str, Any]
    previous: dict[str, Any] | None
    rising: Sequence[tuple[str, int]]
    leading: Sequence[tuple[str | None, str, float]]
    completeness: float | None
    late_arrivals: int


def summary(facts: PeriodFacts) -> str:
    """A paragraph: volume against before, who and how relevant, rising terms, the leading post, gaps."""
    return " ".join([_volume(facts), *(item["text"] for item in insights(facts)["items"])])


def summary_short(text: str) -> str:
    """At most 200 characters of a text, cut at the end of a sentence or of a word."""
    text = " ".join(text.split())
    if len(text) <= SHORT_LENGTH:
        return text
    cut = text[:SHORT_LENGTH]
    sentence = max(cut.rfind(mark) for mark in (". ", "。", "! ", "? "))
    if sentence >= SHORT_LENGTH // 3:
        return cut[: sentence + 1]
    cut = cut[: SHORT_LENGTH - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut) + "…"


def insights(facts: PeriodFacts) -> dict[str, Any]:
    """What stands out, in the one shape `{"items": [{"text", "sentiment"}]}`."""
    sentences = [_relevance(facts), _terms(facts), _leading(facts), _gaps(facts), _late(facts)]
    return {"items": [{"text": text, "sentiment": "neutral"} for text in sentences if text]}


def application_insights(value: Any) -> dict[str, Any] | None:
    """The application's insights, a list or an object of its own, in our one shape; nothing usable: None."""
    if isinstance(value, dict):
        value = value.get("items", list(value.values()))
    if not isinstance(value, list):
        return None
    items = []
    for item in value:
        text = item.get("text") if isinstance(item, dict) else item
        if isinstance(text, str) and text.strip():
            sentiment = item.get("sentiment") if isinstance(item, dict) else None
            known = sentiment if sentiment in ("positive", "negative", "neutral") else "neutral"
            items.append({"text": text, "sentiment": known})
    return {"items": items} if items else None


def chat_summary(messages: int, questions: int, last_question: str | None) -> str | None:
    """The conversation about the entity in one sentence; none: None."""
    if not messages:
        return None
    text = f"{count_of(messages, 'message')}, {questions} of them questions."
    return f"{text} The latest: “{excerpt(last_question)}”" if last_question else text


def knowledge_diff(before: str | None, now: str | None) -> dict[str, list[str]] | None:
    """Lines that came and lines that went between two knowledge documents; equal documents: None."""
    if before is None or now is None or before == now:
        return None
    old, new = before.splitlines(), now.splitlines()
    old_lines, new_lines = set(old), set(new)
    return {
        "added": [line for line in new if line not in old_lines],
        "removed": [line for line in old if line not in new_lines],
    }


def excerpt(text: str) -> str:
    """A text in one line of at most 120 characters."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT_LENGTH else line[: EXCERPT_LENGTH - 1] + "…"


def count_of(n: int, noun: str) -> str:
    """`1 post`, `2 posts`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _volume(facts: PeriodFacts) -> str:
    total = facts.metrics["total_contents"]
    span = f"{facts.start:%Y-%m-%d %H:%M} to {facts.end:%Y-%m-%d %H:%M} UTC"
    text = f"{facts.entity_name}: {count_of(total, 'post')} by {count_of(facts.metrics['unique_authors'], 'author')}"
    rate = facts.metrics.get("contents_per_hour")
    before = (facts.previous or {}).get("contents_per_hour")
    if not isinstance(rate, int | float) or not isinstance(before, int | float) or before <= 0:
        return f"{text}, {span}."
    change = rate / before - 1
    if abs(change) < NOTABLE_CHANGE:
        return f"{text}, {span}; {rate:.3g} posts/h, about as many as before."
    return f"{text}, {span}; {rate:.3g} posts/h against {before:.3g} before ({change:+.0%})."


def _relevance(facts: PeriodFacts) -> str | None:
    average = facts.metrics.get("avg_relevance")
    if average is None:
        return None
    return f"{count_of(facts.metrics['relevant_count'], 'post')} relevant, {average:.2f} on average."


def _terms(facts: PeriodFacts) -> str | None:
    if not facts.rising:
        return None
    named = ", ".join(f"{term} ({n})" for term, n in facts.rising)
    return f"{'Rising' if facts.previous else 'Most used'}: {named}."


def _leading(facts: PeriodFacts) -> str | None:
    if not facts.leading or facts.leading[0][2] <= 0:
        return None
    author, text, engagement = facts.leading[0]
    by = f" by {author}" if author else ""
    return f"Leading post{by} ({engagement:,.0f} reactions): “{excerpt(text)}”"


def _gaps(facts: PeriodFacts) -> str | None:
    if facts.completeness is None or facts.completeness >= 0.95:
        return None
    return f"No crawl covers {1 - facts.completeness:.0%} of this time, so silence there says nothing."


def _late(facts: PeriodFacts) -> str | None:
    if not facts.late_arrivals:
        return None
    return f"{count_of(facts.late_arrivals, 'post')} crawled earlier came in late."
