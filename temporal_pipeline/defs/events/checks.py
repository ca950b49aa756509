"""What must hold of events after a run."""

import dagster as dg

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.reading import DETECTOR, queries
from temporal_pipeline.defs.events.searching import STAGE
from temporal_pipeline.reporting import claim, entities_succeeded


@dg.asset_check(
    asset="temporal_events",
    description="Each event of unusually many posts names at least one of them.",
)
def every_upward_volume_event_has_evidence(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    return _none(database, "volume_events_without_evidence")


@dg.asset_check(
    asset="temporal_events",
    description="Each post that we took as evidence has a weight between 0 and 1.",
)
def event_weights_are_in_range(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    return _none(database, "evidence_out_of_range")


@dg.asset_check(
    asset="temporal_events",
    description="No topic or user failed when it was searched for events; those that did are named.",
)
def every_entity_was_searched_for_events(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    return entities_succeeded(database, STAGE)


@dg.asset_check(
    asset="temporal_events",
    description="The posts that show an event belong to its period or to a later one.",
)
def evidence_is_no_older_than_its_event(
    database: dg.ResourceParam[Database],
) -> dg.AssetCheckResult:
    return _none(database, "evidence_of_earlier_periods")


@dg.asset_check(
    asset="temporal_events",
    description="Of each topic or user, at most one event per metric and direction is open.",
)
def one_open_event_per_key(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    return _none(database, "keys_open_twice")


@dg.asset_check(
    asset="temporal_events",
    description="No topic or user has more than one burst of posts a week; the detector would cry wolf there.",
)
def events_are_rare(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    return _none(database, "onsets_per_week", dg.AssetCheckSeverity.WARN)


def _none(
    database: Database, offenders: str, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
) -> dg.AssetCheckResult:
    """The claim that the query `offenders` finds none among our events."""
    with database.transaction(read_only=True) as connection:
        return claim(connection.execute(queries[offenders], {"detector": DETECTOR}).all(), severity=severity)
