"""`plan`: what a migration and a backfill would do to this database."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.cli.pending import duration
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from temporal_pipeline.defs.schema.planning import PlannedStatement
    from temporal_pipeline.operations.preview.backfill import BackfillPreview

IS_PENDING = 4
ENTITIES_SHOWN = 15


@click.command()
@click.option(
    "--check",
    is_flag=True,
    help="Print a line; the exit code is 4 when a statement is pending, or a topic or user without a period "
    "could get its Period 0 now. Contents that wait for the next update are not pending.",
)
@click.option(
    "--sql",
    is_flag=True,
    help="Write the script with which psql brings any database to the same schema; needs no database.",
)
@json_option
@click.pass_obj
def plan(output: Output, *, check: bool, sql: bool) -> None:
    """Show what `migrate` and `backfill` would do to this database as it is now.

    The literal statements in order, with the locks that the application could meet, how long each takes and
    how many rows it reads; then which topics and users get their Period 0, and why others do not. `migrate`
    executes exactly these statements. Only reads.
    """
    from temporal_pipeline.defs.schema.planning import plan, upgrade_script  # noqa: PLC0415 - imports alembic
    from temporal_pipeline.operations.preview.backfill import preview_backfill  # noqa: PLC0415

    if check and sql:
        raise click.UsageError("--check looks at a database, --sql at none: give one of them")
    if sql:
        script = upgrade_script()
        if not output.as_json:
            click.echo(script, nl=False)
        output.succeed({"script": script})
        return
    database = Database.from_environment()
    try:
        with database.transaction(read_only=True) as connection:
            statements = plan(connection)
            preview = preview_backfill(connection)
    finally:
        database.dispose()
    data = _data(statements, preview)
    if check:
        _check(output, statements, preview, data)
        return
    if not output.as_json:
        print_statements(output, statements)
        output.console.print()
        print_backfill(output, preview)
    output.succeed(data)


def _check(
    output: Output,
    statements: "Sequence[PlannedStatement]",
    preview: "BackfillPreview",
    data: dict[str, Any],
) -> None:
    pending = [f"statements: {len(statements):,}"] if statements else []
    if created := len(preview.created):
        pending.append(f"topics and users without Period 0: {created:,}")
    line = f"pending {', '.join(pending)}" if pending else "nothing is pending"
    if not output.as_json:
        output.console.print(line)
    if not pending:
        output.succeed(data)
        return
    verbs = ["migrate"] * bool(statements) + ["backfill"] * bool(created)
    hint = f"run {', then '.join(f'`temporal-pipeline {verb}`' for verb in verbs)}"
    output.fail(PipelineError(line, hint=hint, exit_code=IS_PENDING), data=data, shown=True)
    click.get_current_context().exit(IS_PENDING)


def print_statements(output: Output, statements: "Sequence[PlannedStatement]") -> None:
    """The statements as a script to read, grouped by revision, and what they cost altogether."""
    show = output.console.print
    if not statements:
        show("The schema is at head: there is nothing to migrate.")
        return
    number = 0
    for revision, group in groupby(statements, key=lambda statement: statement.revision):
        show(f"-- {revision}", style="bold")
        for statement in group:
            number += 1
            reads = f", reads about {statement.rows:,} rows" if statement.rows else ""
            show(f"\n-- {number}. {statement.step}: {statement.time_class}{reads}; {_locks(statement)}")
            show(f"{statement.sql};")
        show()
    met = sum(1 for statement in statements if statement.is_met_by_writers)
    lasting = [
        (number, statement)
        for number, statement in enumerate(statements, start=1)
        if statement.is_met_by_writers and statement.time_class != "instant"
    ]
    classes = Counter(statement.time_class for statement in statements)
    show(
        f"{len(statements)} statements ({', '.join(f'{n} {name}' for name, n in classes.items())}): "
        f"about {duration(sum(s.seconds for s in statements))} of work, "
        f"{sum(s.rows for s in statements):,} rows to read.\n"
        f"{met} of them take a lock that writers meet, each for a moment, in a transaction of its own"
        f"{', except that these hold it for as long as they take:' if lasting else '.'}"
    )
    for number, statement in lasting:
        show(f"{number}. {statement.step}: {_locks(statement)}, for about {duration(statement.seconds)}")


def _locks(statement: "PlannedStatement") -> str:
    """The locks for which an INSERT, UPDATE or DELETE would wait, in PostgreSQL's words."""
    met = [f"{lock.mode} on {lock.table}" for lock in statement.locks if lock.is_met_by_writers]
    return ", ".join(met) or "no lock that a writer meets"


def print_backfill(output: Output, preview: "BackfillPreview") -> None:
    """Which topics and users get their Period 0, which not and why, and which contents stay without a period."""
    show = output.console.print
    created, skipped = preview.created, preview.skipped
    contents = sum(entity.contents.number for entity in created)
    show(
        f"Backfill: Period 0 for {len(created)} of {len(preview.entities)} topics and users, "
        f"with {contents:,} contents (those of a topic and a user count for both)."
    )
    _print_table(
        output,
        ("type", "name", "contents", "first crawl", "last crawl"),
        [
            (
                entity.entity_type,
                entity.name,
                f"{entity.contents.number:,}",
                f"{entity.contents.first_crawled_at:%Y-%m-%d %H:%M}" if entity.contents.number else "",
                f"{entity.contents.last_crawled_at:%Y-%m-%d %H:%M}" if entity.contents.number else "",
            )
            for entity in created
        ],
    )
    for reason, number in Counter(entity.skipped for entity in skipped).items():
        show(f"Skipped {number}: {reason}.")
    _print_table(
        output,
        ("type", "name", "waiting", "in the future", "reason"),
        [
            (
                entity.entity_type,
                entity.name,
                f"{entity.waiting:,}",
                f"{entity.future:,}",
                str(entity.skipped),
            )
            for entity in skipped
        ],
    )
    future = sum(entity.future for entity in preview.entities)
    show(
        f"{preview.unowned:,} contents without owner are never linked; {future:,} crawled in the future wait."
    )


def _print_table(output: Output, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column, justify="right" if column in ("contents", "waiting", "in the future") else "left"
        )
    for row in rows[:ENTITIES_SHOWN]:
        table.add_row(*row)
    output.console.print(table)
    if len(rows) > ENTITIES_SHOWN:
        output.console.print(f"… and {len(rows) - ENTITIES_SHOWN:,} more; --json lists all")


def _data(statements: "Sequence[PlannedStatement]", preview: "BackfillPreview") -> dict[str, Any]:
    return {
        "statements": [
            {**dataclasses.asdict(statement), "time_class": statement.time_class} for statement in statements
        ],
        "totals": {
            "statements": len(statements),
            "met_by_writers": sum(1 for statement in statements if statement.is_met_by_writers),
            "rows": sum(statement.rows for statement in statements),
            "seconds": round(sum(statement.seconds for statement in statements), 2),
        },
        "backfill": {
            "entities": [dataclasses.asdict(entity) for entity in preview.entities],
            "created": len(preview.created),
            "skipped": dict(Counter(entity.skipped for entity in preview.skipped)),
            "contents": sum(entity.contents.number for entity in preview.created),
            "unowned": preview.unowned,
            "future": sum(entity.future for entity in preview.entities),
        },
    }
