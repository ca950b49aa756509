"""`status`: where everything is, on one screen."""

from collections.abc import Sequence
from typing import Any

import click
from rich.table import Table
from sqlalchemy import Connection, make_url

from temporal_pipeline import problems
from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.dagster_home import last_run
from temporal_pipeline.database import Database, Queries
from temporal_pipeline.errors import PipelineError

queries = Queries(__package__)

ROWS_SHOWN = 15


@click.command()
@json_option
@click.pass_obj
def status(output: Output) -> None:
    """Show the schema's version, entities, contents, what waits and why, problems, and the last run.

    Only reads.
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
    from temporal_pipeline.defs.schema.upgrade import (  # noqa: PLC0415 - imports alembic
        refuse_foreign_database,
        schema_state,
    )

    with database.transaction(read_only=True) as connection:
        data: dict[str, Any] = {"database": database.safe_url, "server": _server_version(connection)}
        try:
            refuse_foreign_database(connection)
        except PipelineError as error:
            return data | {"schema": None, "missing": error.message, "remedy": error.hint}
        state = schema_state(connection)
        data["schema"] = {
            "revision": state.revision,
            "head": state.head,
            "at_head": state.is_at_head,
            "pending": len(state.pending),
        }
        return data | (_progress(connection) if state.is_at_head else _beginning(connection))


def _beginning(connection: Connection) -> dict[str, Any]:
    """What there is to tell before the schema is there."""
    entities = _rows(connection, "legacy_entities")
    return {"entities": entities, "contents": _rows(connection, "legacy_contents")[0]}


def _progress(connection: Connection) -> dict[str, Any]:
    from temporal_pipeline.defs.periods.cutting import waiting_entities  # noqa: PLC0415 - imports alembic

    entities = _rows(connection, "entities")
    cuts = _rows(connection, "last_cut")
    return {
        "entities": entities,
        "with_periods": sum(1 for entity in entities if entity["periods"]),
        "without_periods": sum(1 for entity in entities if not entity["periods"]),
        "periods": sum(entity["periods"] for entity in entities),
        "drafts": sum(entity["drafts"] for entity in entities),
        "contents": _rows(connection, "contents")[0],
        "waiting": [dict(row._mapping) for row in waiting_entities(connection)],
        "problems": [dict(row._mapping) for row in problems.of_stage(connection)],
        "last_cut": cuts[0] if cuts else None,
        "unfinished_cuts": connection.scalar(queries["unfinished_cuts"]),
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
    else:
        revision = schema["revision"] or "legacy, never migrated"
        show(
            f"schema     {revision}; {schema['pending']} steps to {schema['head']}: temporal-pipeline update"
        )
    contents = data["contents"]
    if "periods" not in data:
        show(f"entities   {len(data['entities'])} topics and users, none with periods yet")
        show(f"contents   {contents['contents']:,}, {contents['unowned']:,} of them without owner")
        _print_table(output, data["entities"], ("entity_type", "name", "status", "contents"))
        return
    show(f"entities   {data['with_periods']} with periods, {data['without_periods']} without")
    show(f"periods    {data['periods']:,} active, {data['drafts']:,} drafts")
    show(
        f"contents   {contents['linked']:,} of {contents['contents']:,} linked; "
        f"{contents['waiting']:,} waiting, {contents['unowned']:,} without owner, "
        f"{contents['future']:,} crawled in the future"
    )
    show(f"last cut   {_cut(data)}")
    show(f"last run   {_run(data['last_run'])}")
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


def _cut(data: dict[str, Any]) -> str:
    cut = data["last_cut"]
    if cut is None:
        return "none yet"
    state = (
        f"finished {_cell(cut['finished_at'])} UTC" if cut["finished_at"] else "not finished: update goes on"
    )
    return f"#{cut['id']} of {_cell(cut['instant'])} UTC, {cut['periods']:,} periods, {state}"


def _run(run: dict[str, Any] | None) -> str:
    if run is None:
        return "none yet"
    ended = f", ended {_cell(run['ended_at'])} UTC" if run["ended_at"] else ""
    return f"{run['job']} {run['status'].lower()}{ended} ({run['run_id'][:8]})"
