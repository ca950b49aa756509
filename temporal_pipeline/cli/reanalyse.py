"""`reanalyse`: a period of a topic or user computed anew; what was said before stays readable."""

import shlex
import uuid
from typing import TYPE_CHECKING, Any

import click

from temporal_pipeline.cli.consent import Consent, dry_run_option, max_wait_option, yes_option
from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.database import Database
from temporal_pipeline.entities import find_entities
from temporal_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from temporal_pipeline.operations.reanalysis import Reanalysis


@click.command()
@click.argument("entity")
@click.option(
    "--type",
    "entity_type",
    type=click.Choice(["topic", "user"]),
    help="Where both have one of that name.",
)
@click.option("--period", required=True, metavar="PERIOD", help="Number or id.")
@click.option("--reason", required=True, help="Why; kept with the period that is replaced.")
@yes_option
@dry_run_option
@max_wait_option
@json_option
@click.pass_obj
def reanalyse(
    output: Output,
    *,
    entity: str,
    entity_type: str | None,
    period: str,
    reason: str,
    yes: bool,
    dry_run: bool,
    max_wait: float,
) -> None:
    """Analyse a period of a topic or user again, from its posts as they are now.

    ENTITY is an id, an exact name, or topic:NAME. The old period stays readable with its posts, events and figures;
    its successor has the same number, bounds and posts. Its events and the worth of its queries are derived
    anew. What was killed goes on when the same command is given again.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty; say why, in a few words")
    database = Database.from_environment()
    try:
        consent = Consent(output, yes=yes, dry_run=dry_run)
        wanted = entity if entity_type is None else f"{entity_type}:{entity}"
        data = _reanalyse(consent, database, wanted, period, reason=reason.strip(), max_wait=max_wait)
    finally:
        database.dispose()
    failed = "; ".join(f"{stage}: {why}" for stage, why in data.get("failed", []))
    if failed:
        error = PipelineError(
            f"the period was analysed again, but not all that depends on it: {failed}",
            hint="remove the reason given above, then give the same command again",
        )
        output.fail(error, data=data)
        click.get_current_context().exit(error.exit_code)
    output.succeed(data)


def _reanalyse(
    consent: Consent, database: Database, wanted: str, period: str, *, reason: str, max_wait: float
) -> dict[str, Any]:
    from temporal_pipeline.defs.periods.reanalysis import period_called  # noqa: PLC0415 - imports alembic
    from temporal_pipeline.defs.schema.upgrade import require_head  # noqa: PLC0415
    from temporal_pipeline.operations.reanalysis import reanalyse_period  # noqa: PLC0415 - numpy

    with database.transaction(read_only=True) as connection:
        require_head(connection)
        [entity] = find_entities(connection, [wanted]) or []
        found = period_called(connection, entity, period)
    name = f"period {found.period_number} of {entity}"
    counts = {"posts": found.members, "events": found.events, "queries measured": found.queries}
    consent.show_counts(counts, f"{name}:")
    if consent.dry_run:
        consent.show("it would be superseded, and a successor with the same number, bounds and posts made")
        return {
            "dry_run": True,
            "entity": str(entity),
            "number": found.period_number,
            "period": found.id,
            "members": found.members,
        }
    consent.require(f"Analyse {name} again?")
    done = reanalyse_period(
        database, entity, found.id, reason, f"reanalyse-{uuid.uuid4()}", max_wait=max_wait
    )
    for line in _told(done):
        consent.show(line)
    return _data(done)


def _told(done: "Reanalysis") -> list[str]:
    pair = done.pair
    found = (
        f"events found: {pair.events} (before: {pair.old_events}), "
        f"queries measured: {pair.queries} (before: {pair.old_queries})"
    )
    return [
        *(
            ["an earlier re-analysis for the same reason had been stopped; it is finished now"]
            * done.is_resumed
        ),
        f"old        {pair.old}, {pair.old_content_count:,} posts, superseded: {pair.reason}",
        f"new        {pair.id}, {pair.content_count:,} posts",
        f"derived    {found}",
        f"compare    {compare_command(done)}",
    ]


def compare_command(done: "Reanalysis") -> str:
    """How to see what changed."""
    return shlex.join(
        [
            *("temporal-pipeline", "query", "compare", str(done.entity.id)),
            *("--a", str(done.pair.old), "--b", str(done.pair.id)),
        ]
    )


def _data(done: "Reanalysis") -> dict[str, Any]:
    pair = done.pair
    return {
        "run_id": done.run_id,
        "dry_run": False,
        "entity": str(done.entity),
        "number": pair.period_number,
        "old": pair.old,
        "new": pair.id,
        "reason": pair.reason,
        "members": pair.content_count,
        "events": pair.events,
        "queries": pair.queries,
        "resumed": done.is_resumed,
        "failed": [list(one) for one in done.failed],
        "compare": compare_command(done),
    }
