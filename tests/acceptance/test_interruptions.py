"""Killed anywhere, from every state in which a database may arrive: the whole matrix, which takes its time."""

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from benchmarks import kills
from benchmarks.live import fill
from temporal_pipeline.database import Database
from tests.conftest import temporary_database
from tests.migrations.arrivals import ARRIVALS

pytestmark = pytest.mark.acceptance

ROWS = 400
ENTITIES = 8
# From legacy every statement is tried; other arrivals have most of their statements in common with it.
EVERY = 10


def test_after_every_statement_and_at_random_moments(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", server_url)
    done = CliRunner().invoke(kills.main, ["--rows", str(ROWS), "--entities", str(ENTITIES), "--json"])
    assert done.exit_code == 0, done.output
    assert any(trial["interrupted"] for made in json.loads(done.stdout).values() for trial in made)


@pytest.fixture
def arrived(server_url: str, arrival: str) -> Iterator[Database]:
    with temporary_database(server_url) as database:
        fill(database, ROWS, ENTITIES, largest=50)
        ARRIVALS[arrival](database)
        yield database


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_an_upgrade_from_every_arrival(arrived: Database) -> None:
    wanted, statements, _ = kills.uninterrupted(arrived, kills.migrate_up)
    for point in range(1, statements + 1, EVERY):
        trial = kills.attempt(arrived, kills.killed_after, kills.migrate_up, point, wanted)
        assert trial.interrupted
        assert trial.differs == ()
