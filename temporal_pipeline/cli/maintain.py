"""`maintain`: what piles up is looked after, now instead of at the next Sunday."""

import uuid
from typing import Any

import click

from temporal_pipeline.cli.consent import dry_run_option, max_wait_option
from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError


@click.command()
@dry_run_option
@max_wait_option
@json_option
@click.pass_obj
def maintain(output: Output, *, dry_run: bool, max_wait: float) -> None:
    """Finish or remove old drafts, name forgotten events, vacuum our tables, put away what is old.

    Does what Dagster's job `maintain` does every month. Nothing of the application's memory is lost: superseded
    periods older than 90 days get the status `archived`; of Dagster's own history, what is older goes.
    The exit code is 1 when a draft of ours could not be closed.
    """
    from temporal_pipeline.dagster_home import dagster_instance  # noqa: PLC0415 - these import dagster
    from temporal_pipeline.defs.schema.upgrade import require_head  # noqa: PLC0415
    from temporal_pipeline.defs.upkeep import tidying  # noqa: PLC0415
    from temporal_pipeline.defs.upkeep.history import prune  # noqa: PLC0415

    database = Database.from_environment()
    try:
        with database.transaction(read_only=True) as connection:
            require_head(connection)
            drafts = tidying.old_drafts(connection)
            periods = tidying.superseded_periods(connection)
            tables = [dict(row._mapping) for row in tidying.our_tables(connection)]
        if not dry_run:
            drafts = tidying.finish_drafts(database, uuid.uuid4().hex, max_wait).left
            periods = tidying.archive_periods(database)
            tables = [vars(table) for table in tidying.vacuum(database)]
        with database.transaction(read_only=True) as connection:
            events = tidying.forgotten_events(connection)
        with dagster_instance(database) as instance:
            pruned = prune(instance, dry_run=dry_run)
    finally:
        database.dispose()
    data: dict[str, Any] = {
        "dry_run": dry_run,
        "drafts_left": [dict(row._mapping) for row in drafts],
        "forgotten_events": [dict(row._mapping) for row in events],
        "periods_archived": [dict(row._mapping) for row in periods],
        "tables": tables,
        "history": vars(pruned),
    }
    if not output.as_json:
        _show(output, data)
    unfinished = [row.entity for row in drafts if row.ours]
    if unfinished and not dry_run:
        error = PipelineError(
            f"drafts that could not be closed: {len(unfinished)}",
            hint="the reason stands beside them; when it is gone, run `temporal-pipeline update`",
        )
        output.fail(error, data=data)
        click.get_current_context().exit(error.exit_code)
    output.succeed(data)


def _show(output: Output, data: dict[str, Any]) -> None:
    show = output.console.print
    would = "would be " if data["dry_run"] else ""
    show(f"drafts older than a day{'' if data['dry_run'] else ', left'}: {len(data['drafts_left'])}")
    for row in data["drafts_left"]:
        show(
            f"    {row['entity_type']} {row['entity']}, period {row['period']}: {row['reason'] or 'unfinished'}"
        )
    show(f"open events that no run looks at any more: {len(data['forgotten_events'])}")
    for row in data["forgotten_events"]:
        show(f"    {row['entity_type']} {row['entity']}: {row['title']} ({row['reason']})")
    left_out = [table for table in data["tables"] if table.get("reason")]
    show(f"tables that {would or 'were '}vacuumed: {len(data['tables']) - len(left_out)}")
    for table in left_out:
        show(f"    left out: {table['table']} ({table['reason']})")
    show(f"superseded periods that {would or 'were '}archived: {len(data['periods_archived'])}")
    history = data["history"]
    show(
        f"Dagster's runs that {would or 'were '}deleted: {history['runs']:,}, events without a run: "
        f"{history['events']:,}; old runs that hold the latest of something: {history['kept']:,}"
    )
