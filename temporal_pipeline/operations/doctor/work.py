"""Examinations of the temporal schema and of what is left to do."""

from datetime import timedelta

from sqlalchemy import Connection

from temporal_pipeline import problems
from temporal_pipeline.alerts.outbox import queries as outbox
from temporal_pipeline.database import LOCK_SPACE, Queries
from temporal_pipeline.defs.schema.planning import plan
from temporal_pipeline.defs.schema.upgrade import current_revision, knows_revision, schema_state
from temporal_pipeline.operations.doctor.finding import Verdict, ok, warn

queries = Queries(__package__)

# Younger than this, contents wait as usual: for their crawl to end, or for the next scheduled run.
USUAL_HOURS = 24
PREPARE = "temporal-pipeline update"
LINK = "temporal-pipeline backfill (Period 0), then update; temporal-pipeline status says who waits, and why"
COUNTED = 10_000
# By then a message was tried about seven times.
USUAL_DELIVERY = timedelta(hours=1)


def schema_revision(connection: Connection) -> Verdict:
    """Ours, none, or one to which the application migrated on with everything in place."""
    known = knows_revision(connection)
    revision = current_revision(connection)
    if not known:
        return ok(f"{revision}: the application has migrated on, and all that we need is there")
    return ok(revision or "none: never migrated")


def schema_definition(connection: Connection) -> Verdict:
    """At head everything has its current definition."""
    state = schema_state(connection)
    if not state.pending and state.is_at_head:
        return ok(f"everything is as at {state.head}")
    left = f"{len(plan(connection))} statements to {state.head}"
    if state.revision is None:
        return ok(f"{left}: temporal-pipeline migrate")
    return warn(f"at {state.revision}, {left}", "temporal-pipeline migrate", state.pending)


def contents_to_prepare(connection: Connection) -> Verdict:
    """Contents get their publication time and relevance before they are linked."""
    row = connection.execute(queries["contents_to_prepare"]).one()
    return _waiting(row.contents, row.age, "of the newest 10,000 contents were never prepared", PREPARE)


def contents_to_link(connection: Connection) -> Verdict:
    """Contents that belong to nobody's period are in nobody's timeline."""
    row = connection.execute(queries["contents_to_link"]).one()
    return _waiting(row.contents, row.age, "contents wait for a period", LINK)


def _waiting(contents: int, age: float | None, which: str, remedy: str) -> Verdict:
    if age is None:
        return ok("none wait")
    number = f"{contents:,}" if contents <= COUNTED else f"more than {COUNTED:,}"
    found = f"{number} {which}, the first was crawled {age / 3600:,.1f} hours ago"
    return warn(found, remedy) if age > 3600 * USUAL_HOURS else ok(found)


def unfinished_cuts(connection: Connection) -> Verdict:
    """A run that was stopped in the middle left a cut that the next one finishes."""
    cuts = connection.execute(queries["unfinished_cuts"]).all()
    if not cuts:
        return ok("none")
    numbers = ", ".join(f"#{cut.id}" for cut in cuts)
    if _is_at_work(connection):
        return ok(f"{numbers}: a run is at work")
    return warn(
        f"{numbers} of {cuts[0].started_at:%Y-%m-%d %H:%M} UTC were not finished, and no run is at work",
        "temporal-pipeline update goes on with them",
    )


def open_drafts(connection: Connection) -> Verdict:
    """A draft is a period that is not closed yet, seen by nobody."""
    drafts = connection.execute(queries["drafts"]).one()
    theirs = f"{drafts.theirs:,} are the application's own" if drafts.theirs else ""
    if not drafts.ours:
        return ok(theirs or "none")
    if _is_at_work(connection):
        return ok(f"{drafts.ours:,}: a run is at work")
    return warn(
        "; ".join(filter(None, (f"{drafts.ours:,} periods are drafts, and no run is at work", theirs))),
        "temporal-pipeline update closes them",
    )


def failed_entities(connection: Connection) -> Verdict:
    """Topics and users that a step could not process, the others being done."""
    failed = problems.of_stage(connection)
    if not failed:
        return ok("none")
    return warn(
        f"{len(failed)} topics or users wait for a successful run",
        "temporal-pipeline update tries them again; correct what the reasons say first",
        (f"{row.stage}: {row.name}: {row.reason}" for row in failed),
    )


def undelivered_alerts(connection: Connection) -> Verdict:
    """Messages that a webhook does not take; their alerts reach nobody."""
    messages = connection.execute(outbox["undelivered_messages"], {"longer_than": USUAL_DELIVERY}).all()
    if not messages:
        return ok("none")
    return warn(
        f"{sum(message.alerts for message in messages):,} were not delivered",
        "temporal-pipeline alerts send --again; correct what the reasons say first",
        (
            f"{message.channel}: {message.alerts:,} since {message.created_at:%Y-%m-%d %H:%M} UTC, "
            f"{'given up' if message.is_given_up else f'attempt {message.attempts}'}: "
            f"{message.failure or 'under way'}"
            for message in messages
        ),
    )


def _is_at_work(connection: Connection) -> bool:
    return connection.execute(queries["is_at_work"], {"space": LOCK_SPACE}).scalar_one() is True
