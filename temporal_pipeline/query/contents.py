"""Posts, as they were frozen in the periods they belong to."""

import uuid
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.crawls import covered_intervals, crawls_of
from temporal_pipeline.crawls.coverage import HOUR
from temporal_pipeline.query.asking import Cursors, Question, moment
from temporal_pipeline.query.models import ContentItem, Contents, Notice
from temporal_pipeline.query.pages import age_in_words, always_shown, chosen, page, to_choose_from
from temporal_pipeline.query.session import Situation, general_notices, notice, queries

ALWAYS = always_shown(ContentItem)
FIELDS = to_choose_from(ContentItem)
GAPS_NAMED = 3
DEFAULT_FIELDS = ("platform", "author", "url", "text", "relevance", "found_by")


def contents(connection: Connection, there: Situation, asked: Question, cursor: str | None) -> Contents:
    """Posts that happened in the window, the newest first. Raises Refusal for a cursor of another question."""
    cursors = Cursors(
        ("contents", there.entity.entity_id, asked.since, asked.until, asked.as_of), (moment, uuid.UUID)
    )
    after_time, after_id = cursors.read(cursor) or (None, None)
    rows = connection.execute(
        queries["contents"],
        there.key | asked.window | {"after_time": after_time, "after_id": after_id, "limit": asked.limit + 1},
    ).all()
    notices = [*general_notices(there, asked), *_gaps(connection, there, asked)]
    return page(
        Contents,
        "query_contents_by_timerange",
        there,
        asked,
        rows=rows,
        make=lambda row: content_item(row, there, asked),
        place=lambda row: (row.happened_at, row.content_id),
        cursors=cursors,
        warnings=lambda items: notices,
    )


def _gaps(connection: Connection, there: Situation, asked: Question) -> list[Notice]:
    """Where no crawl covers the asked time, as far as there are periods; asked only of a time with a begin."""
    if asked.since is None:
        return []
    start = max(asked.since, there.first_start)
    end = min(asked.until or there.last_end, there.last_end)
    if start >= end:
        return []
    key = there.entity
    crawls = crawls_of(connection, key.entity_type, [key.entity_id], asked.as_of, since=start)[key.entity_id]
    # A crawl is taken to look until it ended: the seconds in which it ran are no gap.
    looked = [replace(crawl, began=crawl.ended) for crawl in crawls if crawl.ended is not None]
    gaps = []
    reached = start
    for begin, until in [*covered_intervals(looked, there.crawl_interval), (end, end)]:
        if min(begin, end) - reached >= HOUR:
            gaps.append((reached, min(begin, end)))
        reached = max(reached, until)
    if not gaps:
        return []
    named = ", ".join(f"{a:%Y-%m-%d %H:%M} to {b:%Y-%m-%d %H:%M}" for a, b in gaps[:GAPS_NAMED])
    more = f" and {len(gaps) - GAPS_NAMED} more gaps" if len(gaps) > GAPS_NAMED else ""
    return [notice("crawl_gap", f"no crawl covers {named} UTC{more}: no posts there is no silence")]


def content_item(row: Row[Any], there: Situation, asked: Question, **known: Any) -> ContentItem:
    """A post as a value; `known`: what the row does not say of its period."""
    values = dict(row._mapping) | known
    values["age"] = age_in_words(row.happened_at, there.now)
    return ContentItem(**chosen(asked, ALWAYS, values))
