"""What must hold of events after a run."""

import dagster as dg

from temporal_pipeline.database import Database
from temporal_pipeline.defs.events.recording import KEY, queries
from temporal_pipeline.defs.events.searching import STAGE
from temporal_pipeline.reporting import claim, entities_succeeded


@dg.asset_check(
    asset="temporal_events",
    description="Each volume event names at least one post that shows it.",
)
def every_volume_event_has_evidence(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        return claim(connection.execute(queries["volume_events_without_evidence"], {"key": KEY}).all())


@dg.asset_check(
    asset="temporal_events",
    description="Each post that we took as evidence has a weight between 0 and 1.",
)
def event_weights_are_in_range(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    with database.transaction(read_only=True) as connection:
        return claim(connection.execute(queries["evidence_out_of_range"], {"key": KEY}).all())


@dg.asset_check(
    asset="temporal_events",
    description="No topic or user failed when it was searched for events; those that did are named.",
)
def every_entity_was_searched_for_events(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
    return entities_succeeded(database, STAGE)
