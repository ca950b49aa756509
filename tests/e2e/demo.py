"""The demo as the scenarios find it."""

from sqlalchemy import text

from temporal_pipeline.crosshot.demo.loading import load_demo
from temporal_pipeline.crosshot.demo.planted import TIDES
from temporal_pipeline.database import Database
from tests.command_line import CommandLine


def play_month(database: Database, command: CommandLine) -> None:
    """The demo's thirty days, and what the graph makes of them."""
    load_demo(database)
    update(command)


def update(command: CommandLine) -> None:
    """Run the whole graph."""
    done = command("update")
    assert done.returncode == 0, done.stderr


def correct_a_period(database: Database) -> None:
    """The application corrects the only period of the tides, from 90 posts to 91: the trend view is behind then."""
    statement = text(
        "UPDATE analysis_periods SET metrics = jsonb_set(metrics, '{total_contents}', '91') WHERE entity_id = :id"
    )
    with database.transaction() as connection:
        connection.execute(statement, {"id": TIDES})
