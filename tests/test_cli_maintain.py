"""The verb `maintain`: what it prints, and that a dry run writes nothing."""

from temporal_pipeline.database import Database
from tests.command_line import On
from tests.defs.periods.world import digest, refuse_periods_of, rows
from tests.defs.upkeep.test_tidying import killed_while_closing


def test_what_would_be_done_is_done_and_what_cannot_be_is_told(database: Database, on: On) -> None:
    topic, _ = killed_while_closing(database, days_ago=True)
    command = on(database)
    before = digest(database)
    foretold = command("maintain", "--dry-run")
    assert foretold.returncode == 0, foretold.stderr
    assert "drafts older than a day: 1" in foretold.stdout
    assert "AI agents, period 0" in foretold.stdout
    assert "tables that would be vacuumed" in foretold.stdout
    assert digest(database) == before

    with database.transaction() as connection:
        refuse_periods_of(connection, topic)
    failed = command("maintain")
    assert failed.returncode == 1
    assert "no period for you" in failed.stdout
    assert "drafts that could not be closed: 1" in failed.stderr
    assert "superseded periods that were archived: 0" in failed.stdout

    with database.transaction() as connection:
        connection.exec_driver_sql("DROP FUNCTION refuse CASCADE")
    document = command.json("maintain")
    assert document["ok"] is True
    assert document["data"]["drafts_left"] == []
    assert document["data"]["history"] == {"runs": 0, "events": 0, "kept": 0}
    assert {table["reason"] for table in document["data"]["tables"]} == {None}
    assert [row.status for row in rows(database, "SELECT status FROM analysis_periods")] == ["active"]
