"""Preparing contents: their publication times are read and their relevance is scored, once."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Database, Queries
from temporal_pipeline.defs.contents import dates, relevance
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity

queries = Queries(__package__)

STAGE = "contents"
# The first sweep takes everything, the others what the application had locked meanwhile; what arrives later
# is the next run's.
SWEEPS = 3
# No keyword first occurs later in a text that deserves a score, and a batch's memory stays bounded.
CHARACTERS_READ = 20_000
NO_ID = uuid.UUID(int=0)


@dataclass(frozen=True)
class Answer:
    """What is to be written for one content: None where it has a value already or none could be found.

    `note` gives the reason for every value that could not be found. `scored_elsewhere`: it had a relevance.
    """

    content: uuid.UUID
    owner: uuid.UUID | None
    published_at: datetime | None
    relevance: float | None
    reasons: tuple[str, ...]
    scored_elsewhere: bool

    @property
    def note(self) -> str | None:
        return "; ".join(self.reasons) or None


@dataclass
class Tally:
    """Counts over the contents of one owner."""

    contents: int = 0
    scored: int = 0
    relevance_sum: float = 0.0
    dated: int = 0

    def add(self, answer: Answer) -> None:
        self.contents += 1
        self.dated += answer.published_at is not None
        if answer.relevance is not None:
            self.scored += 1
            self.relevance_sum += answer.relevance


@dataclass
class Report:
    """What a run prepared. `notes`: how often each reason was given; `tenths`: scores by tenth (0 to 9);
    `owners`: per id of the primary owner (None: without one); `left`: contents that stayed locked by others,
    or arrived while this run was at work.
    """

    notes: Counter[str] = field(default_factory=Counter)
    tenths: Counter[int] = field(default_factory=Counter)
    owners: defaultdict[uuid.UUID | None, Tally] = field(default_factory=lambda: defaultdict(Tally))
    scored_elsewhere: int = 0
    left: int = 0

    def add(self, answer: Answer) -> None:
        self.notes.update(answer.reasons)
        self.owners[answer.owner].add(answer)
        self.scored_elsewhere += answer.scored_elsewhere
        if answer.relevance is not None:
            self.tenths[min(int(answer.relevance * 10), 9)] += 1

    @property
    def rows_written(self) -> int:
        return sum(tally.contents for tally in self.owners.values())

    @property
    def scored(self) -> int:
        return sum(tally.scored for tally in self.owners.values())

    @property
    def dated(self) -> int:
        return sum(tally.dated for tally in self.owners.values())


def prepare_contents(
    database: Database,
    *,
    entities: Sequence[Entity] | None = None,
    since: datetime | None = None,
    batch_size: int = 2000,
) -> Report:
    """Fill published_at, discovered_at and relevance_score of every content that was never prepared.

    Values that are there already are left alone. Each batch and its marks are one transaction, so that a run
    that dies leaves nothing half done and the next one goes on. Raises PipelineError when the schema is not
    at head or another run is preparing contents.
    """
    report = Report()
    with database.exclusive(STAGE):
        with database.transaction(read_only=True) as connection:
            require_head(connection)
        scope = selection(entities, since)
        keywords: dict[uuid.UUID, relevance.Keywords] = {}
        for _ in range(SWEEPS):
            if not _sweep(database, scope, batch_size, keywords, report):
                break
        with database.transaction(read_only=True) as connection:
            report.left = sum(row.contents for row in unprepared_contents(connection, entities, since))
    return report


def unprepared_contents(
    connection: Connection, entities: Sequence[Entity] | None = None, since: datetime | None = None
) -> Sequence[Row[Any]]:
    """Rows (entity_id, contents, without_relevance, without_publication_time) of what a run would prepare."""
    return connection.execute(queries["unprepared_by_owner"], selection(entities, since)).all()


def selection(entities: Sequence[Entity] | None, since: datetime | None) -> dict[str, Any]:
    """The parameters that narrow a run: entities are primary owners, `since` is about crawled_at."""
    return {
        "everybody": entities is None,
        "entity_ids": [entity.id for entity in entities or ()],
        "since": since,
    }


def _sweep(
    database: Database,
    scope: dict[str, Any],
    batch_size: int,
    keywords: dict[uuid.UUID, relevance.Keywords],
    report: Report,
) -> int:
    position = NO_ID
    swept = 0
    while True:
        parameters = scope | {"after": position, "batch_size": batch_size}
        answers = database.write(partial(_prepare_batch, parameters=parameters, keywords=keywords))
        if not answers:
            return swept
        for answer in answers:
            report.add(answer)
        swept += len(answers)
        position = answers[-1].content


def _prepare_batch(
    connection: Connection, parameters: dict[str, Any], keywords: dict[uuid.UUID, relevance.Keywords]
) -> list[Answer]:
    rows = connection.execute(
        queries["lock_unprepared_batch"],
        parameters | {"characters": CHARACTERS_READ, "date_keys": list(dates.KEYS)},
    ).all()
    if not rows:
        return []
    unknown = {row.topic_id for row in rows if row.topic_id is not None} - keywords.keys()
    if unknown:
        for topic in connection.execute(queries["topic_keywords"], {"topics": sorted(unknown)}):
            keywords[topic.id] = relevance.Keywords(topic.keywords or ())
    answers = [_answer(row, keywords.get(row.topic_id)) for row in rows]
    connection.execute(
        queries["write_answers"],
        {
            "ids": [answer.content for answer in answers],
            "published": [answer.published_at for answer in answers],
            "scores": [answer.relevance for answer in answers],
            "notes": [answer.note for answer in answers],
            "method": relevance.METHOD,
        },
    )
    return answers


def _answer(row: Row[Any], keywords: relevance.Keywords | None) -> Answer:
    """The answer for one row; a row that defeats us gets its reason instead, and never stops its batch."""
    published_at: datetime | None = None
    score: float | None = None
    reasons: list[str] = []
    try:
        if row.lacks_published_at:
            published_at, objection = dates.find_published_at(row.dates, row.crawled_at)
            reasons += [objection] if objection else []
        if row.lacks_relevance:
            score, objection = relevance.assess(keywords, row.text, row.hashtags)
            reasons += [objection] if objection else []
    except Exception as error:
        reasons.append(f"could not be read ({type(error).__name__})")
    return Answer(
        content=row.id,
        owner=row.topic_id or row.user_id,
        published_at=published_at,
        relevance=score,
        reasons=tuple(reasons),
        scored_elsewhere=not row.lacks_relevance,
    )
