"""How the database of a test comes into each state in which an upgrade may find one, from legacy."""

from collections.abc import Callable

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.definition.model import REVISIONS
from temporal_pipeline.defs.schema.upgrade import upgrade
from tests.migrations.tools import execute, upgrade_to
from tests.migrations.worlds import CREATE_ALL, LATER_REVISION, TO_THE_HEAD_OF_THE_APPLICATION


def after_the_applications_own_migrations(database: Database) -> None:
    upgrade(database)
    execute(database, TO_THE_HEAD_OF_THE_APPLICATION)


def after_a_later_one_of_the_application(database: Database) -> None:
    upgrade(database)
    execute(
        database,
        "DROP VIEW temporal_pipeline.period_member, temporal_pipeline.linked_content, temporal_pipeline.entity",
    )
    execute(database, LATER_REVISION)


ARRIVALS: dict[str, Callable[[Database], object]] = {
    "legacy": lambda database: None,
    "half done": lambda database: upgrade_to(database, REVISIONS[0]),
    "after create_all": lambda database: execute(database, CREATE_ALL),
    "after the application's own migrations": after_the_applications_own_migrations,
    "after a later one of the application": after_a_later_one_of_the_application,
}
