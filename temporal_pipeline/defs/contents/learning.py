"""Learning how topics and users write, and when they are busy, from each new content once.

Scores of a run are given with what is known at its beginning, so that they do not depend on the order in which
workers get at the contents: everything new is learnt first, in one transaction, then scored. Profiles say in that
transaction that their contents are not scored yet; a run that follows one that died scores, and learns nothing twice.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.contents import dates
from temporal_pipeline.defs.contents.relevance.keywords import Keywords, fold
from temporal_pipeline.defs.contents.relevance.language import CHARACTERS, LANGUAGE, Profile, buckets_of
from temporal_pipeline.defs.contents.relevance.scoring import learning_weight
from temporal_pipeline.entities import Entity

queries = Queries(__package__)

# A profile of 2,000 texts tells no less than one of all; what a run reads for it is bounded.
TEXTS_PER_OWNER = 2_000
# Hours are counted from contents without a text as well, which are read faster.
CONTENTS_PER_TEXT = 5
# No keyword first occurs later in a text that deserves a score, and a batch of long texts stays below 20 MB.
CHARACTERS_READ = 5_000
ROWS_AT_ONCE = 1_000

Owner = tuple[str, uuid.UUID]


@dataclass(frozen=True)
class Known:
    """What was learnt of an owner: its profile, and how many contents it has in how many hours."""

    profile: Profile
    contents: float
    hours: int


def hour_of(published_at: datetime | None, crawled_at: datetime) -> datetime:
    """The hour that a content counts for: that of its publication, else of its crawl."""
    return (published_at or crawled_at).replace(minute=0, second=0, microsecond=0)


def learn_new(database: Database, scope: dict[str, Any]) -> list[Owner]:
    """Learn from every new content in `scope` (see prepare.selection) that has an owner.

    Returns the owners whose contents are to be scored now. Nothing is learnt of those of which a run that died
    had learnt.
    """
    with database.transaction(read_only=True) as connection:
        rows = connection.execute(queries["owners_to_learn"], scope | {"language": LANGUAGE}).all()
    strides = {
        (row.entity_type, row.entity_id): stride(row.contents, row.texts) for row in rows if not row.learned
    }
    if strides:
        wanted = {
            "types": [kind for kind, _ in strides],
            "ids": [identity for _, identity in strides],
            "strides": list(strides.values()),
        }
        with database.transaction(read_only=True) as reading, database.transaction() as writing:
            writing.execute(queries["forget_the_gone"])
            contents = _stream(reading, "new_texts", scope | wanted)
            for owner, group in groupby(contents, lambda row: (row.entity_type, row.entity_id)):
                known = known_of(writing, [owner]).get(owner)
                _learn(writing, owner, group, strides[owner], known, unscored=True)
    return [(row.entity_type, row.entity_id) for row in rows]


def learn_anew(connection: Connection, entity: Entity) -> None:
    """Learn from all contents of one topic or user, as if nothing had been learnt of it."""
    owner = {"entity_type": entity.type, "entity_id": entity.id}
    counted = connection.execute(queries["owned_contents"], owner).one()
    step = stride(counted.contents, counted.texts)
    connection.execute(queries["forget_profile"], owner)
    contents = _stream(connection, "owned_texts", owner | {"stride": step})
    _learn(connection, (entity.type, entity.id), contents, step, None, unscored=False)


def known_of(connection: Connection, owners: Iterable[Owner]) -> dict[Owner, Known]:
    """What was learnt of some owners; those of which nothing was are left out."""
    wanted = sorted(owners)
    rows = connection.execute(
        queries["profiles"],
        {"types": [k for k, _ in wanted], "ids": [i for _, i in wanted], "language": LANGUAGE},
    )
    return {(row.entity_type, row.entity_id): _known(row) for row in rows}


def scoring_done(database: Database, owners: Sequence[Owner]) -> None:
    """Say that what was learnt of these owners is scored, so that what is new from now on is learnt."""
    done = {"types": [kind for kind, _ in owners], "ids": [identity for _, identity in owners]}
    with database.transaction() as connection:
        connection.execute(queries["scoring_is_done"], done)


def stride(contents: int, texts: int) -> int:
    """Every how many-th content is read."""
    return max(1, -(-texts // TEXTS_PER_OWNER), -(-contents // (CONTENTS_PER_TEXT * TEXTS_PER_OWNER)))


def _stream(connection: Connection, query: str, parameters: dict[str, Any]) -> Iterator[Row[Any]]:
    """The rows of a query, a thousand in memory at a time."""
    reading = {"characters": CHARACTERS_READ, "date_keys": list(dates.KEYS)}
    streaming = {"yield_per": ROWS_AT_ONCE}
    with connection.execute(queries[query], parameters | reading, execution_options=streaming) as rows:
        yield from rows


def _learn(
    connection: Connection,
    owner: Owner,
    contents: Iterator[Row[Any]],
    step: int,
    known: Known | None,
    *,
    unscored: bool,
) -> None:
    kind, identity = owner
    keywords = None
    if kind == "topic":
        row = connection.execute(queries["topic_keywords"], {"topics": [identity]}).first()
        keywords = Keywords(row.keywords or ()) if row else None
    profile = known.profile if known else Profile()
    hours: Counter[datetime] = Counter()
    texts: list[str] = []
    weights: list[float] = []
    for row in contents:
        lesson = _lesson(row, keywords)
        if lesson is not None:
            hour, text, weight = lesson
            hours[hour] += 1
            texts.append(text)
            weights.append(weight)
    # All at once, so that what is usual is measured against the whole; the sample is small enough for memory.
    profile.learn(buckets_of(texts), weights)
    place = {"entity_type": kind, "entity_id": identity}
    connection.execute(
        queries["save_profile"],
        place
        | {
            "language": LANGUAGE,
            "posts": profile.posts,
            "counts": profile.counts.astype("<f4").tobytes(),
            "closeness_sum": profile.closeness_sum,
            "closeness_squares": profile.closeness_squares,
            "unscored": unscored,
        },
    )
    connection.execute(
        queries["count_hours"],
        place | {"hours": list(hours), "contents": [float(n * step) for n in hours.values()]},
    )


def _lesson(row: Row[Any], keywords: Keywords | None) -> tuple[datetime, str, float] | None:
    """Hour, folded text and weight of a content; None of one that defeats us, which scoring will say of it."""
    try:
        published_at = row.published_at or dates.find_published_at(row.dates, row.crawled_at)[0]
        hour = hour_of(published_at, row.crawled_at)
        text = fold(row.text or "")
        weight = learning_weight(text, fold(row.hashtags or ""), keywords)
        return hour, text[:CHARACTERS], weight
    except Exception:
        return None


def _known(row: Row[Any]) -> Known:
    counts = np.frombuffer(row.counts, "<f4").astype(np.float32)
    return Known(
        Profile(row.posts, counts, row.closeness_sum, row.closeness_squares), row.contents, row.hours
    )
