"""`replay`: load a crawl export."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click
from rich.progress import (
    BarColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as ProgressBar,
)

from temporal_pipeline.cli.output import Instant, Output, json_option
from temporal_pipeline.crosshot.records import Kind
from temporal_pipeline.crosshot.replay import Progress, Rejection, ReplayReport
from temporal_pipeline.crosshot.replay import replay as replay_export
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError

KINDS: tuple[Kind, ...] = ("topic", "user", "task", "content")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--until", type=Instant(), metavar="TIME", help="Load only what was crawled up to this time.")
@click.option("--create", is_flag=True, help="Make the application's tables where they are missing.")
@json_option
@click.pass_obj
def replay(output: Output, file: Path, until: datetime | None, create: bool) -> None:
    """Load a crawl export (JSON Lines, plain or gzipped) as the crawler would have written it.

    May be repeated: what is there already stays. A line that cannot be loaded is reported on stderr with its
    number and the reason; the others are loaded, and the exit code is 1.
    """
    database = Database.from_environment()
    try:
        with _progress_bar(output, file) as progress:
            report = replay_export(
                database,
                file,
                until,
                create=create,
                progress=progress,
                on_rejection=lambda rejection: _show(output, rejection),
            )
    finally:
        database.dispose()
    counted = _counts(report)
    if not output.as_json:
        _print(output, report)
    if not report.ok:
        error = PipelineError(
            f"{report.rejected:,} of {report.lines:,} lines were not loaded",
            hint="correct them and run the same command again; the others are loaded",
        )
        output.fail(error, data=counted)
        click.get_current_context().exit(error.exit_code)
    output.succeed(counted)


@contextmanager
def _progress_bar(output: Output, file: Path) -> Iterator[Callable[[Progress], None] | None]:
    if not output.progress.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("line {task.fields[line]}", markup=False),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns, console=output.progress, transient=True) as bar:
        task = bar.add_task(file.name, line=0)
        yield lambda at: bar.update(task, completed=at.bytes_read, total=at.bytes_total, line=f"{at.line:,}")


def _show(output: Output, rejection: Rejection) -> None:
    output.progress.print(str(rejection))


def _counts(report: ReplayReport) -> dict[str, object]:
    counted: dict[str, object] = {
        kind: {
            "inserted": report.inserted[kind],
            "updated": report.updated[kind],
            "unchanged": report.unchanged[kind],
            "later": report.later[kind],
        }
        for kind in KINDS
    }
    rejections = [{"line": rejection.number, "reason": rejection.reason} for rejection in report.rejections]
    return counted | {"lines": report.lines, "rejected": report.rejected, "rejections": rejections}


def _print(output: Output, report: ReplayReport) -> None:
    for kind in KINDS:
        words = {
            "new": report.inserted[kind],
            "crawled again" if kind == "content" else "went on": report.updated[kind],
            "there already": report.unchanged[kind],
            "later than asked for": report.later[kind],
        }
        told = ", ".join(f"{count:,} {word}" for word, count in words.items() if count)
        output.console.print(f"{kind + 's':<9} {told or 'none'}")
