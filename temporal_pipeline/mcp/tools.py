"""The tools: six questions, when to ask which, and an answer that was really given to each."""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from mcp.types import Tool, ToolAnnotations
from pydantic import TypeAdapter, ValidationError

from temporal_pipeline.mcp import arguments
from temporal_pipeline.query import (
    Comparison,
    Contents,
    Effectiveness,
    ErrorValue,
    Events,
    Failure,
    Timeline,
    Timelines,
    models,
)

INSTRUCTIONS = """\
The memory of a crawler: what was posted about topics and by users, what happened, what was known when, what changed.
Every item has two clocks: when something happened (since, until) and when it was recorded (as_of).
Cite the ids of items.
Tell the user what `warnings` say: a crawl_gap means that nobody looked, not that nothing was posted.
An answer without `ok: true` has an error with a code, a hint, and choices to ask with instead."""

READS_ONLY = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

Answer = Timelines | Comparison | Contents | Events | Effectiveness | Failure


@dataclass(frozen=True)
class Question:
    """A question as a tool. `name` is that of the function of Timeline; `answer`: what it answers with."""

    name: models.Tool
    title: str
    arguments: type[arguments.Arguments]
    answer: Any
    when: str

    def ask(self, timeline: Timeline, given: dict[str, Any]) -> Answer:
        """The answer, or a Failure, which for arguments of the wrong shape names them."""
        try:
            asked = self.arguments.model_validate(given)
        except ValidationError as error:
            return Failure(ok=False, tool=self.name, error=_malformed(error))
        answer: Answer = getattr(timeline, self.name)(**dict(asked))
        return answer

    def as_tool(self, example: dict[str, Any]) -> Tool:
        """The tool as clients see it. `example`: `arguments`, and the `answer` that they got."""
        told = [json.dumps(example[part], ensure_ascii=False) for part in ("arguments", "answer")]
        # An alternative has no type of its own, which protocols before 2026 want to see.
        output = {"type": "object"} | TypeAdapter(self.answer | Failure).json_schema(mode="validation")
        return Tool(
            name=self.name,
            title=self.title,
            description=f"{self.when}\nExample: {told[0]} is answered with {told[1]}",
            input_schema=self.arguments.model_json_schema(),
            output_schema=output,
            annotations=READS_ONLY,
        )


QUESTIONS = (
    Question(
        "query_period_timeline",
        "How it developed",
        arguments.TimelineArguments,
        Timelines,
        "How a topic or user developed: its periods, the newest first, with counts, summaries and metrics.\n"
        "Use it for an overview of some time, for figures over time, for the numbers and ids of periods, and (with "
        "include_superseded) for what a period said before it was analysed again.\n"
        "Not for single posts (query_contents_by_timerange), not to work out differences (compare_periods does).",
    ),
    Question(
        "compare_periods",
        "What changed",
        arguments.CompareArguments,
        Comparison,
        "What changed between two periods: every metric before and after, posts that came, events opened and "
        "resolved, queries better and worse, terms rising and falling.\n"
        "Use it for any 'what changed', 'more or less than before', by default the latest period against the one "
        "before; take percentages from it (null: there is no baseline) rather than computing them.\n"
        "Not for a course over more than two periods (query_period_timeline).",
    ),
    Question(
        "query_contents_by_timerange",
        "What was posted",
        arguments.ContentsArguments,
        Contents,
        "What was posted: posts published in some time, the newest first, with the text as it was frozen then.\n"
        "Use it to quote, to look at evidence, to see who said what and which query found it.\n"
        "Not to count (query_period_timeline has counts), not for what stood out (search_events).",
    ),
    Question(
        "get_unresolved_events",
        "What is going on",
        arguments.UnresolvedArguments,
        Events,
        "What is going on: events that are not over, the newest first, with the posts that show them.\n"
        "Use it for 'is anything unusual now'; with as_of for what was open at an earlier time, as known then.\n"
        "Not for what is over already (search_events has both).",
    ),
    Question(
        "search_events",
        "What happened",
        arguments.SearchArguments,
        Events,
        "What happened: events that overlap some time, open or over, the newest first; by words, type and severity.\n"
        "Use it for 'what happened last week', 'when did this begin and end', 'has this happened before'.\n"
        "Not for what is open now (get_unresolved_events), not for ordinary posts (query_contents_by_timerange).",
    ),
    Question(
        "query_effectiveness",
        "Which crawl queries were worth it",
        arguments.EffectivenessArguments,
        Effectiveness,
        "What crawl queries were worth, the newest period first, in each the best first.\n"
        "Use it to choose what to crawl next, to find queries to drop, or how a query that found a post performs.\n"
        "Not for the posts that a query found (query_contents_by_timerange, found_by).",
    ),
)


def tools() -> list[Tool]:
    """All of them, each with the example that lies beside this file."""
    source = resources.files(__package__).joinpath("examples.json").read_text(encoding="utf-8")
    examples = json.loads(source)
    return [question.as_tool(examples[question.name]) for question in QUESTIONS]


def _malformed(error: ValidationError) -> ErrorValue:
    """Which arguments are wrong, without their values, and how."""
    told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
    return ErrorValue(
        code="invalid_argument",
        message="; ".join(dict.fromkeys(told)),
        hint="arguments have the names and types of the tool's input schema",
        choices=[],
    )
