"""What every asset is given: the database and the scope of the run; and how steps are executed."""

from collections.abc import Iterator

import dagster as dg

from temporal_pipeline.abandoned_runs import tell_process
from temporal_pipeline.database import Database
from temporal_pipeline.scope import Scope


@dg.definitions
def resources() -> dg.Definitions:
    @dg.resource(description="The application's database (DATABASE_URL, else the embedded server).")
    def database(context: dg.InitResourceContext) -> Iterator[Database]:
        tell_process(context.instance, context.run)
        connected = Database.from_environment()
        try:
            yield connected
        finally:
            connected.dispose()

    return dg.Definitions(
        resources={"database": database, "scope": Scope()},
        # Six steps cost 0.3 CPU s in one process, 12 in one each.
        executor=dg.in_process_executor,
    )
