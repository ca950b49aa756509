"""What a client sees and gets: over stdio, over HTTP, and with the handshake of earlier years."""

import inspect
import json
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, CallToolResult

from temporal_pipeline.database import Database
from temporal_pipeline.mcp.tools import QUESTIONS
from temporal_pipeline.query import Timeline
from tests.crosshot_rows import at
from tests.mcp.clients import Asking
from tests.mcp.page import ANEW, EXAMPLES, SCHEMAS, WHOM, example_answers
from tests.mcp.world import NAME, QUERY, TOPIC, identity

EXAMPLE: dict[str, Any] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
TOOLS: list[dict[str, Any]] = json.loads(SCHEMAS.read_text(encoding="utf-8"))
of_every_tool = pytest.mark.parametrize("tool", [question.name for question in QUESTIONS])


def answered(result: CallToolResult) -> dict[str, Any]:
    """An answer, which says the same as text and as an object."""
    assert not result.is_error, result
    return _object(result)


def refused(result: CallToolResult) -> dict[str, Any]:
    """The error of an answer that is none."""
    assert result.is_error
    told = _object(result)
    assert told["ok"] is False
    error: dict[str, Any] = told["error"]
    return error


def _object(result: CallToolResult) -> dict[str, Any]:
    [text] = result.content
    assert text.type == "text"
    told: dict[str, Any] = json.loads(text.text)
    assert result.structured_content == told
    schema = next(tool for tool in TOOLS if tool["name"] == told["tool"])["outputSchema"]
    Draft202012Validator(schema).validate(told)
    return told


def test_the_tools_are_those_that_are_written_down(asking: Asking) -> None:
    assert asking.tools() == TOOLS, ANEW
    assert all(tool["annotations"]["readOnlyHint"] for tool in TOOLS)
    for tool in TOOLS:
        Draft202012Validator.check_schema(tool["inputSchema"])
        Draft202012Validator.check_schema(tool["outputSchema"])


@of_every_tool
def test_a_tool_takes_what_its_question_takes(tool: str) -> None:
    taken = {name: p.default for name, p in inspect.signature(getattr(Timeline, tool)).parameters.items()}
    del taken["self"]
    schema = next(one for one in TOOLS if one["name"] == tool)["inputSchema"]
    known = {name: one.get("default", inspect.Parameter.empty) for name, one in schema["properties"].items()}
    assert known == taken
    assert schema["required"] == ["entity"]
    assert schema["additionalProperties"] is False


def test_the_examples_are_what_the_program_answers(world: Database) -> None:
    assert example_answers(world) == EXAMPLE, ANEW


@of_every_tool
def test_a_tool_answers_as_its_description_says(asking: Asking, tool: str) -> None:
    told = answered(asking(tool, **EXAMPLE[tool]["arguments"]))
    assert told == EXAMPLE[tool]["answer"]
    description = next(one for one in TOOLS if one["name"] == tool)["description"]
    assert json.dumps(told, ensure_ascii=False) in description
    assert (told["tool"], told["entity"]["entity_id"]) == (tool, str(TOPIC))


def test_what_is_known_of_the_world(asking: Asking) -> None:
    def items(tool: str, **arguments: Any) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = answered(asking(tool, **WHOM, **arguments))["items"]
        return listed

    periods = items("query_period_timeline")
    assert [(p["period_id"], p["content_count"]) for p in periods] == [
        (str(identity("period 1")), 60),
        (str(identity("period 0")), 48),
    ]
    posts = items("query_contents_by_timerange", since=at(28).isoformat())
    assert [(p["content_id"], p["found_by"]) for p in posts] == [(str(identity("fire")), QUERY)]
    [open_event] = items("get_unresolved_events")
    assert (open_event["event_id"], open_event["state"]) == (str(identity("anomaly")), "active")
    assert [evidence["content_id"] for evidence in open_event["evidence"]] == [str(identity("fire"))]
    found = items("search_events", text="posts")
    assert [event["event_id"] for event in found] == [str(identity("anomaly")), str(identity("milestone"))]
    assert items("search_events", severity="info") == found[1:]
    queries = items("query_effectiveness", text="battery")
    assert [query["effectiveness_score"] for query in queries] == [0.6, 0.5]
    compared = answered(asking("compare_periods", **WHOM, a=0, b=str(identity("period 1"))))
    [total] = [m for m in compared["metrics"] if m["metric"] == "total_contents"]
    assert (total["before_per_hour"], total["after_per_hour"]) == (2, 10)


def test_a_page_goes_on_with_its_cursor(asking: Asking) -> None:
    first = answered(asking("query_period_timeline", **WHOM, limit=1))
    assert first["truncated"]
    second = answered(asking("query_period_timeline", **WHOM, limit=1, cursor=first["next_cursor"]))
    assert [item["period_number"] for item in first["items"] + second["items"]] == [1, 0]
    assert second["next_cursor"] is None


def test_without_as_of_it_is_about_now(asking: Asking) -> None:
    told = answered(asking("query_period_timeline", entity=f"topic:{NAME}"))
    assert told["as_of"] is None
    assert datetime.fromisoformat(told["items"][0]["period_end"]) == at(30)
    assert "crawl_gap" in [warning["code"] for warning in told["warnings"]]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ({"entity": "Solid state batteries"}, "unknown_entity", NAME),
        ({"entity": NAME, "limit": 201}, "invalid_limit", "201"),
        ({"entity": NAME, "since": "yesterday"}, "invalid_time_range", "since 'yesterday'"),
        ({"entity": NAME, "cursor": "nonsense"}, "invalid_cursor", "no cursor"),
        ({"entity": NAME, "fields": ["colour"]}, "invalid_argument", "colour"),
        ({"entity": NAME, "as_of": "2020-01-01"}, "no_periods", "2020-01-01"),
    ],
)
def test_errors_of_a_question_are_values(
    asking: Asking, arguments: dict[str, Any], code: str, words: str
) -> None:
    error = refused(asking("query_period_timeline", **arguments))
    assert error["code"] == code
    assert words in error["message"] or words in error["choices"]


@of_every_tool
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, "entity"),
        ({"entity": 7}, "entity"),
        ({"entity": NAME, "limit": "many"}, "limit"),
        ({"entity": NAME, "limit": True}, "limit"),
        ({"entity": NAME, "as_of": 1767225600}, "as_of"),
        ({"entity": NAME, "fields": "text"}, "fields"),
        ({"entity": NAME, "topic_id": "1"}, "topic_id"),
        ({"entity": NAME, "entity_type": "group"}, "entity_type"),
    ],
)
def test_malformed_arguments_are_named(
    stdio: Asking, tool: str, arguments: dict[str, Any], name: str
) -> None:
    error = refused(stdio(tool, **arguments))
    assert error["code"] == "invalid_argument"
    assert error["message"].startswith(f"{name}: ")


def test_there_is_no_such_tool(asking: Asking) -> None:
    with pytest.raises(MCPError, match="query_period_timeline") as error:
        asking("drop_everything", entity=NAME)
    assert error.value.code == INVALID_PARAMS
