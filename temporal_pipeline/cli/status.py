"""`status`: where everything is, on one screen."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from sqlalchemy import Connection, make_url

from temporal_pipeline import problems
from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.cli.pending import after_the_migration, before_the_migration, duration, last_backup
from temporal_pipeline.dagster_home import last_run
from temporal_pipeline.database import LOCK_SPACE, Database, Queries
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import Settings

if TYPE_CHECKING:
    from temporal_pipeline.defs.schema.planning import PlannedStatement

queries = Queries(__package__)

ROWS_SHOWN = 15


@click.command()
@json_option
@click.pass_obj
def status(output: Output) -> None:
    """Show where the schema, entities and contents are, what is pending and about how long that will take.

    Also what waits and why, problems, cuts that were not finished, the last run and the last backup. Only reads.
    """
    database = Database.from_environment()
    try:
        data = _read(database)
        data["last_run"] = last_run(database)
    finally:
        database.dispose()
    if not output.as_json:
        _print(output, data)
    output.succeed(data)


def _read(database: Database) -> dict[str, Any]:
    from temporal_pipeline.defs.schema.definition.model import HEAD  # noqa: PLC0415 - these import alembic
    from temporal_pipeline.defs.schema.planning import plan  # noqa: PLC0415
    from temporal_pipeline.defs.schema.upgrade import (  # noqa: PLC0415
        current_revision,
        refuse_foreign_database,
    )
    from temporal_pipeline.operations.verification.schema import data_can_be_read  # noqa: PLC0415

    backups = _read_backups(database)
    with database.transaction(read_only=True) as connection:
        data = {"database": database.safe_url, "server": _server_version(connection)} | backups
        try:
            refuse_foreign_database(connection)
        except PipelineError as error:
            return data | {"schema": None, "missing": error.message, "remedy": error.hint}
        obstacle = None
        try:
            planned = plan(connection)
        except PipelineError as error:
            planned, obstacle = [], {"reason": error.message, "remedy": error.hint}
        data["schema"] = {
            "revision": current_revision(connection),
            "head": HEAD,
            "at_head": not planned and obstacle is None,
            "pending": len(planned),
            "obstacle": obstacle,
        }
        read = _progress if data_can_be_read(connection) else _beginning
        return data | read(connection, planned)


def _read_backups(database: Database) -> dict[str, Any]:
    folder = Settings().backups
    backup = obstacle = None
    try:
        backup = last_backup(folder, database)
    except PipelineError as error:
        obstacle = {"reason": error.message, "remedy": error.hint}
    return {
        "backups": str(folder),
        "last_backup": None if backup is None else dataclasses.asdict(backup),
        "backups_obstacle": obstacle,
    }


def _beginning(connection: Connection, planned: "Sequence[PlannedStatement]") -> dict[str, Any]:
    """What there is to tell before the schema is there."""
    contents = _rows(connection, "legacy_contents")[0]
    return {
        "entities": _rows(connection, "legacy_entities"),
        "contents": contents,
        "pending": dataclasses.asdict(before_the_migration(planned, contents)),
    }


def _progress(connection: Connection, planned: "Sequence[PlannedStatement]") -> dict[str, Any]:
    from temporal_pipeline.operations.verification.claims import waiting_entities  # noqa: PLC0415

    entities = _rows(connection, "entities")
    cuts = _rows(connection, "last_cut")
    unfinished = _rows(connection, "unfinished_cuts")
    waiting = waiting_entities(connection)
    contents = _rows(connection, "contents")[0]
    contents["waiting"] = sum(row["contents"] for row in waiting)
    return {
        "entities": entities,
        "with_periods": sum(1 for entity in entities if entity["periods"]),
        "without_periods": sum(1 for entity in entities if not entity["periods"]),
        "waiting_for_period_zero": sum(1 for row in waiting if not row["has_period"]),
        "periods": sum(entity["periods"] for entity in entities),
        "drafts": sum(entity["drafts"] for entity in entities),
        "contents": contents,
        "waiting": waiting,
        "problems": [dict(row._mapping) for row in problems.of_stage(connection)],
        "last_cut": cuts[0] if cuts else None,
        "unfinished_cuts": unfinished,
        "is_at_work": connection.scalar(queries["is_at_work"], {"space": LOCK_SPACE}),
        "pending": dataclasses.asdict(after_the_migration(connection, planned, waiting, unfinished)),
    }


def _rows(connection: Connection, query: str) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in connection.execute(queries[query])]


def _server_version(connection: Connection) -> str:
    return ".".join(map(str, connection.dialect.server_version_info or ()))


def _print(output: Output, data: dict[str, Any]) -> None:
    show = output.console.print
    place = make_url(data["database"])
    show(f"database   {place.database} on PostgreSQL {data['server']}, {_host(data['database'])}")
    schema = data["schema"]
    if schema is None:
        show(f"schema     {data['missing']}\nremedy     {data['remedy']}")
        return
    if schema["at_head"]:
        show(f"schema     {schema['revision']}, at head")
    elif schema["obstacle"]:
        show(f"schema     {schema['obstacle']['reason']}\nremedy     {schema['obstacle']['remedy']}")
    else:
        revision = schema["revision"] or "legacy, never migrated"
        show(f"schema     {revision}; {schema['pending']} statements to {schema['head']}")
    contents = data["contents"]
    is_legacy = "periods" not in data
    if is_legacy:
        show(f"entities   {len(data['entities'])} topics and users, none with periods yet")
        show(f"contents   {contents['contents']:,}, {contents['unowned']:,} of them without owner")
    else:
        show(
            f"entities   {data['with_periods']} with periods, {data['without_periods']} without; "
            f"{data['waiting_for_period_zero']} wait for their Period 0"
        )
        show(f"periods    {data['periods']:,} active, {data['drafts']:,} drafts")
        show(
            f"contents   {contents['linked']:,} of {contents['contents']:,} linked; "
            f"{contents['waiting']:,} waiting, {contents['unowned']:,} without owner, "
            f"{contents['future']:,} crawled in the future"
        )
        show(f"last cut   {_cut(data['last_cut'])}")
        for cut in data["unfinished_cuts"]:
            show(f"unfinished {_unfinished(cut, data['is_at_work'])}")
        show(f"last run   {_run(data['last_run'])}")
    show(f"backup     {_backup(data)}")
    show(f"pending    {_pending(data['pending'])}")
    if data["pending"]["next"]:
        show(f"next       {', then '.join(data['pending']['next'])}")
    if is_legacy:
        _print_table(output, data["entities"], ("entity_type", "name", "status", "contents"))
        return
    _print_table(
        output, data["entities"], ("entity_type", "name", "status", "periods", "contents", "latest_end")
    )
    waiting = [row | {"reason": row["reason"] or "next update"} for row in data["waiting"]]
    _print_table(output, waiting, ("name", "contents", "newest", "reason"), "waiting")
    _print_table(output, data["problems"], ("stage", "name", "since", "reason"), "problems")


def _print_table(
    output: Output, rows: Sequence[dict[str, Any]], columns: tuple[str, ...], title: str = ""
) -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = isinstance(rows[0][column], int)
        table.add_column(column.replace("_", " "), justify="right" if number else "left")
    for row in rows[:ROWS_SHOWN]:
        table.add_row(*(_cell(row[column]) for column in columns))
    output.console.print(f"\n{title}" if title else "")
    output.console.print(table)
    if len(rows) > ROWS_SHOWN:
        output.console.print(f"… and {len(rows) - ROWS_SHOWN} more; --json lists all")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:%Y-%m-%d %H:%M}" if hasattr(value, "strftime") else str(value)


def _host(safe_url: str) -> str:
    url = make_url(safe_url)
    return f"host {url.host}" if url.host else f"socket {url.query.get('host', 'default')}"


def _cut(cut: dict[str, Any] | None) -> str:
    if cut is None:
        return "none yet"
    state = f"finished {_cell(cut['finished_at'])} UTC" if cut["finished_at"] else "not finished"
    return f"#{cut['id']} of {_cell(cut['instant'])} UTC, {cut['periods']:,} periods, {state}"


def _unfinished(cut: dict[str, Any], is_at_work: bool) -> str:
    state = "a run is at work" if is_at_work else "no run is at work: the next one goes on with it"
    return f"#{cut['id']}, begun {_cell(cut['started_at'])} UTC, {cut['drafts']:,} drafts left; {state}"


def _backup(data: dict[str, Any]) -> str:
    backup, obstacle = data["last_backup"], data["backups_obstacle"]
    if obstacle:
        return f"those in {data['backups']} cannot be read: {obstacle['reason']}; {obstacle['remedy']}"
    if backup is None:
        return f"none of this database in {data['backups']}"
    size = f"{backup['bytes'] / 1e6:,.1f} MB"
    return f"{backup['name']}, {size}, {duration(backup['age_seconds'])} old, in {data['backups']}"


def _pending(pending: dict[str, Any]) -> str:
    parts = []
    if pending["statements"]:
        parts.append(
            f"{pending['statements']} schema statements, about {duration(pending['schema_seconds'])}"
        )
    to_do = [
        f"{pending[key]:,} contents to {key.rpartition('_')[2]}"
        for key in ("contents_to_prepare", "contents_to_link")
        if pending[key]
    ]
    if to_do:
        rate = "at the speed of an earlier cut" if pending["rate_is_measured"] else "at a usual speed"
        parts.append(f"{' and '.join(to_do)}, about {duration(pending['backfill_seconds'])} {rate}")
    if pending["periods_to_freeze"]:
        parts.append(f"snapshots, events and effectiveness of {pending['periods_to_freeze']:,} periods")
    return "; ".join(parts) or "nothing"


def _run(run: dict[str, Any] | None) -> str:
    if run is None:
        return "none yet"
    ended = f", ended {_cell(run['ended_at'])} UTC" if run["ended_at"] else ""
    return f"{run['job']} {run['status'].lower()}{ended} ({run['run_id'][:8]})"
