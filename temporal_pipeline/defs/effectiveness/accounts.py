"""Reading and writing what is remembered of queries: bounded by what a period touches, never by its history."""

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.effectiveness.judgement.evidence import Account, Counts, Evidence, Totals
from temporal_pipeline.defs.effectiveness.judgement.ledger import (
    Brought,
    EntityKey,
    Judgement,
    Ledger,
    QueryKey,
    Summary,
)
from temporal_pipeline.defs.effectiveness.judgement.scoring import Pairs, pairs

queries = Queries(__package__)

# Columns whose names are not those of the fields.
_COUNT_COLUMNS = {"unique": "unique_contents"}
_COUNTS = {field.name: _COUNT_COLUMNS.get(field.name, field.name) for field in fields(Counts)}
_TOTALS = tuple(field.name for field in fields(Totals))


@dataclass(frozen=True)
class PastPeriod:
    """A period that was measured earlier: when it ended, what its queries brought, and the ids of their rows."""

    period: uuid.UUID
    end: datetime
    brought: Mapping[QueryKey, Brought]
    rows: Mapping[QueryKey, uuid.UUID]


def load(connection: Connection, wanted: Mapping[EntityKey, Collection[QueryKey]]) -> Ledger:
    """The books as they stand: of each entity its sums, and the accounts of the `wanted` queries."""
    sums = connection.execute(queries["platform_sums"]).all()
    ledger = Ledger(
        sum(row.relevant for row in sums),
        sum(row.scored for row in sums),
        {row.platform: Pairs(row.pair_excess, row.pair_spread) for row in sums},
    )
    ids = [entity_id for _, entity_id in wanted]
    for row in connection.execute(queries["summaries_of_entities"], {"entity_ids": ids}):
        ledger.summaries.setdefault((row.entity_type, row.entity_id), {})[row.platform] = _summary(row)
    keys = [(*entity, *query) for entity, forms in wanted.items() for query in forms]
    columns = zip(*keys, strict=True) if keys else [()] * 4
    parameters = dict(zip(("types", "ids", "platforms", "forms"), map(list, columns), strict=True))
    for row in connection.execute(queries["accounts_of_queries"], parameters):
        key = ((row.entity_type, row.entity_id), (row.platform, row.normal_form))
        ledger.accounts[key] = account_of(row)
    return ledger


def history(connection: Connection, entity: EntityKey) -> list[PastPeriod]:
    """The measured periods of an entity that are active, oldest first."""
    kind, entity_id = entity
    rows = connection.execute(queries["history_of_entity"], {"entity_type": kind, "entity_id": entity_id})
    past: dict[uuid.UUID, tuple[datetime, dict[QueryKey, Brought], dict[QueryKey, uuid.UUID]]] = {}
    for row in rows:
        _, brought, ids = past.setdefault(row.period_id, (row.period_end, {}, {}))
        key = (row.platform, row.normal_form)
        brought[key] = Brought(row.query, _counts(row), row.shared, row.silence)
        ids[key] = row.effectiveness_id
    return [PastPeriod(period, *known) for period, known in past.items()]


def account_of(row: Row[Any]) -> Account:
    """What is remembered of a query, from its row."""
    evidence = Evidence(
        row.faded_relevant,
        row.faded_scored,
        row.faded_relevant_squares,
        row.faded_scored_squares,
        row.faded_identified,
        row.faded_shared,
    )
    return Account(row.query, evidence, row.as_of, _counts(row), row.periods, row.silence)


def store(
    connection: Connection,
    ledger: Ledger,
    touched: Iterable[tuple[EntityKey, QueryKey, uuid.UUID, Judgement]],
    restarted: Iterable[EntityKey],
) -> None:
    """Write accounts, each with the row that was judged last, and the sums of their entities.

    Of `restarted` entities everything that was remembered goes first.
    """
    latest = {(entity, query): (row, judgement) for entity, query, row, judgement in touched}
    rows = [
        _account_row(entity, query, row, judgement) for (entity, query), (row, judgement) in latest.items()
    ]
    gone = [{"entity_type": kind, "entity_id": str(entity_id)} for kind, entity_id in restarted]
    write(connection, "forget_accounts", [*rows, *gone])
    write(connection, "insert_accounts", rows)
    summaries = [
        _summary_row(entity, platform, summary)
        for entity in {*(entity for entity, _ in latest), *restarted}
        for platform, summary in sorted(ledger.summaries.get(entity, {}).items())
    ]
    write(connection, "forget_summaries", [*summaries, *gone])
    write(connection, "insert_summaries", summaries)
    write(connection, "respell_recent_rows", rows)


def write(connection: Connection, query: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Run a query over `rows`, which it takes as one JSON document."""
    connection.execute(queries[query], {"rows": json.dumps(rows, default=str)})


def counts_row(counts: Counts) -> dict[str, object]:
    """The columns of what a query brought."""
    return {column: getattr(counts, name) for name, column in _COUNTS.items()}


def judged_row(judgement: Judgement) -> dict[str, object]:
    """The columns of how a query is judged."""
    standing = judgement.standing
    return {
        "score": standing.score,
        "score_lower": standing.lower,
        "score_upper": standing.upper,
        "rank_key": standing.rank_key,
        "entity_mean": standing.mean,
        "prior_strength": judgement.surroundings.strength,
        "verdict": judgement.advice.verdict,
    }


def _counts(row: Row[Any]) -> Counts:
    return Counts(**{name: getattr(row, column) for name, column in _COUNTS.items()})


def _summary(row: Row[Any]) -> Summary:
    totals = Totals(*(getattr(row, name) for name in _TOTALS))
    return Summary(totals, row.as_of, row.queries, row.measurements)


def _account_row(
    entity: EntityKey, query: QueryKey, row: uuid.UUID, judgement: Judgement
) -> dict[str, object]:
    account, evidence = judgement.account, judgement.account.evidence
    return {
        "entity_type": entity[0],
        "entity_id": str(entity[1]),
        "platform": query[0],
        "normal_form": query[1],
        "query": account.query,
        "effectiveness_id": str(row),
        "as_of": account.as_of.isoformat() if account.as_of else None,
        "periods": account.periods,
        **counts_row(account.life),
        "silence": account.silence,
        "faded_relevant": evidence.relevant,
        "faded_scored": evidence.scored,
        "faded_relevant_squares": evidence.relevant_squares,
        "faded_scored_squares": evidence.scored_squares,
        "faded_identified": evidence.identified,
        "faded_shared": dict(evidence.shared),
        **judged_row(judgement),
        "recommendation": judgement.advice.sentence,
    }


def _summary_row(entity: EntityKey, platform: str, summary: Summary) -> dict[str, object]:
    told = pairs(summary.totals)
    return {
        "entity_type": entity[0],
        "entity_id": str(entity[1]),
        "platform": platform,
        "as_of": summary.as_of.isoformat() if summary.as_of else None,
        "queries": summary.queries,
        "measurements": summary.measurements,
        **{name: getattr(summary.totals, name) for name in _TOTALS},
        "pair_excess": told.excess,
        "pair_spread": told.spread,
    }
