"""`rollback`: back to the application's own schema, or to a backup."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from temporal_pipeline.cli.consent import Consent, dry_run_option, max_wait_option, yes_option
from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import Settings

if TYPE_CHECKING:
    from temporal_pipeline.operations.backup.archive import Archive


@click.command()
@click.option("--to", "target", type=click.Choice(["legacy"]), help="Take away all that migrating has added.")
@click.option(
    "--restore",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Restore this backup beside the database, then swap the two.",
)
@click.option("--drop-old", is_flag=True, help="Drop the databases that restores have replaced.")
@click.option(
    "--force", is_flag=True, help="Also destroy what is in no backup, or restore one that is not whole."
)
@yes_option
@dry_run_option
@max_wait_option
@json_option
@click.pass_obj
def rollback(
    output: Output,
    *,
    target: str | None,
    file: Path | None,
    drop_old: bool,
    force: bool,
    yes: bool,
    dry_run: bool,
    max_wait: float,
) -> None:
    """Undo a migration: with exactly one of --to legacy, --restore FILE or --drop-old.

    Shows what would be lost, then asks. A restore keeps the database that it replaces, under another name,
    until --drop-old.
    """
    if sum((target is not None, file is not None, drop_old)) != 1:
        raise click.UsageError("give exactly one of --to legacy, --restore FILE or --drop-old")
    consent = Consent(output, yes=yes, dry_run=dry_run)
    database = Database.from_environment()
    try:
        if file is not None:
            data = _restore(consent, database, file, force=force, max_wait=max_wait)
        elif drop_old:
            data = _drop_old(consent, database)
        else:
            data = _to_legacy(consent, database, force=force, max_wait=max_wait)
    finally:
        database.dispose()
    output.succeed(data)


def _to_legacy(consent: Consent, database: Database, *, force: bool, max_wait: float) -> dict[str, Any]:
    from temporal_pipeline.cli.progress import StatementProgress  # noqa: PLC0415 - its package imports dagster
    from temporal_pipeline.defs.periods.cutting import STAGE  # noqa: PLC0415 - imports alembic
    from temporal_pipeline.defs.schema.upgrade import (  # noqa: PLC0415
        current_revision,
        downgrade,
        refuse_foreign_database,
    )
    from temporal_pipeline.operations.backup import losses  # noqa: PLC0415

    with database.transaction(read_only=True) as connection:
        refuse_foreign_database(connection)
        revision = current_revision(connection)
        tables = losses.temporal_tables(connection)
        rows = losses.temporal_rows(connection) if revision else {}
        lost = rows | losses.added_values(connection) if revision else {}
        working = losses.working_tables(connection)
    data: dict[str, Any] = {"to": "legacy", "dry_run": consent.dry_run, "revision": revision, "lost": lost}
    if revision is None:
        consent.show("nothing to do: the database is at no revision of ours")
        if tables:
            consent.show(
                f"It has {', '.join(tables)}, made by the application or by an upgrade that was interrupted; "
                "temporal-pipeline update completes that, and then this undoes it."
            )
        return data | {"steps": []}
    consent.show_counts(lost, f"going back from {revision} to the application's own schema destroys")
    consent.show("and with these every other column that was added to the application's tables.")
    if working:
        consent.show(f"The pipeline's own records go too: {', '.join(working)}.")
    backup = None
    if any(rows.values()) and not force:
        backup = _last_backup(database)
        newer = _require_in_backup(consent, database, backup)
        data |= {"newer_than_backup": newer, "backup": str(backup.path) if backup else None}
    if consent.dry_run:
        return data
    consent.require("Destroy this?")
    # A run that was at work when we counted has finished; none begins before we have.
    with database.exclusive(STAGE, max_wait), StatementProgress(consent.output) as progress:
        if not force:
            _require_in_backup(consent, database, backup)
        report = downgrade(database, max_wait=max_wait, listener=progress)
    consent.show(
        f"the schema is the application's own again: {len(report.steps)} steps, {report.seconds:.1f} s"
    )
    return data | {"steps": list(report.steps), "retries": report.retries, "seconds": report.seconds}


def _last_backup(database: Database) -> "Archive | None":
    """The last one that holds the temporal tables as well."""
    from temporal_pipeline.defs.schema.definition.model import LEGACY_TABLES  # noqa: PLC0415 - imports alembic
    from temporal_pipeline.operations.backup.losses import TEMPORAL_TABLES  # noqa: PLC0415
    from temporal_pipeline.operations.backup.newest import newest_backup  # noqa: PLC0415

    return newest_backup(Settings().backups, database, (*LEGACY_TABLES, *TEMPORAL_TABLES))


def _require_in_backup(consent: Consent, database: Database, backup: "Archive | None") -> dict[str, int]:
    """How many rows are newer than the backup. Raises PipelineError (exit code 5) if any are."""
    from temporal_pipeline.operations.backup import losses  # noqa: PLC0415 - imports alembic

    folder = Settings().backups
    with database.transaction(read_only=True) as connection:
        newer = losses.temporal_rows(connection, backup.created_at if backup else losses.EVER)
    since = f"which are in no backup: there is none of this database with its periods in {folder}"
    if backup is not None:
        since = f"newer than the last backup, {backup.path.name} of {backup.created_at:%Y-%m-%d %H:%M:%S} UTC"
    if any(newer.values()):
        counts = [f"{count:,} {what}" for what, count in newer.items()]
        _refuse(
            consent,
            f"this would destroy {', '.join(counts[:-1])} and {counts[-1]} rows {since}",
            hint=f"back up first: temporal-pipeline exec -- pg_dump -Fc -f {folder}/NAME.dump; or add --force",
        )
    return newer


def _refuse(consent: Consent, message: str, hint: str) -> None:
    """Raise PipelineError (exit code 5); a dry run only says so."""
    if not consent.dry_run:
        raise PipelineError(message, hint=hint, exit_code=5)
    consent.show(f"it would be refused: {message}")


def _restore(
    consent: Consent, database: Database, file: Path, *, force: bool, max_wait: float
) -> dict[str, Any]:
    from temporal_pipeline.defs.schema.definition.model import LEGACY_TABLES  # noqa: PLC0415 - imports alembic
    from temporal_pipeline.operations.backup import losses  # noqa: PLC0415
    from temporal_pipeline.operations.backup.databases import name_of  # noqa: PLC0415
    from temporal_pipeline.operations.backup.restore import readable_archive, restore  # noqa: PLC0415

    archive = readable_archive(file)
    name = name_of(database)
    has_periods = not archive.lacks(losses.TEMPORAL_TABLES)
    with database.transaction(read_only=True) as connection:
        lost = losses.application_rows(connection, archive.created_at)
        lost |= losses.temporal_rows(connection, archive.created_at if has_periods else losses.EVER)
        missing = losses.missing_tables(connection, archive)
    uncounted = [table for table in LEGACY_TABLES if table not in lost]
    data: dict[str, Any] = {
        "restore": str(file),
        "dry_run": consent.dry_run,
        "created_at": archive.created_at,
        "lost": lost,
        "uncounted": uncounted,
        "missing_tables": missing,
    }
    consent.show(f"{file.name} is of {archive.created_at:%Y-%m-%d %H:%M:%S} UTC, database {archive.database}")
    consent.show_counts(lost, "made since then, and not in it:")
    if uncounted:
        consent.show(f"What else was made cannot be counted: the database has no {', '.join(uncounted)}.")
    if missing:
        consent.show(f"Not in it at all, with every row: {', '.join(missing)}.")
    consent.show("Changes to older rows are not in it either. All connections will be ended.")
    doubts = (
        [f"it is of the database {archive.database!r}, not of {name!r}"] if archive.database != name else []
    )
    if missing:
        doubts.append(f"it lacks tables that the database has: {', '.join(missing)}")
    if doubts and not force:
        _refuse(consent, f"{file.name}: {'; '.join(doubts)}", hint="give another file, or add --force")
    if consent.dry_run:
        return data
    consent.require("Put the backup in the place of the database?")
    restored = restore(database, file, max_wait=max_wait, on_progress=consent.output.progress.print)
    consent.show_counts(restored.rows, f"restored in {restored.seconds:.0f} s; {restored.database} has now")
    consent.show(
        f"what it was before is {restored.kept}; drop it with: temporal-pipeline rollback --drop-old"
    )
    return data | {"kept": restored.kept, "rows": restored.rows, "seconds": restored.seconds}


def _drop_old(consent: Consent, database: Database) -> dict[str, Any]:
    from temporal_pipeline.operations.backup.restore import drop_old, old_databases  # noqa: PLC0415 - imports alembic

    old = old_databases(database)
    data: dict[str, Any] = {
        "drop_old": [{"name": one.name, "bytes": one.bytes} for one in old],
        "dry_run": consent.dry_run,
    }
    for one in old:
        consent.show(f"{one.name}: {one.bytes / 1e6:,.0f} MB")
    if not old:
        consent.show("nothing to do: no database of an earlier restore is left")
    elif not consent.dry_run:
        consent.require("Drop these for good?")
        drop_old(database, old)
        consent.show(f"dropped {len(old)}")
    return data
