"""Two at once: one works, the other waits or says that it would have to, and what they leave is as with one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks import kills
from benchmarks.live import copy_of, fill, in_own_process
from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods.cutting import STAGE, perform_cut
from temporal_pipeline.defs.schema.upgrade import LOCK, upgrade
from temporal_pipeline.errors import PipelineError
from tests.conftest import temporary_database
from tests.migrations.tools import execute

ROWS = 400
ENTITIES = 8
DONE = (0, "")


@pytest.fixture(scope="module")
def application(server_url: str) -> Iterator[Database]:
    with temporary_database(server_url) as database:
        fill(database, ROWS, ENTITIES, largest=50)
        yield database


@pytest.fixture(scope="module")
def with_one(application: Database) -> kills.State:
    """What a migration and a backfill leave, one after the other."""
    return kills.uninterrupted(application, migrate_and_backfill)[0]


@pytest.fixture
def legacy(application: Database) -> Iterator[Database]:
    with copy_of(application) as database:
        yield database


@pytest.fixture
def migrated(legacy: Database) -> Database:
    upgrade(legacy)
    return legacy


def migrate_and_backfill(url: str) -> None:
    kills.migrate_up(url)
    kills.backfill(url)


def told(work: kills.Work, url: str) -> tuple[int, str]:
    """Exit code and message of a piece of work."""
    try:
        work(url)
    except PipelineError as error:
        return error.exit_code, error.message
    return DONE


def at_once(database: Database, *works: kills.Work) -> list[tuple[int, str]]:
    """What each says that is done in a process of its own, all at the same time."""
    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(lambda work: in_own_process(told, work, database.url), works))


def test_two_migrations(legacy: Database, with_one: kills.State) -> None:
    assert at_once(legacy, kills.migrate_up, kills.migrate_up) == [DONE, DONE]
    kills.backfill(legacy.url)
    assert kills.differences(kills.state_of(legacy), with_one) == ()


def test_two_backfills(migrated: Database, with_one: kills.State) -> None:
    assert at_once(migrated, kills.backfill, kills.backfill) == [DONE, DONE]
    assert kills.differences(kills.state_of(migrated), with_one) == ()


def test_a_migration_and_a_backfill(legacy: Database, with_one: kills.State) -> None:
    migration, backfill = at_once(legacy, kills.migrate_up, kills.backfill)
    assert migration == DONE
    assert backfill == DONE or backfill[1].startswith("the schema is not at 20260301_0300")
    kills.backfill(legacy.url)
    assert kills.differences(kills.state_of(legacy), with_one) == ()


def test_a_migration_that_repairs_and_a_backfill_that_needs_the_repair(
    migrated: Database, with_one: kills.State
) -> None:
    execute(migrated, "DROP INDEX idx_contents_relevance")
    migration, backfill = at_once(migrated, kills.migrate_up, kills.backfill)
    assert migration == DONE
    assert backfill == DONE or "missing: idx_contents_relevance" in backfill[1]
    kills.backfill(migrated.url)
    assert kills.differences(kills.state_of(migrated), with_one) == ()


def test_who_cannot_wait_any_longer_says_for_whom(migrated: Database) -> None:
    with migrated.exclusive(LOCK), pytest.raises(PipelineError) as refused:
        upgrade(migrated, max_wait=0.2)
    assert refused.value.exit_code == 5
    assert f"another run already works on {LOCK} (process " in refused.value.message
    with migrated.exclusive(STAGE), pytest.raises(PipelineError) as refused:
        perform_cut(migrated, "one", max_wait=0.2)
    assert refused.value.exit_code == 5
    assert f"another run already works on {STAGE} (process " in refused.value.message
