"""What a message says: the same words in plain JSON and in the blocks that Slack draws."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

# A message is read at a glance; Slack takes at most fifty blocks.
SHOWN = 20
# Of a title; a Slack section takes 3,000 characters.
LONGEST = 500
SOURCE = "temporal_pipeline"


def plain(key: str, alerts: Sequence[Row[Any]], total: int) -> dict[str, Any]:
    """A message as JSON: a summary, a sentence per alert, and the alerts with what programs want to know."""
    return {
        "source": SOURCE,
        "id": key,
        "summary": summary(alerts, total),
        "alerts": [
            {
                "id": alert.id,
                "subject": alert.subject,
                "state": alert.state,
                "severity": alert.severity,
                "about": alert.about,
                "title": alert.title,
                "since": alert.since.isoformat(),
                "recorded_at": alert.recorded_at.isoformat(),
                "text": sentence(alert),
                **alert.details,
            }
            for alert in alerts
        ],
        "more": total - len(alerts),
    }


def for_slack(key: str, alerts: Sequence[Row[Any]], total: int) -> dict[str, Any]:
    """A message as an incoming webhook of Slack takes it; names and titles are never read as markup."""
    head = summary(alerts, total)
    sections = [sentence(alert) for alert in alerts]
    if total > len(alerts):
        sections.append(f"and {total - len(alerts):,} more")
    return {
        # What notifications show; the only text that is read as markup.
        "text": head.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        "blocks": [
            {"type": "header", "text": _text(head[:150])},
            *({"type": "section", "text": _text(section)} for section in sections),
            {"type": "context", "elements": [_text(f"{SOURCE}, message {key}")]},
        ],
    }


def summary(alerts: Sequence[Row[Any]], total: int) -> str:
    """How many, and the one that matters most."""
    if total == 1:
        return f"{alerts[0].severity}, {alerts[0].state}: {alerts[0].about}"
    return f"{total:,} alerts, first {alerts[0].severity}, {alerts[0].state}: {alerts[0].about}"


def sentence(alert: Row[Any]) -> str:
    """How grave it is, what happened to whom, since when; of an end also how it came."""
    title = alert.title if len(alert.title) <= LONGEST else f"{alert.title[: LONGEST - 1]}…"
    note = alert.details.get("note")
    if alert.state == "resolved":
        began = alert.details.get("onset")
        lasted = f"from {_time(datetime.fromisoformat(began))} " if began else ""
        when = f"{lasted}to {_time(alert.since)} UTC"
    else:
        when = f"since {_time(alert.since)} UTC"
    return f"[{alert.severity}] {alert.state}: {title} ({when}){f'; {note}' if note else ''}"


def _time(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"


def _text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
