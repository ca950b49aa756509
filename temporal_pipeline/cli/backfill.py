"""`backfill`: Period 0 for every topic and user that has none."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from temporal_pipeline.bulk import WORKERS, Progress, told_in_lines
from temporal_pipeline.cli.consent import dry_run_option, max_wait_option
from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.cli.update import names_in
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.narrative import count_of
from temporal_pipeline.entities import Entity, all_entities, find_entities
from temporal_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from temporal_pipeline.operations.backfill import BackfillReport

# A connection each; more than this help nobody and take them from the application.
MOST_WORKERS = 8
WAITING_SHOWN = 15


@click.command()
@click.option(
    "--entities",
    multiple=True,
    metavar="NAME[,NAME…]",
    help="Only these topics and users, by name, id, topic:NAME or user:NAME. May be repeated.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=WORKERS,
    show_default=True,
    help="How many connections write at the same time.",
)
@dry_run_option
@max_wait_option
@json_option
@click.pass_obj
def backfill(
    output: Output, *, entities: tuple[str, ...], workers: int, dry_run: bool, max_wait: float
) -> None:
    """Give every topic and user without a period its Period 0: all that was crawled so far.

    Runs beside the application in transactions of about 40 ms. It may be stopped or killed at any time; the
    same command goes on where it stopped. Who has a period already is left to `update`. The exit code is 1
    when a topic or user failed; the others are done.
    """
    from temporal_pipeline.defs.schema.upgrade import refuse_foreign_database  # noqa: PLC0415 - imports alembic
    from temporal_pipeline.operations.backfill import backfill as work  # noqa: PLC0415 - imports alembic

    database = Database.from_environment()
    try:
        with database.transaction(read_only=True) as connection:
            refuse_foreign_database(connection)
            known = {entity.name for entity in all_entities(connection)} if entities else set()
            chosen = find_entities(connection, [n for value in entities for n in names_in(value, known)])
        if dry_run:
            _preview(output, database, chosen)
            return
        with _progress(output) as progress:
            report = work(database, entities=chosen, workers=workers, max_wait=max_wait, progress=progress)
    finally:
        database.dispose()
    if not output.as_json:
        _print(output, report)
    if report.cut.failed:
        names = ", ".join(str(entity) for entity, _ in report.cut.failed[:3])
        error = PipelineError(
            f"{len(report.cut.failed)} topics or users could not get their period: {names}"
            + (" …" if len(report.cut.failed) > 3 else ""),
            hint="the others are done; remove the reason given above and run the same command again",
        )
        output.fail(error, data=_data(report))
        click.get_current_context().exit(error.exit_code)
    output.succeed(_data(report))


def _preview(output: Output, database: Database, chosen: Sequence[Entity] | None) -> None:
    from temporal_pipeline.cli.plan import print_backfill  # noqa: PLC0415 - imports alembic
    from temporal_pipeline.operations.preview.backfill import preview_backfill  # noqa: PLC0415

    with database.transaction(read_only=True) as connection:
        preview = preview_backfill(connection)
    if chosen is not None:
        ids = {(entity.type, entity.id) for entity in chosen}
        named = tuple(e for e in preview.entities if (e.entity_type, e.entity_id) in ids)
        preview = dataclasses.replace(preview, entities=named)
    if not output.as_json:
        print_backfill(output, preview)
    output.succeed({"dry_run": True} | dataclasses.asdict(preview))


@contextmanager
def _progress(output: Output) -> Iterator[Progress]:
    """Bars with the time left on a terminal, elsewhere a line every few seconds, both on stderr."""
    console = output.progress
    if not console.is_terminal:
        yield told_in_lines(console.print)
        return
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(30),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=console) as bars:

        def tell(doing: str, done: int, total: int) -> None:
            if doing not in tasks:
                tasks[doing] = bars.add_task(doing)
            bars.update(tasks[doing], completed=done, total=total)

        yield tell


def _print(output: Output, report: "BackfillReport") -> None:
    show = output.console.print
    data = _data(report)
    seconds, cut, waiting = data["seconds"], report.cut, data["waiting"]
    if not (data["contents_prepared"] or cut.periods or cut.failed or waiting):
        show("nothing to backfill: who has contents has a period")
        return
    show(f"prepared  {_amount(data['contents_prepared'], 'content', seconds['preparing'])}")
    show(f"linked    {_amount(data['contents_linked'], 'content', seconds['linking'])}")
    show(f"closed    {_amount(len(cut.periods), 'period', seconds['closing'])}")
    show(
        f"{cut.effort.workers} workers, {data['chunks']:,} transactions of at most "
        f"{data['longest_chunk_seconds']:.2f} s, {data['retries']} of them gave way to the application"
    )
    for entity, reason in cut.failed:
        show(f"failed: {entity}: {reason}")
    for row in waiting[:WAITING_SHOWN]:
        show(f"waits: {row['entity']} with {count_of(row['contents'], 'content')}: {row['reason']}")
    if len(waiting) > WAITING_SHOWN:
        show(f"… and {len(waiting) - WAITING_SHOWN:,} more wait; --json lists all")


def _amount(number: int, what: str, seconds: float) -> str:
    rate = f" ({number / seconds:,.0f}/s)" if number and seconds else ""
    return f"{count_of(number, what)} in {seconds:.1f} s{rate}"


def _data(report: "BackfillReport") -> dict[str, Any]:
    prepared, cut, effort = report.prepared, report.cut, report.cut.effort
    return {
        "run_id": report.run_id,
        "entities_without_period": report.without_period,
        "contents_prepared": prepared.rows_written,
        "contents_linked": cut.linked,
        "contents_unowned": cut.unowned,
        "contents_in_the_future": cut.future,
        "periods": [
            {
                "entity": f"{row.entity_type} {row.name!r}",
                "number": row.period_number,
                "contents": row.content_count,
                "from": row.period_start,
                "to": row.period_end,
            }
            for row in cut.periods
        ],
        "failed": [{"entity": str(entity), "reason": reason} for entity, reason in cut.failed],
        "waiting": [
            {
                "entity": f"{row.entity_type} {row.name!r}",
                "contents": row.contents,
                "reason": row.reason or "arrived meanwhile, or held by the application",
            }
            for row in cut.waiting
            if not row.has_period
        ],
        "workers": effort.workers,
        "chunks": prepared.chunks + effort.chunks,
        "retries": prepared.retries + effort.retries,
        "longest_chunk_seconds": max(prepared.longest_chunk_seconds, effort.longest_chunk_seconds),
        "seconds": {
            "preparing": prepared.seconds,
            "linking": effort.linking_seconds,
            "closing": effort.closing_seconds,
        },
        "rows_per_second": cut.linked / effort.linking_seconds if effort.linking_seconds else None,
    }
