"""What the queries of periods brought, as the application's tasks and the frozen members tell it."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.effectiveness.judgement.evidence import Counts
from temporal_pipeline.defs.effectiveness.judgement.ledger import Brought, QueryKey
from temporal_pipeline.defs.effectiveness.judgement.scoring import HIGH_VALUE, RELEVANT
from temporal_pipeline.defs.effectiveness.naming import normal_form, platform_of, query_of

queries = Queries(__package__)

Findings = dict[uuid.UUID, dict[QueryKey, Brought]]


def findings_of(connection: Connection, periods: Sequence[uuid.UUID]) -> Findings:
    """By period and query: what was brought. Cost: that of the periods' own tasks and contents."""
    parameters = {"periods": list(periods), "relevant": RELEVANT, "high_value": HIGH_VALUE}
    runs: defaultdict[tuple[uuid.UUID, QueryKey], list[Row[Any]]] = defaultdict(list)
    spellings: dict[tuple[uuid.UUID, QueryKey], str] = {}
    for row in connection.execute(queries["finders_of_periods"], parameters):
        spelling = query_of(row.action, row.asked, row.username, row.widened)
        key = (row.platform or platform_of(row.label), normal_form(spelling))
        runs[row.period_id, key].append(row)
        # They come in order of time: the last one stays.
        spellings[row.period_id, key] = spelling
    found: Findings = {period: {} for period in periods}
    overlaps = _overlaps(connection, runs)
    for (period, key), rows in sorted(runs.items(), key=lambda item: item[0]):
        overlap = overlaps.get((period, key))
        counts = sum((_counts(row) for row in rows), Counts())
        if overlap:
            counts = replace(counts, identified=overlap.identified, unique=overlap.unique_contents)
        found[period][key] = Brought(
            spellings[period, key], counts, overlap.shared if overlap else {}, _silence(rows)
        )
    return found


def _counts(row: Row[Any]) -> Counts:
    ran = row.is_own and row.is_over
    return Counts(
        runs=int(ran),
        empty_runs=int(_is_empty(row)),
        failed_runs=int(ran and row.failed),
        seconds=row.seconds if ran else 0.0,
        found=row.found,
        contents=row.contents,
        scored=row.scored,
        relevant=row.relevant,
        high_value=row.high_value,
        relevance_sum=row.relevance_sum,
    )


def _is_empty(row: Row[Any]) -> bool:
    return bool(row.is_own and row.is_over and not row.failed and not row.found and not row.contents)


def _silence(rows: Sequence[Row[Any]]) -> int:
    """How many of the last runs, those that failed aside, returned nothing."""
    silence = 0
    for row in rows:
        if row.is_own and row.is_over and not row.failed:
            silence = silence + 1 if _is_empty(row) else 0
    return silence


class _Overlap:
    """How many contents a query is known to have found, how many of these nobody else did, and with whom it
    shares how many.
    """

    def __init__(self, row: Row[Any], keys: Sequence[tuple[uuid.UUID, QueryKey]]) -> None:
        self.identified: int = row.identified
        self.unique_contents: int = row.unique_contents
        self.shared = {keys[int(other)][1][1]: count for other, count in sorted(row.shared.items())}


def _overlaps(
    connection: Connection, runs: dict[tuple[uuid.UUID, QueryKey], list[Row[Any]]]
) -> dict[tuple[uuid.UUID, QueryKey], _Overlap]:
    keys = sorted(runs)
    finders = [
        (key[0], row.task_id, key[1][0], number) for number, key in enumerate(keys) for row in runs[key]
    ]
    columns = zip(*finders, strict=True) if finders else [()] * 4
    parameters = dict(zip(("periods", "tasks", "platforms", "queries"), map(list, columns), strict=True))
    return {
        keys[row.query]: _Overlap(row, keys) for row in connection.execute(queries["overlaps"], parameters)
    }
