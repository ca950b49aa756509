"""`alerts send`: what is due, to the webhooks; `alerts list`: what was told, and what not and why."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from temporal_pipeline.cli.consent import dry_run_option
from temporal_pipeline.cli.output import Output, json_option
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import Settings

if TYPE_CHECKING:
    from temporal_pipeline.alerts import Channel

LISTED = 20


@click.group()
def alerts() -> None:
    """Tell people what happened: events, failed runs and checks, assets that are not fresh.

    A Dagster daemon does it by itself, every half minute.
    """


@alerts.command()
@click.option("--again", is_flag=True, help="Also what waits for its next attempt, and what was given up.")
@dry_run_option
@json_option
@click.pass_obj
def send(output: Output, *, again: bool, dry_run: bool) -> None:
    """Send what is due to the webhooks of TEMPORAL_PIPELINE_ALERT_WEBHOOKS.

    For those who run `update` without a daemon, and for trying a new webhook. Failed runs, failed checks and missed
    freshness are only seen by the daemon.
    """
    from temporal_pipeline.alerts import channels_of, deliver  # noqa: PLC0415
    from temporal_pipeline.defs.schema.upgrade import require_head  # noqa: PLC0415 - imports alembic

    channels = channels_of(Settings().alert_webhooks)
    if not channels:
        raise PipelineError(
            "no channel: TEMPORAL_PIPELINE_ALERT_WEBHOOKS is not set",
            hint="set it as docs/alerts.md says",
            exit_code=2,
        )
    database = Database.from_environment()
    try:
        with database.transaction(read_only=True) as connection:
            require_head(connection)
        if dry_run:
            output.succeed(_preview(output, database, channels, again))
            return
        attempts = deliver(database, channels, again=again)
    finally:
        database.dispose()
    if not output.as_json:
        output.console.print("\n".join(map(str, attempts)) or "nothing is due")
    data = {
        "attempts": [
            {"channel": a.channel, "alerts": a.alerts, "failure": a.failure, "next_attempt_at": a.next_at}
            for a in attempts
        ]
    }
    failed = sorted({attempt.channel for attempt in attempts if attempt.failure is not None})
    if failed:
        error = PipelineError(f"not delivered to {', '.join(failed)}", hint="temporal-pipeline alerts list")
        output.fail(error, data=data)
        raise click.exceptions.Exit(error.exit_code)
    output.succeed(data)


def _preview(
    output: Output, database: Database, channels: "Sequence[Channel]", again: bool
) -> dict[str, Any]:
    from temporal_pipeline.alerts import preview  # noqa: PLC0415
    from temporal_pipeline.alerts.delivery import utc_now  # noqa: PLC0415
    from temporal_pipeline.alerts.messages import SHOWN, sentence  # noqa: PLC0415

    with database.transaction(read_only=True) as connection:
        due = {c.name: preview(connection, c, now=utc_now(), again=again) for c in channels}
    if not output.as_json:
        for channel, rows in due.items():
            shown = [f"{channel}: {len(rows):,} would be sent"]
            shown += [f"  {sentence(row)}" for row in rows[:SHOWN]]
            if len(rows) > SHOWN:
                shown.append(f"  and {len(rows) - SHOWN:,} more")
            output.console.print("\n".join(shown))
    return {
        "dry_run": True,
        "due": {channel: [dict(row._mapping) for row in rows] for channel, rows in due.items()},
    }


@alerts.command("list")
@json_option
@click.pass_obj
def list_(output: Output) -> None:
    """Show the latest alerts and how far each is with each channel: delivered, waiting or given up, and why."""
    from temporal_pipeline.alerts.messages import sentence  # noqa: PLC0415
    from temporal_pipeline.alerts.outbox import queries  # noqa: PLC0415
    from temporal_pipeline.defs.schema.upgrade import require_head  # noqa: PLC0415 - imports alembic

    database = Database.from_environment()
    try:
        with database.transaction(read_only=True) as connection:
            require_head(connection)
            rows = connection.execute(queries["latest_alerts"], {"limit": LISTED}).all()
    finally:
        database.dispose()
    if not output.as_json:
        for row in rows:
            progress = "; ".join(map(_progress, row.channels)) or "sent to nobody"
            output.console.print(f"{row.recorded_at:%Y-%m-%d %H:%M}  {sentence(row)} -> {progress}")
        if not rows:
            output.console.print("none yet")
    output.succeed({"alerts": [dict(row._mapping) for row in rows]})


def _progress(of_channel: dict[str, Any]) -> str:
    name, failure = of_channel["channel"], of_channel["failure"]
    if of_channel["delivered_at"]:
        return f"{name}: delivered"
    if of_channel["given_up_at"]:
        return f"{name}: given up ({failure})"
    return f"{name}: attempt {of_channel['attempts']} {f'failed ({failure})' if failure else 'under way'}"
