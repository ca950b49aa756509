"""`doctor`: is this server and database fit for a migration, and is all well after one?"""

from typing import TYPE_CHECKING, Any

import click

from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from temporal_pipeline.operations.doctor.finding import Finding

DOES_NOT_HOLD = 3
INDENT = " " * 6


@click.command()
@json_option
@click.pass_obj
def doctor(output: Output) -> None:
    """Examine the server and the database: connection, rights, locks, disk, schema, what waits.

    A line each, with the remedy where something is wrong. Only reads. The exit code is 3 when something would
    stop a migration or a run.
    """
    from temporal_pipeline.operations.doctor.examination import examine  # noqa: PLC0415 - imports alembic

    database = Database.from_environment()
    try:
        findings = examine(database)
    finally:
        database.dispose()
    if not output.as_json:
        _print(output, findings)
    data = {"findings": [_described(finding) for finding in findings]}
    if failing := [finding.name for finding in findings if finding.fails]:
        error = PipelineError(
            f"not fit: {', '.join(failing)}",
            hint="follow the remedies of what fails, then run doctor again",
            exit_code=DOES_NOT_HOLD,
        )
        output.fail(error, data=data)
        click.get_current_context().exit(error.exit_code)
    output.succeed(data)


def _print(output: Output, findings: "list[Finding]") -> None:
    show = output.console.print
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        verdict = finding.verdict
        show(f"{verdict.status.value:<{len(INDENT)}}{finding.name:<{width}}  {verdict.found}")
        for detail in verdict.details:
            show(f"{INDENT}- {detail}")
        if verdict.remedy:
            show(f"{INDENT}remedy: {verdict.remedy}")
    counts = dict.fromkeys(("ok", "warn", "fail"), 0)
    for finding in findings:
        counts[finding.verdict.status.value] += 1
    show(", ".join(f"{count} {status}" for status, count in counts.items()))


def _described(finding: "Finding") -> dict[str, Any]:
    verdict = finding.verdict
    return {
        "name": finding.name,
        "status": verdict.status.value,
        "found": verdict.found,
        "remedy": verdict.remedy or None,
        "details": list(verdict.details),
    }
