"""Scoring again on purpose: with all that is known of a topic or user by now, and by the current method."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from temporal_pipeline.bulk import Chunks, Progress, no_progress
from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents import dates
from temporal_pipeline.defs.contents.answers import Answer, Knowledge
from temporal_pipeline.defs.contents.learning import CHARACTERS_READ, learn_anew
from temporal_pipeline.defs.contents.prepare import NO_ID, STAGE, queries
from temporal_pipeline.defs.contents.relevance.keywords import fold
from temporal_pipeline.defs.contents.relevance.scoring import METHOD, Parts
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.holding import hold

# Each page reads through all that the topic or user has, so that there must be few; their ids fit into memory.
IDS_AT_ONCE = 50_000
MOST_ROWS = 2_000
# What a plan says of contents that are no business of ours.
NOT_OURS = ("not prepared yet", "scored elsewhere")


@dataclass(frozen=True)
class Rescored:
    """What a run did: contents looked at, how many have a score, and how many changed hands meanwhile."""

    contents: int
    scored: int
    kept: int


@dataclass(frozen=True)
class Explanation:
    """How the score of a content comes about now, and what stands in the database.

    `now` is the score by what is known now, `named` the keywords that the post names. `stored` differs from `now` when
    more was learnt since, or when it `is_ours` no more (None: it has no score).
    """

    parts: Parts | None
    now: float | None
    named: tuple[str, ...]
    stored: float | None
    is_ours: bool | None
    method: str | None
    reason: str | None


def scores_of(connection: Connection, entity: Entity) -> dict[str, int]:
    """How many contents of a topic or user were scored by which method, or by none of ours."""
    rows = connection.execute(queries["scored_by_method"], _of(entity))
    return {row.method: row.contents for row in rows}


def rescore(
    database: Database, entity: Entity, *, max_wait: float = 30, progress: Progress = no_progress
) -> Rescored:
    """Learn a topic or user anew from all its contents, then score those whose score is ours or missing.

    Scores from elsewhere stay, and so do periods, which keep what was known in their time. May be killed and run
    again with the same result. Raises PipelineError when the schema is not at head, or with exit code 5 when
    another run goes on working on contents for `max_wait` seconds.
    """
    with hold(database, STAGE, max_wait) as held:
        with database.transaction() as connection:
            require_head(connection)
            learn_anew(connection, entity)
            due = sum(n for method, n in scores_of(connection, entity).items() if method not in NOT_OURS)
        chunks = Chunks("scoring", MOST_ROWS, total=due, progress=progress)
        knowledge = Knowledge()
        seen = scored = 0
        for ids in _pages(database, entity):
            seen += len(ids)
            for piece in chunks.of(ids):
                with database.transaction(read_only=True) as connection:
                    answers = knowledge.answers(connection, _read(connection, piece))
                done = chunks.write(held, partial(_write, answers=answers))
                scored += sum(answer.relevance is not None and answer.content in done for answer in answers)
        if chunks.done:
            held.write(lambda connection: connection.execute(queries["make_durable"]))
    return Rescored(chunks.done, scored, seen - chunks.done)


def explain(database: Database, content: uuid.UUID) -> Explanation:
    """How the score of a content comes about. Raises PipelineError (exit code 2) for one that does not exist."""
    with database.transaction(read_only=True) as connection:
        require_head(connection)
        rows = _read(connection, [content])
        if not rows:
            raise PipelineError(f"there is no content {content}", exit_code=2)
        knowledge = Knowledge()
        (answer,) = knowledge.answers(connection, rows)
        subject = knowledge.subject_of(connection, rows[0])
        mark = connection.execute(queries["mark_of_content"], {"id": content}).one()
    said = fold(f"{rows[0].text or ''} {rows[0].hashtags or ''}")
    return Explanation(
        parts=answer.parts,
        now=answer.relevance,
        named=tuple(subject.keywords.named(said)) if subject.keywords else (),
        stored=mark.relevance_score,
        is_ours=mark.is_ours if mark.relevance_score is not None else None,
        method=mark.method,
        reason=mark.note,
    )


def _of(entity: Entity) -> dict[str, Any]:
    return {"entity_type": entity.type, "entity_id": entity.id}


def _read(connection: Connection, contents: Sequence[uuid.UUID]) -> Sequence[Any]:
    reading = {"ids": list(contents), "characters": CHARACTERS_READ, "date_keys": list(dates.KEYS)}
    return connection.execute(queries["read_to_rescore"], reading).all()


def _pages(database: Database, entity: Entity) -> Iterator[Sequence[uuid.UUID]]:
    position = NO_ID
    while True:
        page = _of(entity) | {"after": position, "at_once": IDS_AT_ONCE}
        with database.transaction(read_only=True) as connection:
            ids = connection.scalars(queries["ids_to_rescore"], page).all()
        if not ids:
            return
        yield ids
        position = ids[-1]


def _write(connection: Connection, answers: Sequence[Answer]) -> tuple[int, set[uuid.UUID]]:
    """Write the scores of contents that the application does not hold and that are still ours: how many, and which."""
    wanted = {"ids": [answer.content for answer in answers]}
    free = set(connection.scalars(queries["lock_contents"], wanted))
    written = [answer for answer in answers if answer.content in free]
    done = set(
        connection.scalars(
            queries["write_scores"],
            {
                "ids": [answer.content for answer in written],
                "scores": [answer.relevance for answer in written],
                "notes": [answer.note for answer in written],
                "method": METHOD,
            },
        )
    )
    return len(done), done
