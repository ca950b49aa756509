"""What is to be written for contents: when they were published, how relevant they are, or why that is not known."""

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.contents import dates
from temporal_pipeline.defs.contents.learning import Known, Owner, hour_of, known_of
from temporal_pipeline.defs.contents.relevance.keywords import Keywords, fold
from temporal_pipeline.defs.contents.relevance.language import buckets_of
from temporal_pipeline.defs.contents.relevance.scoring import (
    NO_OWNER,
    NO_TEXT,
    Parts,
    Post,
    Subject,
    busyness,
    parts_of,
)

queries = Queries(__package__)

# A profile takes 200 kB in memory, so these 50 MB.
PROFILES_REMEMBERED = 256


@dataclass(frozen=True)
class Answer:
    """What is to be written for the content that was read at a place: None where it has a value already or none
    could be found.

    `note` gives the reason for every value that could not be found. `scored_elsewhere`: it had a relevance.
    `parts` are the log odds of the relevance.
    """

    content: uuid.UUID
    place: str
    owner: uuid.UUID | None
    published_at: datetime | None
    relevance: float | None
    reasons: tuple[str, ...]
    scored_elsewhere: bool
    parts: Parts | None = None

    @property
    def note(self) -> str | None:
        return "; ".join(self.reasons) or None


@dataclass
class Knowledge:
    """What contents are scored against, as it was when first asked for; may be shared by threads."""

    _topics: dict[uuid.UUID, Keywords] = field(default_factory=dict)
    _users: dict[uuid.UUID, tuple[uuid.UUID, ...]] = field(default_factory=dict)
    _known: dict[Owner, Known | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answers(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[Answer]:
        """An answer for each row of `read_contents`."""
        found = [_Reading(row) for row in rows]
        scorable = [reading for reading in found if reading.folded is not None]
        with self._lock:
            known = self._learn(connection, [reading.row for reading in scorable])
            subjects = {owner: self._subject(owner, known) for owner in {r.owner for r in scorable}}
        hours = _hours(connection, scorable)
        buckets = buckets_of([reading.folded or "" for reading in scorable])
        for reading, n_grams in zip(scorable, buckets, strict=True):
            owner = reading.owner
            if owner is None:
                continue
            of_owner = known.get(owner)
            in_hour = hours.get((*owner, reading.hour))
            busy = busyness(in_hour, of_owner.contents, of_owner.hours) if of_owner else None
            reading.score(n_grams, busy, subjects[owner])
        return [reading.answer for reading in found]

    def subject_of(self, connection: Connection, row: Row[Any]) -> Subject:
        """What one content is scored against."""
        with self._lock:
            known = self._learn(connection, [row])
            return self._subject(_owner(row), known)

    def _learn(self, connection: Connection, rows: Sequence[Row[Any]]) -> dict[Owner, Known]:
        """What is known of the owners of some rows, and of the topics that their users appear in."""
        users = {row.user_id for row in rows if row.topic_id is None and row.user_id is not None}
        self._read_users(connection, users - self._users.keys())
        topics = {row.topic_id for row in rows if row.topic_id is not None}
        topics |= {topic for user in users for topic in self._users.get(user, ())}
        self._read_topics(connection, topics - self._topics.keys())
        owners: set[Owner] = {*(("topic", t) for t in topics), *(("user", u) for u in users)}
        unread = owners - self._known.keys()
        if unread:
            if len(self._known) + len(unread) > PROFILES_REMEMBERED:
                self._known = {owner: known for owner, known in self._known.items() if owner in owners}
            found = known_of(connection, unread)
            self._known |= {owner: found.get(owner) for owner in unread}
        return {owner: known for owner in owners if (known := self._known[owner]) is not None}

    def _read_users(self, connection: Connection, users: set[uuid.UUID]) -> None:
        if users:
            self._users |= dict.fromkeys(users, ())
            for row in connection.execute(queries["topics_of_users"], {"users": sorted(users)}):
                self._users[row.user_id] += (row.topic_id,)

    def _read_topics(self, connection: Connection, topics: set[uuid.UUID]) -> None:
        if topics:
            for row in connection.execute(queries["topic_keywords"], {"topics": sorted(topics)}):
                self._topics[row.id] = Keywords(row.keywords or ())

    def _subject(self, owner: Owner | None, known: dict[Owner, Known]) -> Subject:
        if owner is None:
            return Subject(None, ())
        kind, identity = owner
        topics = (identity,) if kind == "topic" else self._users[identity]
        owners = [owner, *(("topic", topic) for topic in topics if kind == "user")]
        profiles = tuple(known[o].profile for o in owners if o in known)
        if kind == "topic":
            return Subject(self._topics.get(identity), profiles)
        keywords = Keywords(
            keyword for topic in topics if topic in self._topics for keyword in self._topics[topic].spellings
        )
        return Subject(keywords, profiles, bound=False)


class _Reading:
    """One row on its way to its answer; a row that defeats us gets its reason instead, and never stops its batch."""

    def __init__(self, row: Row[Any]) -> None:
        self.row = row
        self.owner = _owner(row)
        self.published_at: datetime | None = None
        self.folded: str | None = None
        self.tags = ""
        self.parts: Parts | None = None
        self.reasons: list[str] = []
        try:
            self._read()
        except Exception as error:
            self._give_up(error)

    def _read(self) -> None:
        row = self.row
        if row.lacks_published_at:
            self.published_at, objection = dates.find_published_at(row.dates, row.crawled_at)
            self.reasons += [objection] if objection else []
        if not row.lacks_relevance:
            return
        if self.owner is None:
            self.reasons.append(NO_OWNER)
        elif row.text is None or not row.text.strip():
            self.reasons.append(NO_TEXT)
        else:
            self.tags = fold(row.hashtags or "")
            self.folded = fold(row.text)

    @property
    def hour(self) -> datetime:
        return hour_of(self.published_at or self.row.published_at, self.row.crawled_at)

    def score(self, buckets: Any, busy: float | None, subject: Subject) -> None:
        row = self.row
        try:
            post = Post(
                self.folded or "",
                self.tags,
                buckets,
                busyness=busy,
                triage=row.processing_status,
                has_key_points=row.has_key_points,
                reactions=row.reactions,
            )
            self.parts = parts_of(post, subject)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.folded = None
        self.reasons.append(f"could not be read ({type(error).__name__})")

    @property
    def answer(self) -> Answer:
        return Answer(
            content=self.row.id,
            place=self.row.place,
            owner=self.row.topic_id or self.row.user_id,
            published_at=self.published_at,
            relevance=self.parts.score if self.parts else None,
            reasons=tuple(self.reasons),
            scored_elsewhere=not self.row.lacks_relevance,
            parts=self.parts,
        )


def _owner(row: Row[Any]) -> Owner | None:
    """The primary owner."""
    if row.topic_id is not None:
        return ("topic", row.topic_id)
    return None if row.user_id is None else ("user", row.user_id)


def _hours(
    connection: Connection, readings: Sequence[_Reading]
) -> dict[tuple[str, uuid.UUID, datetime], float]:
    wanted = sorted({(*r.owner, r.hour) for r in readings if r.owner is not None})
    if not wanted:
        return {}
    rows = connection.execute(
        queries["hours_of_contents"],
        {"types": [w[0] for w in wanted], "ids": [w[1] for w in wanted], "hours": [w[2] for w in wanted]},
    )
    return {(row.entity_type, row.entity_id, row.hour): row.contents for row in rows}
