"""A migration or backfill that is interrupted anywhere is made good by the next one.

A sample; `python -m benchmarks.kills` tries every statement.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from benchmarks import kills
from benchmarks.live import copy_of, fill
from temporal_pipeline.database import Database
from tests.conftest import temporary_database

ROWS = 400
ENTITIES = 8


@dataclass(frozen=True)
class Beginning:
    """A database, what is done with it, and what that leaves and takes when it is not interrupted."""

    database: Database
    work: kills.Work
    wanted: kills.State
    statements: int
    seconds: float


@pytest.fixture(scope="module")
def application(server_url: str) -> Iterator[Database]:
    with temporary_database(server_url) as database:
        fill(database, ROWS, ENTITIES, largest=50)
        yield database


@pytest.fixture(scope="module")
def migrated(application: Database) -> Iterator[Database]:
    with copy_of(application) as database:
        kills.migrate_up(database.url)
        yield database


@pytest.fixture(scope="module")
def upgrading(application: Database) -> Beginning:
    return _beginning(application, kills.migrate_up)


@pytest.fixture(scope="module")
def backfilling(migrated: Database) -> Beginning:
    return _beginning(migrated, kills.backfill)


@pytest.fixture(scope="module")
def downgrading(migrated: Database) -> Iterator[Beginning]:
    with copy_of(migrated) as database:
        kills.backfill(database.url)
        yield _beginning(database, kills.migrate_down)


def _beginning(database: Database, work: kills.Work) -> Beginning:
    wanted, statements, seconds = kills.uninterrupted(database, work)
    return Beginning(database, work, wanted, statements, seconds)


def _attempt(beginning: Beginning, interrupt: kills.Interrupt, point: float) -> kills.Trial:
    return kills.attempt(beginning.database, interrupt, beginning.work, point, beginning.wanted)


def test_an_uninterrupted_backfill_links_everything_and_is_the_same_twice(backfilling: Beginning) -> None:
    wanted = backfilling.wanted
    assert wanted["contents"][0] == ROWS
    assert wanted["periods"][0] == wanted["entities"][0] == ENTITIES
    assert wanted["finished cuts"][0] == 1
    assert not wanted.keys() & {"unfinished cuts", "problems"}
    again, _, _ = kills.uninterrupted(backfilling.database, backfilling.work)
    assert kills.differences(again, wanted) == ()


@pytest.mark.parametrize("share", [0.02, 0.2, 0.4, 0.6, 0.8, 1])
def test_an_upgrade_whose_process_is_killed(upgrading: Beginning, share: float) -> None:
    trial = _attempt(upgrading, kills.killed_after, max(1, int(share * upgrading.statements)))
    assert trial.interrupted
    assert trial.differs == ()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_upgrade_whose_session_the_server_ends(upgrading: Beginning, share: float) -> None:
    trial = _attempt(upgrading, kills.session_lost_after, int(share * upgrading.statements))
    assert trial.interrupted
    assert trial.differs == ()


@pytest.mark.parametrize(
    ("interrupt", "share"),
    [(kills.killed_after, 0.3), (kills.killed_after, 0.7), (kills.session_lost_after, 0.5)],
)
def test_a_downgrade_that_is_interrupted(
    downgrading: Beginning, interrupt: kills.Interrupt, share: float
) -> None:
    trial = _attempt(downgrading, interrupt, int(share * downgrading.statements))
    assert trial.interrupted
    assert trial.differs == ()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_backfill_whose_process_is_killed(backfilling: Beginning, share: float) -> None:
    assert _attempt(backfilling, kills.killed_at, share * backfilling.seconds).differs == ()


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_backfill_whose_session_the_server_ends(backfilling: Beginning, share: float) -> None:
    assert _attempt(backfilling, kills.session_lost_at, share * backfilling.seconds).differs == ()
