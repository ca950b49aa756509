"""`demo`: a crawler's month with a known answer, and what the graph makes of it."""

import time
from collections.abc import Callable

import click
import psycopg
from sqlalchemy import make_url

from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.status import queries
from temporal_pipeline.database import Database
from temporal_pipeline.embedded import attach
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import Settings

TEXT_SHOWN = 90


@click.command()
@click.option("--reset", is_flag=True, help="Throw the embedded database away and start over.")
@click.pass_obj
def demo(output: Output, reset: bool) -> None:
    """Play a crawler's month and two rounds more, run the graph after each, and tell what came of it.

    Works in the embedded database, or in that of DATABASE_URL when it holds nothing else. Played again, it
    goes on where it stopped.
    """
    if reset:
        _reset()
    database = Database.from_environment()
    try:
        _refuse_other_data(database)
        news = _play(output, database)
        _tell(output, database)
        if not news:
            output.console.print("It had been played before. Start over with: make demo-reset")
    finally:
        database.dispose()


def _play(output: Output, database: Database) -> bool:
    """Load, run, and again for each further round. Whether anything was new."""
    from temporal_pipeline.crosshot.demo import load_demo, play_round  # noqa: PLC0415 - only this verb needs it

    scenes: tuple[tuple[str, Callable[[], None]], ...] = (
        ("30 days of crawls", lambda: load_demo(database)),
        ("a crawl round more", lambda: play_round(database, 1)),
        ("and one more", lambda: play_round(database, 2)),
    )
    return sum(_scene(output, database, title, load) for title, load in scenes) > 0


def _scene(output: Output, database: Database, title: str, load: Callable[[], None]) -> int:
    """Load something and run the graph. Returns how many rows the graph wrote."""
    from temporal_pipeline.cli.running import run_update  # noqa: PLC0415 - imports dagster, which takes a second
    from temporal_pipeline.cli.update import print_outcome  # noqa: PLC0415

    started = time.monotonic()
    load()
    outcome = run_update(database, {}, backup=False)
    if outcome.error is not None:
        print_outcome(output, outcome)
        raise outcome.error
    written = {step.asset: (step.metadata or {}).get("rows_written", 0) for step in outcome.steps}
    periods = written.get("period_zero", 0) + written.get("analysis_periods", 0)
    output.progress.print(
        f"{title}: {periods} new periods, {sum(not claim.holds for claim in outcome.claims)} of "
        f"{len(outcome.claims)} checks complain, {time.monotonic() - started:.0f} s"
    )
    return sum(written.values())


def _tell(output: Output, database: Database) -> None:
    with database.transaction(read_only=True) as connection:
        totals = connection.execute(queries["totals"]).one()
        contents = connection.execute(queries["contents"]).one()
        event = connection.execute(queries["strongest_event"]).first()
        worth = connection.execute(queries["queries_by_worth"]).all()
        trend = connection.execute(queries["busiest_trend"]).first()
    lines = {
        "periods": f"{totals.periods:,}, of {totals.entities} topics and users",
        "contents": f"{contents.linked:,} of {contents.contents:,} linked; "
        f"{contents.unowned:,} without owner, {contents.future:,} crawled in the future",
        "snapshots": f"{totals.snapshots:,} texts as they were when their period was closed",
    }
    if event is not None:
        lines["event"] = f"{event.severity}: {event.title}"
    if event is not None and event.text:
        lines["its evidence"] = (
            f"“{_shortened(event.text)}” @{event.author}, {event.published_at:%Y-%m-%d %H:%M}"
        )
    for name, row in zip(("best query", "worst query"), (worth[:1], worth[-1:]), strict=True):
        for query in row:
            lines[name] = (
                f"{query.query} ({query.platform}): {query.relevant:,} of {query.found:,} relevant, "
                f"score {query.score:.2f}"
            )
    if trend is not None:
        rates = [rate for rate in (trend.before_last, trend.last, trend.now) if rate is not None]
        lines["trend"] = f"{trend.name}: " + " → ".join(f"{rate:.2f}" for rate in rates) + " posts per hour"
    show = output.console.print
    show()
    for name, line in lines.items():
        show(f"  {name:<13} {line}")
    show("\nNow type")
    show(
        "  make ui                                      the graph, its checks and charts: http://127.0.0.1:3000"
    )
    show("  .venv/bin/temporal-pipeline status           where everything is")
    show("  .venv/bin/temporal-pipeline update           run the graph again: nothing new, nothing written")
    show("  .venv/bin/temporal-pipeline exec -- psql     look at v_period_timeline, temporal_events, …")


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TEXT_SHOWN else line[: TEXT_SHOWN - 1] + "…"


def _refuse_other_data(database: Database) -> None:
    """The demo never mixes with anybody's own topics and users."""
    from temporal_pipeline.crosshot.demo.world import TOPICS, USERS  # noqa: PLC0415
    from temporal_pipeline.crosshot.records import identity  # noqa: PLC0415
    from temporal_pipeline.defs.schema.upgrade import refuse_foreign_database  # noqa: PLC0415

    ours = [identity("topic", topic.key) for topic in TOPICS] + [identity("user", user.key) for user in USERS]
    with database.transaction(read_only=True) as connection:
        try:
            refuse_foreign_database(connection)
        except PipelineError:
            return
        strangers = connection.scalar(queries["strangers"], {"ids": ours})
    if strangers:
        raise PipelineError(
            f"the database {make_url(database.url).database!r} holds {strangers:,} topics and users that are "
            "not the demo's",
            hint="give the demo a server of its own: TEMPORAL_PIPELINE_HOME=/some/folder make demo",
            exit_code=5,
        )


def _reset() -> None:
    """Drop the embedded database of the application if it holds nothing but the demo; Dagster keeps its history."""
    settings = Settings()
    if settings.database_url is not None:
        raise PipelineError(
            "only the embedded database is ever thrown away, and DATABASE_URL is set",
            hint="drop and create that database yourself, then run the demo",
            exit_code=5,
        )
    with attach(settings.home) as attachment:
        database = Database(attachment.url())
        name = make_url(database.url).database or ""
        try:
            _refuse_other_data(database)
        finally:
            database.dispose()
        with psycopg.connect(attachment.libpq_url("postgres"), autocommit=True) as server:
            try:
                server.execute(f'DROP DATABASE IF EXISTS "{name}"')
                server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
            except psycopg.errors.ObjectInUse as error:
                raise PipelineError(
                    f"{error.diag.message_primary}: {error.diag.message_detail}",
                    hint="end `make ui` and whatever else uses it, then run the same command again",
                    exit_code=5,
                ) from None
