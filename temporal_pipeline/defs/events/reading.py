"""What is read about topics and users to search them: series, coverage, periods and what is recorded already."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np
from sqlalchemy import Connection, Row

from temporal_pipeline.crawls import Crawl, closed_until, covered_intervals, crawls_of, merged
from temporal_pipeline.crawls.coverage import HOUR, Interval
from temporal_pipeline.database import Queries
from temporal_pipeline.defs.events.finding.detection import WINDOW_HOURS
from temporal_pipeline.defs.events.finding.lifecycle import REOPEN_HOURS, Series
from temporal_pipeline.defs.events.finding.occurrences import SILENT_QUERY
from temporal_pipeline.defs.events.finding.series import METRICS, Activity, hour_of, hourly_series
from temporal_pipeline.defs.events.finding.trends import DIRECTIONS, trend_key
from temporal_pipeline.entities import Entity, EntityType

queries = Queries(__package__)

DETECTOR = "temporal_pipeline"
METHOD = "tail-1"
# What was published longer ago than this when it was found is history to compare with, and no news.
NEWS = timedelta(days=14)
# As many schedule intervals hold the thirty runs of a query with which a silence is compared, if each is run every
# other time.
RUNS_REACH = 60
# A post dated 1970 by mistake must not cost fifty years of hours.
LONGEST_HISTORY = timedelta(days=3653)
REOPENING = timedelta(hours=REOPEN_HOURS)
DISMISSED = "dismissed"
# Per metric that trends are looked for in, the column that has its value.
TREND_METRICS = {"volume": "posts_per_hour", "engagement": "reactions_per_post"}
TREND_KEYS = frozenset(trend_key(metric, direction) for metric in TREND_METRICS for direction in DIRECTIONS)
HOURLY_KEYS = frozenset(f"{metric.name}_{direction}" for metric in METRICS for direction in metric.directions)


@dataclass(frozen=True)
class KnownEvent:
    """An event of ours as it stands in the database; `ended` is the end that we know of."""

    id: uuid.UUID
    key: str
    severity: str
    metadata: dict[str, Any]
    onset: datetime
    last_breach: datetime
    ended: datetime | None
    is_theirs: bool

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """Raises KeyError or ValueError when somebody has spoilt the metadata.

        An event whose end somebody else has set or taken back is theirs from then on.
        """
        ended = row.metadata["resolved_at"]
        ours = (ended, row.metadata["resolution_note"])
        shown = (None if row.resolved_at is None else row.resolved_at.isoformat(), row.resolution_note)
        return cls(
            row.id,
            row.metadata["key"],
            row.severity,
            row.metadata,
            datetime.fromisoformat(row.metadata["onset"]),
            datetime.fromisoformat(row.metadata["last_breach"]),
            None if ended is None else datetime.fromisoformat(ended),
            row.metadata["state"] == DISMISSED or ours != shown,
        )


@dataclass(frozen=True)
class Watched:
    """All that is known of one entity.

    `begin`: the first hour to be judged (again), none of the entity's episodes being open then; None where no
    hour is. `watched_until`: how far it was watched before; `since`: the same, or from where on it must be looked
    at again; `closed`: how far it can be watched now. `crawls`: those that were read, at least the ones since it
    was watched. `series`: per metric, from a fortnight before `begin`.
    `periods`: ids of those to be marked; `figures`: the entity's periods from 30 before the first of these on.
    `runs`: per query its search runs (began, ended, found).
    """

    entity: Entity
    begin: datetime | None
    watched_until: datetime | None
    since: datetime | None
    closed: datetime | None
    covered: list[Interval]
    crawls: list[Crawl]
    series: dict[str, Series]
    periods: list[uuid.UUID]
    figures: list[Row[Any]]
    runs: dict[str, list[Row[Any]]]
    known: list[KnownEvent]

    def known_at(self, hour: datetime) -> datetime:
        """When an hour that begins then was first closed: at the end of the first crawl begun after it."""
        ends = [c.ended for c in self.crawls if c.ended is not None and c.began >= hour + HOUR]
        return max(min(ends, default=hour + HOUR), hour + HOUR)


def entities_to_watch(
    connection: Connection, entities: Sequence[Entity] | None = None, since: datetime | None = None
) -> Sequence[Row[Any]]:
    """Entities to search: rows (entity_type, entity_id, name, crawl_interval, periods), by type and id."""
    ids = None if entities is None else [entity.id for entity in entities]
    return connection.execute(
        queries["entities_to_watch"], {"entity_ids": ids, "since": since, "method": METHOD}
    ).all()


def read(
    connection: Connection, entity_type: EntityType, rows: Sequence[Row[Any]], *, gathered: bool = True
) -> list[Watched]:
    """What there is to know of the entities of `rows` (of `entities_to_watch`, all of one type).

    Unless the hours of their periods are `gathered`, these are read from the periods' members.
    """
    ids = [row.entity_id for row in rows]
    owners: dict[str, Any] = {"entity_type": entity_type, "entity_ids": ids}
    periods = [period for row in rows for period in row.periods]
    known: dict[uuid.UUID, list[KnownEvent]] = {entity_id: [] for entity_id in ids}
    for event in connection.execute(queries["known_events"], owners | {"detector": DETECTOR}):
        known[event.entity_id].append(KnownEvent.of(event))
    states = {
        row.entity_id: row
        for row in connection.execute(
            queries["watch_state"],
            owners | {"method": METHOD, "detector": DETECTOR, "periods": periods, "history": LONGEST_HISTORY},
        )
    }
    coverage = _coverage(connection, entity_type, rows, states)
    begins = {i: _begin(states[i], coverage[i][1], known[i], gathered) for i in ids}
    activity = _activity(connection, owners, begins, [] if gathered else periods)
    figures = _figures(connection, owners, rows, known)
    runs = _runs(connection, owners, states, known, {row.entity_id: row.crawl_interval for row in rows})
    found = []
    for row in rows:
        i = row.entity_id
        covered, closed, crawls = coverage[i]
        begin, series = begins[i], {}
        if begin is not None and closed is not None and (posts := activity.get(i)) is not None:
            first_hour = max(begin - WINDOW_HOURS * HOUR, _first_hour(states[i], posts, closed))
            begin = max(begin, first_hour)
            series = hourly_series(posts, covered, first_hour, closed)
        found.append(
            Watched(
                entity=Entity(entity_type, i, row.name),
                begin=begin,
                watched_until=states[i].watched_until,
                since=_since(states[i]),
                closed=closed,
                covered=covered,
                crawls=crawls,
                series=series,
                periods=row.periods,
                figures=figures.get(i, []),
                runs=runs.get(i, {}),
                known=known[i],
            )
        )
    return found


def _coverage(
    connection: Connection,
    entity_type: EntityType,
    rows: Sequence[Row[Any]],
    states: dict[uuid.UUID, Row[Any]],
) -> dict[uuid.UUID, tuple[list[Interval], datetime | None, list[Crawl]]]:
    """Per entity the time that its crawls cover, up to when it is closed, and the crawls that were read."""
    found = {}
    for is_new in (True, False):
        some = [row for row in rows if (states[row.entity_id].watched_until is None) == is_new]
        if not some:
            continue
        watched = [states[row.entity_id].watched_until for row in some]
        until = max(states[row.entity_id].until for row in some)
        crawls = crawls_of(
            connection,
            entity_type,
            [row.entity_id for row in some],
            until,
            # What they covered by then is known: of what was before only the crawl is needed that the next one
            # follows, and not the day that `crawls_of` adds for those that last long.
            since=None if is_new else min(watched) + timedelta(days=1),
        )
        for row in some:
            state = states[row.entity_id]
            of_entity = [crawl for crawl in crawls[row.entity_id] if crawl.began < state.until]
            found[row.entity_id] = (*_cover(state, of_entity, row.crawl_interval), of_entity)
    return found


def _cover(
    state: Row[Any], crawls: Sequence[Crawl], interval: timedelta
) -> tuple[list[Interval], datetime | None]:
    closed = closed_until(crawls)
    if state.watched_until is None:
        return covered_intervals(crawls, interval), closed
    before = [(datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in state.covered]
    since = covered_intervals(crawls, interval, after=state.watched_until)
    return merged(before + since), max(closed or state.watched_until, state.watched_until)


def _since(state: Row[Any]) -> datetime | None:
    """Until when it was watched; where a period was analysed again, from the first event that this replaces on."""
    watched: datetime | None = state.watched_until
    if watched is None or state.replaced_onset is None:
        return watched
    return min(watched, datetime.fromisoformat(state.replaced_onset))


def _begin(
    state: Row[Any], closed: datetime | None, known: Sequence[KnownEvent], gathered: bool
) -> datetime | None:
    """From the first hour that is new; if an episode was not over for a day by then, from its onset."""
    if closed is None:
        return None
    if state.watched_until is None:
        first = hour_of(state.first_hour_of_all) if state.first_hour_of_all is not None else None
        earliest = closed - LONGEST_HISTORY
        return earliest if first is None or first < earliest else first
    watched: datetime = state.watched_until.replace(minute=0, second=0, microsecond=0)
    begin = watched - NEWS if not gathered else watched
    if state.first_hour is not None:
        begin = max(min(begin, hour_of(state.first_hour)), watched - NEWS)
    if state.replaced_onset is not None:
        begin = min(
            begin, datetime.fromisoformat(state.replaced_onset).replace(minute=0, second=0, microsecond=0)
        )
    hourly = [event for event in known if event.key in HOURLY_KEYS]
    for event in sorted(hourly, key=lambda event: event.onset, reverse=True):
        if event.onset < begin and (event.ended is None or event.ended + REOPENING >= begin):
            begin = event.onset
    return begin


def _first_hour(state: Row[Any], posts: Activity, closed: datetime) -> datetime:
    """The first hour that an entity had posts in: hours without any are history to compare with only after it."""
    first = state.first_hour_of_all
    # Not where that is a mistake, or nothing is written yet (a dry run writes nothing).
    is_known = first is not None and hour_of(first) >= closed - LONGEST_HISTORY
    return hour_of(min(first, int(posts.hours[0])) if is_known else int(posts.hours[0]))


def _activity(
    connection: Connection,
    owners: dict[str, Any],
    begins: dict[uuid.UUID, datetime | None],
    ungathered: Sequence[uuid.UUID],
) -> dict[uuid.UUID, Activity]:
    since = [
        0 if begin is None else max(int(begin.timestamp()) // 3600 - WINDOW_HOURS, 0)
        for begin in begins.values()
    ]
    rows = connection.execute(
        queries["hourly_activity"],
        {
            "entity_type": owners["entity_type"],
            "entity_ids": list(begins),
            "since": since,
            "ungathered": list(ungathered),
        },
    )
    return {
        row.entity_id: Activity(
            np.array(row.hours, dtype=np.int64),
            np.array(row.posts, dtype=np.int64),
            np.array(row.approvals, dtype=np.float64),
            np.array(row.replies, dtype=np.float64),
            np.array(row.reactions, dtype=np.float64),
        )
        for row in rows
    }


def _figures(
    connection: Connection,
    owners: dict[str, Any],
    rows: Sequence[Row[Any]],
    known: dict[uuid.UUID, list[KnownEvent]],
) -> dict[uuid.UUID, list[Row[Any]]]:
    """The periods of entities that have new ones, from 30 before the first new one or open trend on."""
    wanted = {row.entity_id: _first_period(row, known[row.entity_id]) for row in rows if row.periods}
    figures: dict[uuid.UUID, list[Row[Any]]] = {}
    for row in connection.execute(
        queries["period_figures"],
        {
            "entity_type": owners["entity_type"],
            "entity_ids": list(wanted),
            "since": list(wanted.values()),
        },
    ):
        figures.setdefault(row.entity_id, []).append(row)
    return figures


def _first_period(row: Row[Any], known: Sequence[KnownEvent]) -> int:
    going_on = [int(e.metadata["period_number"]) for e in known if e.ended is None and e.key in TREND_KEYS]
    return min([int(row.first_period), *going_on])


def _runs(
    connection: Connection,
    owners: dict[str, Any],
    states: dict[uuid.UUID, Row[Any]],
    known: dict[uuid.UUID, list[KnownEvent]],
    intervals: dict[uuid.UUID, timedelta],
) -> dict[uuid.UUID, dict[str, list[Row[Any]]]]:
    """Per entity and query its search runs, where they lately found nothing or are known for that."""
    silent = [
        (entity_id, event)
        for entity_id, events in known.items()
        for event in events
        if event.ended is None and event.key.startswith(SILENT_QUERY)
    ]
    since = {i: _since(states[i]) or datetime(1970, 1, 1, tzinfo=UTC) for i in states}
    for entity_id, event in silent:
        since[entity_id] = min(since[entity_id], event.onset)
    runs: dict[uuid.UUID, dict[str, list[Row[Any]]]] = {}
    for row in connection.execute(
        queries["search_runs"],
        {
            "entity_type": owners["entity_type"],
            "entity_ids": list(since),
            "since": list(since.values()),
            "untils": [states[i].until for i in since],
            "reaches": [max(NEWS, RUNS_REACH * intervals[i]) for i in since],
            "known_entities": [entity_id for entity_id, _ in silent],
            "known_queries": [event.metadata["query"] for _, event in silent],
        },
    ).all():
        runs.setdefault(row.entity_id, {}).setdefault(row.query, []).append(row)
    return runs
