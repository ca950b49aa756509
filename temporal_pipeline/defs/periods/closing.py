"""Closing a period: from a draft that contents point to, to a numbered period with all that is known."""

import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline import __version__
from temporal_pipeline.crawls.coverage import covered_intervals, covered_share
from temporal_pipeline.crawls.reading import crawls_of
from temporal_pipeline.database import Queries
from temporal_pipeline.defs.periods import narrative
from temporal_pipeline.defs.periods.linking import MOVED_AT_ONCE
from temporal_pipeline.entities import Entity
from temporal_pipeline.terms import rising_terms

queries = Queries(__package__)

# Rates over less than this say more about the crawler than about the world.
SHORTEST_RATED_HOURS = 1 / 60
# Which terms rise shows in this many posts, and memory stays bounded.
SAMPLE = {"sample": 500, "characters": 2000}
REPORTED_KEY = "reported"
# Whose words a period's summary is.
APPLICATION = "application"
PIPELINE = "pipeline"


@dataclass(frozen=True)
class Draft:
    """A draft period of a cut. `ready`: chosen by its own due contents, not drawn in as the other owner."""

    cut: int
    instant: datetime
    entity: Entity
    period: uuid.UUID
    ready: bool


def close(connection: Connection, draft: Draft, run_id: str) -> bool:
    """Close a draft inside the caller's transaction, or delete it if nothing is left in it. False: contents moved
    to a period of the application's; to be called again when this is committed.

    Raises IntegrityError when the application closes an overlapping period at the same moment; the caller
    rolls back and calls again, and the contents inside the winner's bounds move to it.
    """
    key = {"period": draft.period, "entity_type": draft.entity.type, "entity_id": draft.entity.id}
    moved = connection.scalars(queries["move_to_application_periods"], key | MOVED_AT_ONCE).all()
    if moved:
        if draft.entity.type == "topic":
            connection.execute(queries["freeze_claimed"], {"cut": draft.cut, "contents": list(moved)})
        return False
    figures = connection.execute(
        queries["figures"],
        key
        | SAMPLE
        | {
            "period_start": None,
            "linked_to": draft.period,
            "ready": draft.ready,
            "instant": draft.instant,
        },
    ).one_or_none()
    if figures is None or figures.total_contents == 0:
        return discard(connection, draft.period)
    bounds = {name: getattr(figures, name) for name in ("number", "period_start", "period_end")}
    activate(connection, draft, run_id, key | bounds, figures)
    return True


def discard(connection: Connection, period: uuid.UUID) -> bool:
    """Delete a draft. What it shared with a user stays in that user's period of the same cut. False: contents
    left it; to be called again when this is committed.
    """
    if connection.execute(queries["rehome_or_release"], {"period": period} | MOVED_AT_ONCE).rowcount:
        return False
    connection.execute(queries["delete_draft"], {"period": period})
    return True


def activate(
    connection: Connection,
    draft: Draft,
    run_id: str,
    key: dict[str, Any],
    figures: Row[Any],
    *,
    old: Row[Any] | None = None,
) -> None:
    """Fill every documented column from the draft's members and make it active; then its delta and the
    counters of its entity.

    `key`: period, entity_type, entity_id, number, period_start, period_end. `figures`: what the query of that
    name says of its members. `old`: the period in whose place it comes; what the application said at that time
    is taken from there, not from what it says now.
    Raises RuntimeError when the draft is not there any more.
    """
    columns, counts = _describe(connection, draft.entity, key, figures, old)
    # Only now, since it locks the application's rows: all that takes time has been read by then.
    if old is not None:
        for step in ("move_tasks", "move_chat_messages"):
            connection.execute(queries[step], {"period": old.id, "successor": draft.period})
    found = {"found_by": figures.found_by, "found": figures.found}
    connection.execute(queries["link_tasks"], key | found)
    connection.execute(queries["link_chat_messages"], key)
    tasks = connection.execute(queries["tasks_of_period"], key | found).one()
    chat = connection.execute(queries["chat_of_period"], key).one()
    log = {"cut": draft.cut, "version": __version__, **counts}
    activated = connection.execute(
        queries["activate"],
        key
        | columns
        | {
            "content_count": counts["contents"],
            "tasks_dispatched": tasks.ids,
            "tasks_summary": json.dumps(tasks.summary),
            "chat_summary": narrative.chat_summary(chat.messages, chat.questions, chat.last_question),
            "execution_log": json.dumps(log),
        },
    )
    if activated.rowcount != 1:
        raise RuntimeError("its draft is gone: another run has closed it")
    connection.execute(queries["note_closing"], {"period": draft.period, "run_id": run_id})
    connection.execute(queries["store_delta"], {"period": draft.period})
    count = "count_for_topic" if draft.entity.type == "topic" else "count_for_user"
    connection.execute(queries[count], {"entity_id": draft.entity.id})


def _describe(
    connection: Connection, entity: Entity, key: dict[str, Any], figures: Row[Any], old: Row[Any] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns computed from the members, as parameters of `activate`, and notes for the execution log."""
    about = connection.execute(queries["entity"], key).one()
    previous = connection.execute(queries["previous_period"], key).one_or_none()
    metrics = _metrics(figures, key["period_end"] - key["period_start"])
    completeness = _completeness(connection, entity, about.crawl_interval, key)
    before = connection.scalars(queries["sample_texts"], SAMPLE | {"period": previous.id}) if previous else ()
    facts = narrative.PeriodFacts(
        entity_name=about.name,
        number=key["number"],
        start=key["period_start"],
        end=key["period_end"],
        metrics=metrics,
        previous=previous.metrics if previous else None,
        rising=rising_terms(figures.texts, before),
        leading=[tuple(post) for post in figures.leading],
        completeness=completeness,
        late_arrivals=figures.late_arrivals,
    )
    said = about.summary_data if isinstance(about.summary_data, dict) else {}
    reported = said.get("metrics") if old is None else _of_document(old.metrics, REPORTED_KEY)
    if key["number"] == 0 and isinstance(reported, dict):
        metrics[REPORTED_KEY] = reported
    if old is not None and old.has_text_of_the_application:
        summary, insights, summary_by = old.summary, old.insights, APPLICATION
    elif old is not None:
        summary, insights, summary_by = narrative.summary(facts), narrative.insights(facts), PIPELINE
    else:
        summary, insights, summary_by = _texts(connection, facts, about.last_summary, said, key)
    columns = {
        "summary": summary,
        "summary_short": narrative.summary_short(summary),
        "insights": json.dumps(insights),
        "metrics": json.dumps(metrics),
        "quality_score": figures.quality,
        "completeness_score": completeness,
        **(_knowledge(said, previous) if old is None else _knowledge_of(old)),
    }
    notes = {
        "summary_by": summary_by,
        "contents": figures.total_contents,
        "late_arrivals": figures.late_arrivals,
        "contents_with_nonsense_metrics": figures.contents_with_nonsense_metrics,
    }
    return columns, notes


def _of_document(document: Any, key: str) -> Any:
    """What stands under a key; the application may have written something else than an object."""
    return document.get(key) if isinstance(document, dict) else None


def _metrics(figures: Row[Any], duration: timedelta) -> dict[str, Any]:
    totals = ("total_likes", "total_retweets", "total_replies", "total_quotes", "total_views")
    metrics: dict[str, Any] = {
        "total_contents": figures.total_contents,
        **{name: int(getattr(figures, name)) for name in totals},
        "with_media_pct": figures.with_media_pct,
        "platforms": figures.platforms or {},
        "unique_authors": figures.unique_authors,
        "avg_relevance": figures.avg_relevance,
        "relevant_count": figures.relevant_count,
        "contents_per_hour": None,
    }
    hours = duration / timedelta(hours=1)
    if hours >= SHORTEST_RATED_HOURS:
        metrics["contents_per_hour"] = round(figures.total_contents / hours, 4)
    return metrics


def _completeness(
    connection: Connection, entity: Entity, interval: timedelta, key: dict[str, Any]
) -> float | None:
    """Share of the period that crawls covered.

    A crawl is taken to look until it ended: the end of a period is the end of its last crawl, and the few
    seconds in which that crawl ran are no gap. Null where no crawl is known at all.
    """
    # Of Period 0 the whole history is asked for, without looking first how far back it goes.
    since = key["period_start"] if key["number"] else None
    crawls = crawls_of(connection, entity.type, [entity.id], key["period_end"], since=since)[entity.id]
    looked = [replace(crawl, began=crawl.ended) for crawl in crawls if crawl.ended is not None]
    if not looked:
        return None
    return covered_share(covered_intervals(looked, interval), key["period_start"], key["period_end"])


def _texts(
    connection: Connection,
    facts: narrative.PeriodFacts,
    last_summary: str | None,
    said: dict[str, Any],
    key: dict[str, Any],
) -> tuple[str, dict[str, Any], str]:
    """The application's summary and insights if they are new since the last period, else computed ones; and
    whose words the summary is.
    """
    is_new = bool(last_summary and last_summary.strip()) and not connection.scalar(
        queries["summary_was_used"], key | {"summary": last_summary}
    )
    insights = narrative.application_insights(said.get("insights")) if is_new or facts.number == 0 else None
    if is_new and last_summary:
        return last_summary, insights or narrative.insights(facts), APPLICATION
    return narrative.summary(facts), insights or narrative.insights(facts), PIPELINE


def _knowledge(said: dict[str, Any], previous: Row[Any] | None) -> dict[str, Any]:
    """The application's knowledge text now, a version that grows when it changes, and what changed."""
    document = next((said[k] for k in ("knowledge", "knowledge_doc") if isinstance(said.get(k), str)), None)
    before = previous.knowledge_doc if previous else None
    document = before if document is None else document
    diff = narrative.knowledge_diff(before, document)
    version = previous.knowledge_version if previous else 1
    return {
        "knowledge_doc": document,
        "knowledge_version": version + 1 if diff else version,
        "knowledge_diff": json.dumps(diff) if diff else None,
    }


def _knowledge_of(old: Row[Any]) -> dict[str, Any]:
    """What was known when the period was first analysed."""
    return {
        "knowledge_doc": old.knowledge_doc,
        "knowledge_version": old.knowledge_version,
        "knowledge_diff": None if old.knowledge_diff is None else json.dumps(old.knowledge_diff),
    }
