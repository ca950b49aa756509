"""Entities are the application's topics and users; people name them by id or by name."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from sqlalchemy import Connection, text

from temporal_pipeline.errors import PipelineError

EntityType = Literal["topic", "user"]


@dataclass(frozen=True, order=True)
class Entity:
    """A topic or a user, with the name that people know it by."""

    type: EntityType
    id: uuid.UUID
    name: str

    def __str__(self) -> str:
        return f"{self.type} {self.name!r}"


_ALL = text("""
    SELECT 'topic' AS type, id, name FROM topics
    UNION ALL SELECT 'user', id, name FROM users
    ORDER BY type, name, id
""")


def all_entities(connection: Connection) -> list[Entity]:
    """Every topic and user, of any status, ordered by type and name."""
    return [Entity(row.type, row.id, row.name) for row in connection.execute(_ALL)]


def find_entities(connection: Connection, wanted: Sequence[str]) -> list[Entity] | None:
    """The entities that `wanted` names: by id, by name, or by `topic:NAME` / `user:NAME`; all → None.

    Raises PipelineError (exit code 2) for one that does not exist, with the nearest names, and for a name
    that several entities bear, with their ids.
    """
    if not wanted:
        return None
    known = all_entities(connection)
    return [_find(known, name) for name in wanted]


def _find(known: list[Entity], wanted: str) -> Entity:
    exact = [e for e in known if wanted in (str(e.id), f"{e.type}:{e.id}", e.name, f"{e.type}:{e.name}")]
    if len(exact) == 1:
        return exact[0]
    if exact:
        choices = ", ".join(f"{e.type}:{e.name} = {e.id}" for e in exact)
        raise PipelineError(
            f"{wanted!r} names {len(exact)} entities", hint=f"use an id: {choices}", exit_code=2
        )
    by_folded_name = {e.name.casefold(): e.name for e in known}
    nearest = get_close_matches(wanted.casefold(), by_folded_name, n=3, cutoff=0.5)
    if nearest:
        hint = "did you mean " + " or ".join(repr(by_folded_name[name]) for name in nearest) + "?"
    else:
        hint = f"known are {len(known)} topics and users; `temporal-pipeline status` lists them"
    raise PipelineError(f"there is no topic or user {wanted!r}", hint=hint, exit_code=2)
