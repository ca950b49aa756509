"""`migrate`: backup, schema, verification."""

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from temporal_pipeline.cli.consent import Consent, dry_run_option, max_wait_option, yes_option
from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.database import Database
from temporal_pipeline.settings import Settings

if TYPE_CHECKING:
    from temporal_pipeline.operations.backup.dump import Backup


@click.command()
@click.option("--no-backup", is_flag=True, help="Do not back the database up first.")
@click.option(
    "--verify-backup",
    is_flag=True,
    help="Restore the backup into a scratch database and compare row counts before anything is changed.",
)
@yes_option
@dry_run_option
@max_wait_option
@json_option
@click.pass_obj
def migrate(
    output: Output, *, no_backup: bool, verify_backup: bool, yes: bool, dry_run: bool, max_wait: float
) -> None:
    """Bring the schema to head beside the running application: back up, migrate, verify.

    Every statement is a short transaction that gives way to the application. It may be killed at any point
    and run again.
    """
    from temporal_pipeline.cli.plan import print_statements  # noqa: PLC0415 - imports alembic
    from temporal_pipeline.cli.progress import StatementProgress  # noqa: PLC0415
    from temporal_pipeline.cli.verify import broken, print_claims  # noqa: PLC0415
    from temporal_pipeline.defs.schema.planning import plan  # noqa: PLC0415
    from temporal_pipeline.defs.schema.upgrade import upgrade  # noqa: PLC0415
    from temporal_pipeline.operations.backup.dump import take_backup  # noqa: PLC0415
    from temporal_pipeline.operations.verification import verify  # noqa: PLC0415

    if no_backup and verify_backup:
        raise click.UsageError("--no-backup leaves nothing for --verify-backup")
    consent = Consent(output, yes=yes, dry_run=dry_run)
    database = Database.from_environment()
    try:
        with database.transaction(read_only=True) as connection:
            statements = plan(connection)
        data: dict[str, Any] = {
            "dry_run": dry_run,
            "planned": [dataclasses.asdict(statement) for statement in statements],
        }
        if dry_run or (statements and not yes):
            consent.show_with(partial(print_statements, output, statements))
        if dry_run:
            output.succeed(data)
            return
        if statements:
            consent.require(f"Execute these {len(statements)} statements?")
        with StatementProgress(output, len(statements)) as progress:
            report = upgrade(
                database,
                max_wait=max_wait,
                back_up=None
                if no_backup
                else partial(
                    take_backup,
                    folder=Settings().backups,
                    verify=verify_backup,
                    max_wait=max_wait,
                    on_progress=progress.says,
                ),
                listener=progress,
            )
        claims = verify(database, only="schema")
    finally:
        database.dispose()
    data |= {
        "revision_before": report.revision_before,
        "revision_after": report.revision_after,
        "backup": dataclasses.asdict(report.backup) if report.backup else None,
        "statements": [dataclasses.asdict(statement) for statement in report.statements],
        "retries": report.retries,
        "waited": report.waited,
        "seconds": report.seconds,
        "claims": [dataclasses.asdict(claim) for claim in claims],
    }
    if not output.as_json:
        show = output.console.print
        if report.statements:
            show(_backup(report.backup))
            show(
                f"schema     {report.revision_after}: {len(report.statements)} statements in "
                f"{report.seconds:.1f} s, {report.waited:.1f} s of them waiting for others "
                f"({report.retries} retries)"
            )
        else:
            show(f"schema     {report.revision_after}: nothing to migrate, nothing to back up")
        print_claims(output, claims)
    if (error := broken(claims)) is not None:
        output.fail(error, data=data)
        click.get_current_context().exit(error.exit_code)
    output.succeed(data)


def _backup(backup: "Backup | None") -> str:
    if backup is None:
        return "backup     none"
    proof = "restored and counted" if backup.verified else "read to its end"
    line = f"backup     {backup.path} ({backup.bytes / 1e6:,.1f} MB, {backup.seconds:.1f} s, {proof})"
    return line + (f"\nwarning    {backup.warning}" if backup.warning else "")
