"""`rescore`: our relevance scores of a topic or user computed anew, or one of them explained."""

import dataclasses
import uuid
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from temporal_pipeline.bulk import told_in_lines
from temporal_pipeline.cli.consent import Consent, dry_run_option, max_wait_option, yes_option
from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.database import Database
from temporal_pipeline.entities import Entity, find_entities
from temporal_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from temporal_pipeline.defs.contents.rescoring import Explanation


@click.command()
@click.option("--entity", metavar="NAME", help="The topic or user: by name, id, topic:NAME or user:NAME.")
@click.option(
    "--explain", type=click.UUID, metavar="CONTENT", help="Show how the score of one content comes about."
)
@yes_option
@dry_run_option
@max_wait_option
@json_option
@click.pass_obj
def rescore(
    output: Output,
    *,
    entity: str | None,
    explain: uuid.UUID | None,
    yes: bool,
    dry_run: bool,
    max_wait: float,
) -> None:
    """Compute our relevance scores of a topic or user anew, from all that is known of it by now.

    Scores that the application gave stay, and periods keep what was known in their time. With --explain, show the
    parts of a content's score instead; that writes nothing.
    """
    if (entity is None) == (explain is None):
        raise click.UsageError("give either --entity NAME or --explain CONTENT")
    database = Database.from_environment()
    try:
        if explain is not None:
            _explain(output, database, explain)
        elif entity is not None:
            consent = Consent(output, yes=yes, dry_run=dry_run)
            output.succeed(_rescore(consent, database, entity, max_wait))
    finally:
        database.dispose()


def _rescore(consent: Consent, database: Database, name: str, max_wait: float) -> dict[str, Any]:
    from temporal_pipeline.defs.contents.relevance.scoring import METHOD  # noqa: PLC0415 - numpy
    from temporal_pipeline.defs.contents.rescoring import NOT_OURS, rescore, scores_of  # noqa: PLC0415
    from temporal_pipeline.defs.schema.upgrade import require_head  # noqa: PLC0415

    with database.transaction(read_only=True) as connection:
        require_head(connection)
        chosen = _one(find_entities(connection, [name]))
        counts = scores_of(connection, chosen)
    due = sum(n for method, n in counts.items() if method not in NOT_OURS)
    consent.show_counts(counts, f"{chosen}, contents by the method that scored them:")
    data = {"entity": str(chosen), "method": METHOD, "before": counts, "due": due, "dry_run": consent.dry_run}
    if consent.dry_run:
        consent.show(f"{due:,} would be scored by {METHOD}; those scored elsewhere stay")
        return data
    if due:
        consent.require(f"Score {due:,} contents anew by {METHOD}?")
    told = told_in_lines(consent.output.progress.print)
    done = rescore(database, chosen, max_wait=max_wait, progress=told)
    consent.show(
        f"{done.scored:,} of {done.contents:,} have a score by {METHOD}"
        + (f"; {done.kept:,} were left, held or scored by others meanwhile" if done.kept else "")
    )
    return data | dataclasses.asdict(done)


def _one(found: list[Entity] | None) -> Entity:
    if not found:
        raise PipelineError("no topic or user is named", exit_code=2)
    return found[0]


def _explain(output: Output, database: Database, content: uuid.UUID) -> None:
    from temporal_pipeline.defs.contents.rescoring import explain  # noqa: PLC0415 - numpy

    found = explain(database, content)
    if not output.as_json:
        _print(output, found)
    output.succeed({"content": str(content)} | dataclasses.asdict(found))


def _print(output: Output, found: "Explanation") -> None:
    show = output.console.print
    if found.parts is None:
        show(f"it has no score of ours: {found.reason or 'it is not prepared yet'}")
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("signal")
        table.add_column("log odds", justify="right")
        table.add_column("")
        for signal, value in dataclasses.asdict(found.parts).items():
            named = f"names {', '.join(found.named)}" if signal == "keywords" and found.named else ""
            table.add_row(signal, f"{value:+.2f}", named)
        show(table)
        show(f"score by what is known now  {found.now:.4f}")
    if found.stored is None:
        show("score in the database       none")
    else:
        whose = f"ours, by {found.method}" if found.is_ours else "from elsewhere"
        show(f"score in the database       {found.stored:.4f} ({whose})")
