"""Entering what periods brought into the books, and writing down how every query is judged."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.effectiveness import accounts
from temporal_pipeline.defs.effectiveness.accounts import PastPeriod
from temporal_pipeline.defs.effectiveness.findings import Findings
from temporal_pipeline.defs.effectiveness.judgement.evidence import Account
from temporal_pipeline.defs.effectiveness.judgement.ledger import (
    Brought,
    EntityKey,
    Judgement,
    Ledger,
    QueryKey,
    Surroundings,
    judgements,
)
from temporal_pipeline.defs.effectiveness.naming import normal_form

queries = Queries(__package__)


@dataclass(frozen=True)
class Measurement:
    """A row that was written: a query of a period, its score and what to do with it."""

    period: uuid.UUID
    platform: str
    query: str
    score: float
    recommendation: str


@dataclass(frozen=True)
class _Entry:
    """A query of a period in the books; `row`: its row in crawl_effectiveness."""

    entity: EntityKey
    period: uuid.UUID
    end: datetime
    key: QueryKey
    brought: Brought
    row: uuid.UUID
    # Whether the row is there already: the application wrote it, or it was measured before.
    is_there: bool
    # Whether it was measured before, and only its judgement is due.
    is_past: bool
    account: Account
    surroundings: Surroundings


def keep_books(connection: Connection, periods: Sequence[Row[Any]], findings: Findings) -> list[Measurement]:
    """Enter measured periods (rows id, entity_type, entity_id, period_end; those of an entity together, in
    order) and write rows, measurements, accounts and sums. Returns the rows that were missing.
    """
    wanted: defaultdict[EntityKey, set[QueryKey]] = defaultdict(set)
    for period in periods:
        wanted[period.entity_type, period.entity_id] |= findings[period.id].keys()
    ledger = accounts.load(connection, wanted)
    there = _rows_of(connection, [period.id for period in periods])
    entries: list[_Entry] = []
    restarted: list[EntityKey] = []
    for entity, own in groupby(periods, key=lambda period: (period.entity_type, period.entity_id)):
        new = [PastPeriod(period.id, period.period_end, findings[period.id], {}) for period in own]
        latest = max((s.as_of for s in ledger.summaries.get(entity, {}).values() if s.as_of), default=None)
        past: list[PastPeriod] = []
        if latest is not None and min(period.end for period in new) <= latest:
            past = accounts.history(connection, entity)
            ledger.forget(entity)
            restarted.append(entity)
        for entered in sorted((*past, *new), key=lambda period: period.end):
            entries += _entered(ledger, entity, entered, there)
    judged = list(zip(entries, judgements((e.account, e.surroundings) for e in entries), strict=True))
    # What was before the first period of an entity that is measured now stays as it was judged.
    since = {(period.entity_type, period.entity_id): period.period_end for period in reversed(periods)}
    _write(connection, findings, judged, since)
    accounts.store(
        connection, ledger, ((e.entity, e.key, e.row, judgement) for e, judgement in judged), restarted
    )
    return [
        Measurement(
            entry.period,
            entry.key[0],
            entry.brought.query,
            judgement.standing.score,
            judgement.advice.sentence,
        )
        for entry, judgement in judged
        if not entry.is_there
    ]


def _entered(
    ledger: Ledger,
    entity: EntityKey,
    period: PastPeriod,
    there: Mapping[tuple[uuid.UUID, QueryKey], uuid.UUID],
) -> list[_Entry]:
    entered = ledger.enter(entity, period.end, period.brought)
    entries = []
    for key, brought in period.brought.items():
        measured, written = period.rows.get(key), there.get((period.period, key))
        row = measured or written
        entries.append(
            _Entry(
                entity,
                period.period,
                period.end,
                key,
                brought,
                row or uuid.uuid4(),
                row is not None,
                measured is not None,
                *entered[key],
            )
        )
    return entries


def _rows_of(connection: Connection, periods: list[uuid.UUID]) -> dict[tuple[uuid.UUID, QueryKey], uuid.UUID]:
    """The rows that are there already, by period and query; of two for the same, the older one."""
    return {
        (row.period_id, (row.platform, normal_form(row.query))): row.id
        for row in connection.execute(queries["rows_of_periods"], {"periods": periods})
    }


def _write(
    connection: Connection,
    findings: Findings,
    judged: Sequence[tuple[_Entry, Judgement]],
    since: Mapping[EntityKey, datetime],
) -> None:
    relevant = {
        period: sum(brought.counts.relevant for brought in found.values())
        for period, found in findings.items()
    }
    new = [(entry, judgement) for entry, judgement in judged if not entry.is_past]
    accounts.write(
        connection,
        "insert_rows",
        [_row(entry, judgement, relevant[entry.period]) for entry, judgement in new if not entry.is_there],
    )
    accounts.write(connection, "insert_measurements", [_measurement(*one) for one in new])
    again = [
        (entry, judgement)
        for entry, judgement in judged
        if entry.is_past and entry.end >= since[entry.entity]
    ]
    if again:
        accounts.write(
            connection,
            "rejudge_measurements",
            [{"effectiveness_id": e.row} | accounts.judged_row(judgement) for e, judgement in again],
        )
        accounts.write(
            connection, "rejudge_rows", [{"id": e.row} | _judged(judgement) for e, judgement in again]
        )


def _row(entry: _Entry, judgement: Judgement, relevant: int) -> dict[str, object]:
    counts = entry.brought.counts
    return {
        "id": entry.row,
        "period_id": entry.period,
        "entity_type": entry.entity[0],
        "entity_id": entry.entity[1],
        "platform": entry.key[0],
        "query": entry.brought.query,
        "total_found": counts.total_found,
        "relevant_count": counts.relevant,
        "high_value_count": counts.high_value,
        "avg_relevance": counts.average_relevance,
        "coverage_ratio": counts.relevant / relevant if relevant else None,
        **_judged(judgement),
    }


def _judged(judgement: Judgement) -> dict[str, object]:
    return {
        "effectiveness_score": judgement.standing.score,
        "recommendations": judgement.advice.sentence,
    }


def _measurement(entry: _Entry, judgement: Judgement) -> dict[str, object]:
    return {
        "effectiveness_id": entry.row,
        "period_id": entry.period,
        "period_end": entry.end.isoformat(),
        "entity_type": entry.entity[0],
        "entity_id": entry.entity[1],
        "platform": entry.key[0],
        "normal_form": entry.key[1],
        "ours": not entry.is_there,
        **accounts.counts_row(entry.brought.counts),
        "silence": entry.brought.silence,
        "shared": dict(entry.brought.shared),
        **accounts.judged_row(judgement),
    }
