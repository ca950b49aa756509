"""The queries of an entity as they stand now, best first: what to try next, and why."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.effectiveness import accounts
from temporal_pipeline.defs.effectiveness.judgement.ledger import EntityKey, Judgement, at_time, judgements
from temporal_pipeline.defs.effectiveness.naming import parts_of, similarity

queries = Queries(__package__)

# As many periods as fit into a small picture of how a score developed.
RECENT_PERIODS = 12
# From here on two queries look like spellings of one; it is only said, never counted.
ALIKE = 0.6
MOST_COMPARED = 100


@dataclass(frozen=True)
class RankedQuery:
    """A query as it stands at the end of its entity's latest period.

    `course`: when its last periods ended and its scores then, oldest first; `looks_like`: the query whose words
    resemble its own most, of those with the same operators.
    """

    platform: str
    query: str
    normal_form: str
    judgement: Judgement
    course: tuple[tuple[datetime, float], ...]
    looks_like: str | None

    @property
    def why(self) -> str:
        """The reason of the verdict, and whom it looks like."""
        reason = self.judgement.advice.sentence.partition(": ")[2]
        return f"{reason}; looks like {self.looks_like!r}" if self.looks_like else reason


def ranked_queries(connection: Connection, entity: EntityKey) -> list[RankedQuery]:
    """All queries of an entity in the order in which to run them: by score plus one standard deviation.

    What has not run for long has faded since; it is judged by what is left.
    """
    ledger = accounts.load(connection, {entity: []})
    times = [s.as_of for s in ledger.summaries.get(entity, {}).values() if s.as_of is not None]
    if not times:
        return []
    now = max(times)
    parameters = {"entity_type": entity[0], "entity_id": entity[1], "recent": RECENT_PERIODS}
    rows = connection.execute(queries["accounts_of_entity"], parameters).all()
    judged = judgements(
        (at_time(accounts.account_of(row), now), ledger.surroundings(entity, row.platform, now))
        for row in rows
    )
    order = sorted(
        zip(rows, judged, strict=True),
        key=lambda pair: (-pair[1].standing.rank_key, pair[0].platform, pair[0].normal_form),
    )
    alike = _neighbours([row for row, _ in order])
    return [
        RankedQuery(
            row.platform,
            row.query,
            row.normal_form,
            judgement,
            tuple(zip(row.times or (), row.scores or (), strict=True)),
            alike.get((row.platform, row.normal_form)),
        )
        for row, judgement in order
    ]


def _neighbours(rows: list[Row[Any]]) -> dict[tuple[str, str], str]:
    """The spelling of the most similar query for each of the first rows that has one."""
    groups: defaultdict[tuple[str, str], list[tuple[str, Row[Any]]]] = defaultdict(list)
    for row in rows:
        parts = parts_of(row.normal_form)
        groups[row.platform, parts.operators].append((parts.terms, row))
    nearest = {}
    for row in rows[:MOST_COMPARED]:
        parts = parts_of(row.normal_form)
        others = [
            (similarity(parts.terms, terms), other.query)
            for terms, other in groups[row.platform, parts.operators]
            if other.normal_form != row.normal_form
        ]
        likeness, query = max(others, default=(0.0, ""))
        if likeness >= ALIKE:
            nearest[row.platform, row.normal_form] = query
    return nearest
