"""Answers as JSON, as JSON Schemas, and as frames."""

import json
import uuid

import pytest
from pydantic import BaseModel

from temporal_pipeline.database import Database
from temporal_pipeline.query import (
    Comparison,
    Contents,
    Effectiveness,
    Events,
    Failure,
    Timeline,
    Timelines,
)
from temporal_pipeline.query.models import Model
from temporal_pipeline.query.pages import age_in_words
from tests.crosshot_rows import add_content, add_topic, at
from tests.query.world import add_event, add_period, add_snapshot, insert, ok


@pytest.fixture
def topic(database: Database) -> uuid.UUID:
    with database.transaction() as c:
        topic = add_topic(c)
        for number in range(2):
            period = add_period(c, topic, number, 6 * number, 6 * number + 6)
            add_snapshot(
                c, period, add_content(c, topic=topic, crawled_at=at(6 * number)), at(6 * number + 6)
            )
            add_event(c, period, topic, 6 * number + 5)
            insert(
                c,
                "crawl_effectiveness",
                {
                    "period_id": period,
                    "entity_type": "topic",
                    "entity_id": topic,
                    "platform": "x",
                    "query": "q",
                },
            )
    return topic


@pytest.mark.parametrize("kind", [Timelines, Comparison, Contents, Events, Effectiveness, Failure])
def test_every_answer_has_a_schema(kind: type[BaseModel]) -> None:
    schema = kind.model_json_schema()
    assert schema["properties"]["ok"]["const"] in (True, False)
    assert json.loads(json.dumps(schema)) == schema


def test_json_reads_back_as_the_same_answer(timeline: Timeline, topic: uuid.UUID) -> None:
    answers: list[Model] = [
        ok(timeline.query_period_timeline(topic, fields=["metrics", "metrics_delta", "summary"])),
        ok(timeline.compare_periods(topic)),
        ok(timeline.query_contents_by_timerange(topic)),
        ok(timeline.get_unresolved_events(topic)),
        ok(timeline.search_events(topic, fields=["figures"])),
        ok(timeline.query_effectiveness(topic)),
        timeline.query_effectiveness("nobody"),
    ]
    for answer in answers:
        assert type(answer).model_validate_json(answer.to_json()) == answer
        assert json.loads(answer.to_json()) == answer.to_dict()


def test_frames_have_a_row_per_item_and_a_column_per_figure(timeline: Timeline, topic: uuid.UUID) -> None:
    frame = ok(timeline.query_period_timeline(topic)).to_frame()
    assert list(frame["period_number"]) == [1, 0]
    assert list(frame["metrics.total_contents"]) == [20, 10]
    assert str(frame["period_start"].dtype).startswith("datetime64")
    assert len(ok(timeline.query_contents_by_timerange(topic, fields=[])).to_frame()) == 2
    assert ok(timeline.query_contents_by_timerange(topic, since=at(500))).to_frame().empty
    assert list(ok(timeline.compare_periods(topic)).to_frame()["metric"]) == ["total_contents"]


def test_effectiveness_page_by_page(timeline: Timeline, database: Database, topic: uuid.UUID) -> None:
    with database.transaction() as c:
        for period in ok(timeline.query_period_timeline(topic)).items:
            for n, score in enumerate((0.5, None, 0.5, 0.9)):
                insert(
                    c,
                    "crawl_effectiveness",
                    {
                        "period_id": period.period_id,
                        "entity_type": "topic",
                        "entity_id": topic,
                        "platform": "x",
                        "query": f"query {n}",
                        "effectiveness_score": score,
                    },
                )
    seen = []
    cursor = None
    while True:
        page = ok(timeline.query_effectiveness(topic, limit=2, cursor=cursor))
        seen += [(item.period_number, item.effectiveness_score, item.effectiveness_id) for item in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert len({identity for _, _, identity in seen}) == len(seen) == 10
    assert [(number, score) for number, score, _ in seen] == [
        (number, score) for number in (1, 0) for score in (0.9, 0.5, 0.5, None, None)
    ]
    assert len(ok(timeline.query_effectiveness(topic, text="QUERY 3")).items) == 2


@pytest.mark.parametrize(
    ("hours", "words"),
    [(0, "just now"), (1 / 60, "1 minute ago"), (1, "1 hour ago"), (50, "2 days ago"), (-3, "in 3 hours")],
)
def test_age_is_said_in_one_unit(hours: float, words: str) -> None:
    assert age_in_words(at(0), at(hours)) == words
