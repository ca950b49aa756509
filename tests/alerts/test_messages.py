"""What a message says, and that it stays small."""

from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Row

from temporal_pipeline.alerts.messages import SHOWN, for_slack, plain, sentence

AT = datetime(2026, 1, 5, 20, tzinfo=UTC)


class Shown:
    """As a row of the outbox."""

    def __init__(self, **changed: Any) -> None:
        self.__dict__ = {
            "id": 1,
            "subject": "event:topic:1:volume_up",
            "state": "opened",
            "since": AT,
            "severity": "critical",
            "about": "AI <agents>",
            "title": "AI <agents>: 30 posts",
            "details": {"kind": "event", "note": None, "onset": AT.isoformat()},
            "recorded_at": AT,
            **changed,
        }


def shown(**changed: Any) -> Row[Any]:
    return cast("Row[Any]", Shown(**changed))


def test_a_sentence_tells_how_grave_it_is_what_happened_and_since_when() -> None:
    assert sentence(shown()) == "[critical] opened: AI <agents>: 30 posts (since 2026-01-05 20:00 UTC)"
    details = {"note": "quiet for 6 h", "onset": AT.isoformat()}
    ended = shown(state="resolved", since=AT.replace(hour=23), details=details)
    assert sentence(ended) == (
        "[critical] resolved: AI <agents>: 30 posts (from 2026-01-05 20:00 to 2026-01-05 23:00 UTC); quiet for 6 h"
    )


def test_plain_json_has_what_programs_want_to_know() -> None:
    document = plain("key", [shown()], 1)
    assert (document["source"], document["id"], document["more"]) == ("temporal_pipeline", "key", 0)
    assert document["summary"] == "critical, opened: AI <agents>"
    [alert] = document["alerts"]
    assert alert["subject"] == "event:topic:1:volume_up"
    assert (alert["kind"], alert["since"]) == ("event", "2026-01-05T20:00:00+00:00")


def test_slack_gets_no_markup_from_names() -> None:
    document = for_slack("key", [shown(about="<!channel> & co")], 1)
    assert document["text"] == "critical, opened: &lt;!channel&gt; &amp; co"
    texts = [block["text"] for block in document["blocks"] if "text" in block]
    assert {text["type"] for text in texts} == {"plain_text"}
    assert texts[1]["text"].startswith("[critical] opened: AI <agents>: 30 posts")


def test_slack_takes_the_largest_message() -> None:
    note = {"kind": "event", "note": None, "onset": AT.isoformat()}
    rows = [shown(title="x" * 5000, about="y" * 500, details=note) for _ in range(SHOWN)]
    document = for_slack("key", rows, 12345)
    assert len(document["blocks"]) <= 50
    assert document["blocks"][-2]["text"]["text"] == "and 12,325 more"
    for block in document["blocks"]:
        limit = 150 if block["type"] == "header" else 3000
        assert (
            len(block.get("text", block.get("elements", [{}])[0])["text"]) <= limit
            if "text" in block
            else True
        )
    assert len(document["text"]) < 1000
