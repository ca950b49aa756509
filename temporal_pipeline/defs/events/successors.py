"""What becomes of the events of a period that is analysed again."""

import uuid
from collections.abc import Sequence

from sqlalchemy import Connection

from temporal_pipeline.database import Queries
from temporal_pipeline.defs.events.reading import DETECTOR
from temporal_pipeline.entities import EntityType

queries = Queries(__package__)

ANALYSED_AGAIN = "Its period was analysed again; what stands out is recorded with the successor."


def follow_successors(connection: Connection, entity_type: EntityType, ids: Sequence[uuid.UUID]) -> None:
    """Let events that people or the application recorded, or ended, belong to the period that took the place
    of theirs, and end those of ours that are open in a period that was analysed again.

    What we found ourselves stays with the period that it was found in, and is found anew in the successor.
    """
    owners = {
        "entity_type": entity_type,
        "entity_ids": list(ids),
        "detector": DETECTOR,
        "resolution_note": ANALYSED_AGAIN,
    }
    for step in ("move_events_of_others", "close_events_of_superseded_periods"):
        connection.execute(queries[step], owners)
