"""The demo, played for tests of what can be asked about it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from temporal_pipeline.crosshot.demo.planted import TIDES, TRAINS
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.reanalysis import reanalyse
from temporal_pipeline.query import Timeline
from tests.command_line import CommandLine
from tests.conftest import temporary_database
from tests.query.world import insert

NOTE = "Ask the operators in spring."
STEP = timedelta(microseconds=1)


@dataclass(frozen=True)
class Demo:
    """The demo, played; then the first period of the night trains was analysed again, and a person opened a note
    about the tides and closed it. The times are those of recording.
    """

    database: Database
    timeline: Timeline
    after_the_month: datetime
    after_one_round: datetime
    after_two_rounds: datetime
    while_the_note_was_open: datetime
    old: uuid.UUID
    new: uuid.UUID
    old_summary: str

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """What a statement of the test's own finds."""
        with self.database.transaction(read_only=True) as connection:
            return list(connection.execute(text(sql), values).all())

    def scalars(self, sql: str, **values: Any) -> list[Any]:
        """The first column of it."""
        return [row[0] for row in self.rows(sql, **values)]


@contextmanager
def played_demo(server_url: str, home: Path) -> Iterator[Demo]:
    """Play the demo in a database of its own."""
    with temporary_database(server_url) as database, temporary_database(server_url) as storage:
        played = CommandLine(home, DATABASE_URL=database.url, DAGSTER_DATABASE_URL=storage.url)("demo")
        assert played.returncode == 0, played.stderr
        with database.transaction() as c:
            _, second, third = c.scalars(text("SELECT instant FROM temporal_pipeline.cut ORDER BY id")).all()
            now = c.execute(text("SELECT clock_timestamp()")).scalar_one()
            old = c.execute(
                text("SELECT id, summary FROM analysis_periods WHERE entity_id = :id AND period_number = 0"),
                {"id": TRAINS},
            ).one()
        new = reanalyse(database, old.id, "posts were edited", "truth")
        noted, closed = now + timedelta(seconds=10), now + timedelta(seconds=30)
        with database.transaction() as c:
            about = "SELECT id FROM analysis_periods WHERE entity_id = :id"
            insert(
                c,
                "temporal_events",
                {
                    "period_id": c.scalar(text(about), {"id": TIDES}),
                    "entity_type": "topic",
                    "entity_id": TIDES,
                    "event_type": "observation",
                    "title": NOTE,
                    "description": "",
                    "first_detected_at": noted,
                    "created_at": noted,
                    "last_updated_at": closed,
                    "resolved_at": closed,
                    "resolution_note": "done",
                },
            )
        yield Demo(
            database=database,
            timeline=Timeline(database),
            after_the_month=second - STEP,
            after_one_round=third - STEP,
            after_two_rounds=now,
            while_the_note_was_open=noted + timedelta(seconds=1),
            old=old.id,
            new=new,
            old_summary=old.summary,
        )
