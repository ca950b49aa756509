"""`verify`: what should be true of the database, claim by claim."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from temporal_pipeline.operations.verification import Claim

OFFENDERS_SHOWN = 3
DOES_NOT_HOLD = 3


@click.command()
@json_option
@click.pass_obj
def verify(output: Output) -> None:
    """Check what should be true after a migration, a backfill and any later update, with counts.

    Only reads, everything at one and the same moment, also while crawlers write. Exit code 3 when a claim does
    not hold; a warning is for somebody to look at and leaves the exit code 0.
    """
    from temporal_pipeline.operations.verification import RULES  # noqa: PLC0415 - these import alembic
    from temporal_pipeline.operations.verification import verify as examine  # noqa: PLC0415

    database = Database.from_environment()
    try:
        claims = examine(database)
    finally:
        database.dispose()
    if not output.as_json:
        print_claims(output, claims)
        if len(claims) < len(RULES):
            output.console.print("Claims about contents and periods are examined once the schema is there.")
    data = {"claims": [dataclasses.asdict(claim) for claim in claims]}
    if (error := broken(claims)) is not None:
        output.fail(error, data=data)
        click.get_current_context().exit(error.exit_code)
    output.succeed(data)


def broken(claims: "Sequence[Claim]") -> PipelineError | None:
    """The error (exit code 3) that names the claims that do not hold, with the first one's remedy."""
    names = [claim.name for claim in claims if not claim.holds]
    if not names:
        return None
    remedy = next(claim.remedy for claim in claims if not claim.holds)
    return PipelineError(f"does not hold: {', '.join(names)}", hint=remedy, exit_code=DOES_NOT_HOLD)


def print_claims(output: Output, claims: "Sequence[Claim]") -> None:
    """A line per claim with its counts; what is wrong with it and its remedy below."""
    show = output.console.print
    for claim in claims:
        show(f"{claim.verdict:<13}  {claim.name}  {_figures(claim)}".rstrip())
        for offender in claim.offenders[:OFFENDERS_SHOWN]:
            show(f"    {_shown(offender)}")
        if claim.counts["offenders"] > OFFENDERS_SHOWN:
            show(f"    … and {claim.counts['offenders'] - OFFENDERS_SHOWN:,} more; --json shows some of them")
        if claim.remedy:
            show(f"    remedy: {claim.remedy}")
    verdicts = Counter(claim.verdict for claim in claims)
    seconds = sum(claim.seconds for claim in claims)
    show(
        f"{len(claims)} claims: {verdicts['holds']} hold, {verdicts['warning']} warnings, "
        f"{verdicts['does not hold']} do not hold; {seconds:.1f} s"
    )


def _figures(claim: "Claim") -> str:
    counts = {key: value for key, value in claim.counts.items() if key != "offenders" or value}
    parts = [f"{value:,} {key.replace('_', ' ')}" for key, value in counts.items()]
    return ", ".join(parts) + (f" ({claim.note})" if claim.note else "")


def _shown(offender: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key.replace('_', ' ')} {value}" for key, value in offender.items() if value is not None
    )
