"""`update`: the whole graph, once."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from temporal_pipeline.cli.consent import max_wait_option
from temporal_pipeline.cli.output import Instant, Output, json_option
from temporal_pipeline.database import Database
from temporal_pipeline.entities import all_entities, find_entities

if TYPE_CHECKING:
    from temporal_pipeline.cli.running import Outcome, Step


@click.command()
@click.option(
    "--entities",
    multiple=True,
    metavar="NAME[,NAME…]",
    help="Only these topics and users, by name, id, topic:NAME or user:NAME. May be repeated.",
)
@click.option("--since", type=Instant(), metavar="TIME", help="Only contents crawled at or after this time.")
@click.option("--dry-run", is_flag=True, help="Show what each step would do; write nothing.")
@click.option(
    "--batch-size",
    type=click.IntRange(1, 100_000),
    default=2000,
    show_default=True,
    help="How many rows one transaction writes at the most.",
)
@click.option(
    "--no-backup", is_flag=True, help="Do not back up first, should the schema have to be migrated."
)
@max_wait_option
@click.option("--verbose", is_flag=True, help="Show Dagster's own log on stderr.")
@json_option
@click.pass_obj
def update(
    output: Output,
    *,
    entities: tuple[str, ...],
    since: datetime | None,
    dry_run: bool,
    batch_size: int,
    no_backup: bool,
    max_wait: float,
    verbose: bool,
) -> None:
    """Bring everything up to date: schema, relevance, periods, snapshots, events, effectiveness, trends.

    Runs Dagster's job `update` in this process. What finds nothing new writes nothing, so it may be repeated.
    The exit code is 1 when a step or a topic or user failed, or a check that is more than a warning did not
    hold; the others are done.
    """
    from temporal_pipeline.cli.running import run_update  # noqa: PLC0415 - imports dagster, which takes a second
    from temporal_pipeline.defs.schema.upgrade import refuse_foreign_database  # noqa: PLC0415 - imports alembic

    database = Database.from_environment()
    try:
        with database.transaction(read_only=True) as connection:
            refuse_foreign_database(connection)
            known = {entity.name for entity in all_entities(connection)} if entities else set()
            wanted = [name for value in entities for name in names_in(value, known)]
            find_entities(connection, wanted)
        scope: dict[str, Any] = {
            "entities": wanted,
            "dry_run": dry_run,
            "batch_size": batch_size,
            "max_wait": max_wait,
        }
        if since is not None:
            scope["since"] = since.isoformat()
        outcome = run_update(database, scope, backup=not no_backup, verbose=verbose)
    finally:
        database.dispose()
    if not output.as_json:
        (_print_plan if dry_run else print_outcome)(output, outcome)
    if (error := outcome.error) is not None:
        output.fail(error, data=_data(outcome))
        click.get_current_context().exit(error.exit_code)
    output.succeed(_data(outcome))


def print_outcome(output: Output, outcome: "Outcome") -> None:
    """A line per step, then what did not go well."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step")
    table.add_column("rows written", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("")
    for step in outcome.steps:
        figures = step.metadata or {}
        table.add_row(
            step.asset,
            f"{figures['rows_written']:,}" if "rows_written" in figures else "",
            f"{figures['duration_seconds']:.2f}" if "duration_seconds" in figures else "",
            _fate(step) or _extra(figures),
        )
    output.console.print(table)
    broken = [claim for claim in outcome.claims if not claim.holds]
    for claim in broken:
        kind = "does not hold" if claim.is_error else "warning"
        output.console.print(f"{kind}: {claim.name} ({claim.asset})\n{claim.offenders}")
    for stage, entity, reason in outcome.entities_failed:
        output.console.print(f"failed in {stage}: {entity}: {reason}")
    output.console.print(f"{len(outcome.claims) - len(broken)} of {len(outcome.claims)} checks hold")


def _extra(figures: dict[str, Any]) -> str:
    """What a step did besides writing rows."""
    statements = figures.get("statements_executed", 0)
    return f"{statements} schema statements; backup: {figures['backup']}" if statements else ""


def names_in(value: str, known: set[str]) -> list[str]:
    """The names in one option: several between commas, unless a name has a comma itself."""
    return [value] if value in known else [name for part in value.split(",") if (name := part.strip())]


def _fate(step: "Step") -> str:
    if step.error is not None:
        return "failed"
    return "not reached" if step.metadata is None else ""


def _print_plan(output: Output, outcome: "Outcome") -> None:
    for step in outcome.steps:
        output.console.print(f"{step.asset}:", style="bold")
        output.console.print((step.metadata or {}).get("preview") or _fate(step))


def _data(outcome: "Outcome") -> dict[str, Any]:
    return {
        "run_id": outcome.run_id,
        "steps": [
            {
                "asset": step.asset,
                "error": None if step.error is None else step.reason,
                "metadata": {
                    key: value
                    for key, value in (step.metadata or {}).items()
                    if isinstance(value, bool | int | float)
                },
            }
            for step in outcome.steps
        ],
        "checks": [
            {
                "name": c.name,
                "asset": c.asset,
                "holds": c.holds,
                "severity": "ERROR" if c.is_error else "WARN",
            }
            for c in outcome.claims
        ],
        "entities_failed": [
            {"stage": stage, "entity": entity, "reason": reason}
            for stage, entity, reason in outcome.entities_failed
        ],
    }
