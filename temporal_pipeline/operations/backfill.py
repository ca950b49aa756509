"""Period 0 for every topic and user that has none: what was crawled before the pipeline came."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from temporal_pipeline.bulk import WORKERS, Progress, no_progress
from temporal_pipeline.database import Database
from temporal_pipeline.defs.contents import prepare
from temporal_pipeline.defs.periods.cutting import CutReport, perform_cut, queries
from temporal_pipeline.defs.schema.upgrade import require_head
from temporal_pipeline.entities import Entity


@dataclass(frozen=True)
class BackfillReport:
    """What a backfill did. `without_period`: how many topics and users it was about."""

    run_id: str
    without_period: int
    prepared: prepare.Report
    cut: CutReport


def backfill(
    database: Database,
    *,
    entities: Sequence[Entity] | None = None,
    workers: int = WORKERS,
    max_wait: float = 30,
    progress: Progress = no_progress,
) -> BackfillReport:
    """Prepare the contents, link them and close Period 0 of every one of `entities` (None: all) without a period.

    Those that have one are left to `update`. May be killed and run again; finishes first what another run
    began. Raises PipelineError when the schema is not at head, or with exit code 5 when another run works on
    the same for more than `max_wait` seconds.
    """
    with database.transaction(read_only=True) as connection:
        require_head(connection)
        without = [Entity(*row) for row in connection.execute(queries["entities_without_period"])]
    # By what they are, not by their names: the application may have changed one meanwhile.
    wanted = None if entities is None else {(entity.type, entity.id) for entity in entities}
    chosen = [entity for entity in without if wanted is None or (entity.type, entity.id) in wanted]
    prepared = prepare.prepare_contents(
        database, entities=entities, workers=workers, max_wait=max_wait, progress=progress
    )
    run_id = f"backfill-{uuid.uuid4()}"
    cut = perform_cut(
        database, run_id, entities=chosen, workers=workers, max_wait=max_wait, progress=progress
    )
    return BackfillReport(run_id, len(chosen), prepared, cut)
