"""What trends say to a person: the chart of the busiest entities, and each one's last period in a row."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.trends.chart import Happening, Panel, Rate

queries = Queries(__package__)

ENTITIES_DRAWN = 6
# More bars than this are no longer told apart in a panel of 4.6 inches.
PERIODS_DRAWN = 60


def panels(connection: Connection) -> list[Panel]:
    """The busiest entities, each with its newest periods and what happened since the first of these."""
    limits = {"entities": ENTITIES_DRAWN, "periods": PERIODS_DRAWN}
    titles: dict[UUID, str] = {}
    rates: dict[UUID, list[Rate]] = {}
    for row in connection.execute(queries["rates_of_busiest"], limits):
        titles[row.entity_id] = f"{row.entity_type} {row.name}"
        rate = Rate(row.period_start, row.period_end, row.rate)
        rates.setdefault(row.entity_id, []).append(rate)
    since = {"entity_ids": list(rates), "since": [of_entity[0].start for of_entity in rates.values()]}
    happenings: dict[UUID, list[Happening]] = {entity: [] for entity in rates}
    for row in connection.execute(queries["events_of"], since):
        happenings[row.entity_id].append(Happening(row.first_detected_at, row.severity, row.is_open))
    return [Panel(titles[entity], rates[entity], happenings[entity]) for entity in rates]


def report(connection: Connection) -> list[dict[str, object]]:
    """Per entity its last period against the one before, the most posts first."""
    return [_line(row) for row in connection.execute(queries["last_against_before"])]


def _line(row: Row[Any]) -> dict[str, object]:
    return {
        "entity": f"{row.entity_type} {row.name}",
        "period": row.period_number,
        "posts": _number(row.posts),
        "before": _number(row.posts_before),
        "posts per hour": None if row.rate is None else f"{row.rate:.2f}",
        "% of rate": None if row.rate_change_pct is None else f"{row.rate_change_pct:+.0f} %",
        "open events": row.open_events,
        "best query": None if row.best_query is None else f"{row.best_platform}: {row.best_query}",
    }


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f}"
