"""What the verbs of `query` share: options, asking, and printing what came back."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.errors import PipelineError

if TYPE_CHECKING:
    import pandas as pd

    from temporal_pipeline.query import Comparison, Failure, Notice, Page, Timeline

Decorated = TypeVar("Decorated", bound=Callable[..., object])
Answer = TypeVar("Answer", bound="Page[Any] | Comparison")

# A terminal says how wide it is; a file is read in an editor.
WIDTH_OF_FILES = 150
TEXT_SHOWN = 70
NUMBER = re.compile(r"([+-]?[\d,.]+%?)?")
# Not a mistake in the question.
NOT_USAGE = ("no_periods", "schema_not_at_head", "database_unavailable")


@dataclass(frozen=True)
class Fields(click.ParamType[list[str]]):
    """Names, separated by commas."""

    name: str = "names"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> list[str]:
        """The names."""
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)


def asking(verb: Decorated) -> Decorated:
    """Add what every verb of `query` takes: whom it is about, as of when, how much, and in which form."""
    options = (
        click.argument("entity"),
        click.option(
            "--type",
            "entity_type",
            type=click.Choice(["topic", "user"]),
            help="Where both have one of that name.",
        ),
        click.option("--as-of", metavar="TIME", help="Only what was recorded by then."),
        click.option("--limit", type=int, default=20, show_default=True, help="How many items, 1 to 200."),
        click.option(
            "--fields", type=Fields(), help="Which fields, separated by commas, instead of the usual ones."
        ),
        click.option(
            "--max-chars", type=int, default=8_000, show_default=True, help="How many characters of JSON."
        ),
        click.option("--csv", "as_csv", is_flag=True, help="Print CSV."),
        json_option,
    )
    for option in reversed(options):
        verb = option(verb)
    return verb


def of_a_window(verb: Decorated) -> Decorated:
    """Add the options of a verb that tells page by page what happened in a window of time."""
    for option in (
        click.option("--cursor", help="The next page: what the page before ended with."),
        click.option("--until", metavar="TIME", help="What happened before then; of a date, until its end."),
        click.option("--since", metavar="TIME", help="What happened since."),
    ):
        verb = option(verb)
    return verb


def ask(
    output: Output,
    as_csv: bool,
    question: "Callable[[Timeline], Answer | Failure]",
    show: Callable[[Answer], None],
) -> None:
    """Ask, and print the answer as JSON, as CSV, or as `show` does.

    Raises PipelineError for an error value, whose code and choices go into the JSON.
    """
    from temporal_pipeline.query import Failure, Page, Timeline  # noqa: PLC0415 - only these verbs need it

    if as_csv and output.as_json:
        raise click.UsageError("--json and --csv exclude each other")
    with Timeline.from_environment() as timeline:
        answer = question(timeline)
    if isinstance(answer, Failure):
        error = answer.error
        choices = f": {', '.join(error.choices)}" if error.choices else ""
        failed = PipelineError(
            error.message, hint=error.hint + choices, exit_code=1 if error.code in NOT_USAGE else 2
        )
        output.fail(failed, data=answer.error.to_dict())
        click.get_current_context().exit(failed.exit_code)
    if output.as_json:
        output.succeed(answer.to_dict())
    elif as_csv:
        click.echo(_csv(answer.to_frame()), nl=False)
        if isinstance(answer, Page):
            _print_continuation(output.progress, answer)
        print_notices(output, answer.warnings, to_stderr=True)
    else:
        show(answer)
        print_notices(output, answer.warnings)


def _csv(frame: "pd.DataFrame") -> str:
    """A cell that is a list or an object is JSON, as other programs read it."""

    def cell(value: object) -> object:
        return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else value

    return frame.map(cell).to_csv(index=False)


def fields_for(output: Output, as_csv: bool, wanted: list[str] | None, shown: list[str]) -> list[str] | None:
    """What was wanted; a table has columns of its own, and needs no more. Raises UsageError for both."""
    if output.as_json or as_csv:
        return wanted
    if wanted is not None:
        raise click.UsageError("--fields goes with --json or --csv")
    return shown


def print_page(output: Output, page: "Page[Any]", columns: dict[str, Callable[[Any], str]]) -> None:
    """The items as a table, then how to go on. `columns`: title → text of an item; numbers are aligned by it."""
    show = output.console.print
    entity = page.entity
    then = "" if page.as_of is None else f", as known at {clock(page.as_of)} UTC"
    show(f"{entity.entity_type} {entity.name}{then}: {len(page.items)} shown, the newest first")
    if page.items:
        print_table(output, [{title: text(item) for title, text in columns.items()} for item in page.items])
    _print_continuation(output.console, page)


def _print_continuation(console: Console, page: "Page[Any]") -> None:
    if page.next_cursor is not None:
        console.print(f"more       --cursor {page.next_cursor}")


def print_table(output: Output, rows: list[dict[str, str]]) -> None:
    """Rows that have the same titles."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in rows[0]:
        is_number = all(NUMBER.fullmatch(row[title]) for row in rows)
        is_last = title == list(rows[0])[-1]
        table.add_column(title, justify="right" if is_number and not is_last else "left", no_wrap=not is_last)
    for row in rows:
        table.add_row(*row.values())
    if not output.console.is_terminal:
        output.console.width = WIDTH_OF_FILES
    output.console.print(table)


def print_notices(output: Output, notices: "list[Notice]", *, to_stderr: bool = False) -> None:
    """What to bear in mind, one line each."""
    for notice in notices:
        periods = f" (period {', '.join(map(str, notice.periods))})" if notice.periods else ""
        console = output.progress if to_stderr else output.console
        console.print(f"note       {notice.message}{periods}")


def clock(time: datetime | None) -> str:
    """A time to the minute, UTC."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"


def shortened(text: str | None) -> str:
    """A text in one short line."""
    line = " ".join((text or "").split())
    return line if len(line) <= TEXT_SHOWN else line[: TEXT_SHOWN - 1] + "…"


def share(value: float | None) -> str:
    """A share of 1 as a percentage."""
    return "" if value is None else f"{value:.0%}"


def figure(value: float | None) -> str:
    """A number, without needless digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
