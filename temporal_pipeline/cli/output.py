"""What a verb prints: results on stdout, as text or as one JSON document; everything else on stderr."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.text import Text

from temporal_pipeline.errors import PipelineError

Decorated = TypeVar("Decorated", bound=Callable[..., object])
# Characters that a terminal obeys rather than shows; a post may have them.
OBEYED = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {ord("\n"), ord("\t")}, "�")


class PlainConsole(Console):
    """Shows texts as they are: what looks like markup, or would command the terminal, does nothing."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, soft_wrap=True)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text comes here, also that of a table's cell."""
        return super().render_str(text.translate(OBEYED), **options)


@dataclass
class Output:
    """Where a verb prints to. With `as_json`, stdout gets nothing but `{ok, data, error}`, once."""

    as_json: bool = False
    debug: bool = False
    console: Console = field(default_factory=PlainConsole)
    progress: Console = field(default_factory=lambda: PlainConsole(stderr=True))

    def succeed(self, data: dict[str, Any]) -> None:
        """Print `data` when JSON is asked for; the text was printed by the verb."""
        if self.as_json:
            self._envelope({"ok": True, "data": data, "error": None})

    def fail(self, error: PipelineError, *, data: dict[str, Any] | None = None, shown: bool = False) -> None:
        """Print the error and its remedy on stderr, and on stdout when JSON is asked for."""
        if not shown:
            self.progress.print(f"error: {error.message}")
            if error.hint:
                self.progress.print(f"remedy: {error.hint}")
        if self.as_json:
            described = {"code": error.exit_code, "message": error.message, "hint": error.hint}
            self._envelope({"ok": False, "data": data, "error": described})

    def _envelope(self, document: dict[str, Any]) -> None:
        click.echo(json.dumps(document, ensure_ascii=False, indent=2, default=str))


def json_option(verb: Decorated) -> Decorated:
    """Add `--json` to a verb."""

    def remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        context.find_object(Output).as_json = value  # type: ignore[union-attr]

    return click.option(
        "--json",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=remember,
        help="Print one JSON document: {ok, data, error {code, message, hint}}.",
    )(verb)


class Instant(click.ParamType[datetime]):
    """An ISO 8601 time with a zone."""

    name = "time"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> datetime:
        """The time; a usage error that names the remedy for anything else."""
        from temporal_pipeline.scope import parse_instant  # noqa: PLC0415 - imports dagster, which takes a second

        try:
            return parse_instant(value)
        except ValueError as error:
            self.fail(str(error), parameter, context)
