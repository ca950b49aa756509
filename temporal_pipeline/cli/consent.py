"""Verbs that change or destroy what cannot be had back: they show it first, then ask."""

import sys
from collections.abc import Callable

import click
from rich.table import Table

from temporal_pipeline.cli.output import Output
from temporal_pipeline.errors import PipelineError

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be done; change nothing.")
max_wait_option = click.option(
    "--max-wait",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for others before giving up with exit code 5, naming them.",
)


class Consent:
    """What a verb is about to do, shown to people, and their yes."""

    def __init__(self, output: Output, *, yes: bool, dry_run: bool) -> None:
        self.output = output
        self.dry_run = dry_run
        self._yes = yes

    def show(self, line: str) -> None:
        """Print a line for people; JSON has the same in its data."""
        if not self.output.as_json:
            self.output.console.print(line)

    def show_counts(self, counts: dict[str, int], title: str) -> None:
        """Print how many of what."""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column()
        table.add_column(justify="right")
        for name, count in counts.items():
            # The name of a table is shown as it is.
            table.add_row(f"  {name if '.' in name else name.replace('_', ' ')}", f"{count:,}")
        self.show(title if counts else f"{title} nothing")
        if counts:
            self.show_with(lambda: self.output.console.print(table))

    def show_with(self, show: Callable[[], None]) -> None:
        """Let `show` print for people."""
        if not self.output.as_json:
            show()

    def require(self, question: str) -> None:
        """Ask. Raises PipelineError (exit code 5) for no, and where there is nobody to ask."""
        if self._yes:
            return
        if self.output.as_json or not sys.stdin.isatty():
            raise PipelineError(
                "nothing was changed: this needs a yes, and there is nobody to ask",
                hint="read what it would do (--dry-run), then run it with --yes",
                exit_code=5,
            )
        try:
            agreed = click.confirm(question, err=True)
        except click.Abort:
            self.output.progress.print()
            agreed = False
        if not agreed:
            raise PipelineError("nothing was changed", exit_code=5)
