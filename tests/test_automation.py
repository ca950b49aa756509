"""A step is tried again after what passes by itself, and never after bad data or wrong usage."""

import inspect
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from temporal_pipeline import automation, problems
from temporal_pipeline.automation import WRITERS_AT_ONCE, WRITES, limit_writers, retried
from temporal_pipeline.database import Database
from temporal_pipeline.definitions import definitions
from temporal_pipeline.defs.periods.assets import period_zero
from temporal_pipeline.entities import Entity
from temporal_pipeline.errors import PipelineError, ServerGone
from temporal_pipeline.holding import hold
from temporal_pipeline.scope import Scope
from temporal_pipeline.transient import is_transient
from tests.crosshot_rows import add_content, add_topic, at, mark_prepared
from tests.dagster_storage import stored_instance
from tests.defs.periods.world import periods_of


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automation, "RETRY_AFTER_SECONDS", (0, 0))


def failing(sql: str, times: int) -> tuple[list[int], Callable[[Database], None]]:
    """A step that executes `sql` so many times before it succeeds; and its tries."""
    tries: list[int] = []

    def step(database: Database) -> None:
        tries.append(len(tries))
        with database.transaction() as connection:
            connection.execute(text(sql if len(tries) <= times else "SELECT 1"))

    return tries, step


def materialize(database: Database, step: Callable[[Database], None]) -> dg.ExecuteInProcessResult:
    @dg.asset
    @retried
    def tried(database: dg.ResourceParam[Database]) -> None:
        step(database)

    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [tried], resources={"database": database}, instance=instance, raise_on_error=False
        )


def raising(state: str) -> str:
    return f"DO $$ BEGIN RAISE 'planned' USING ERRCODE = '{state}'; END $$"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_terminate_backend(pg_backend_pid())",
        raising("40P01"),
        raising("40001"),
        raising("57P03"),
        raising("08006"),
    ],
)
def test_what_passes_is_tried_again(database: Database, sql: str) -> None:
    tries, step = failing(sql, times=2)
    result = materialize(database, step)
    assert result.success
    assert tries == [0, 1, 2]
    assert sum(event.is_step_up_for_retry for event in result.all_events) == 2


def test_what_does_not_pass_in_time_is_told_as_it_was(database: Database) -> None:
    tries, step = failing(raising("40P01"), times=5)
    result = materialize(database, step)
    assert not result.success
    assert tries == [0, 1, 2]
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert "DeadlockDetected" in str(failure.error)


@pytest.mark.parametrize("sql", ["INSERT INTO topics (name) VALUES (NULL)", "SELECT 1/0", raising("P0001")])
def test_bad_data_is_not_tried_again(database: Database, sql: str) -> None:
    tries, step = failing(sql, times=1)
    assert not materialize(database, step).success
    assert tries == [0]


def test_wrong_usage_is_not_tried_again(database: Database) -> None:
    tries = []

    def step(_: Database) -> None:
        tries.append(1)
        raise PipelineError("no such topic", exit_code=2)

    assert not materialize(database, step).success
    assert tries == [1]


def test_a_step_whose_session_is_ended_half_way_succeeds_at_the_second_try(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        add_content(connection, topic=topic, crawled_at=at(1))
        mark_prepared(connection)
        # The first attempt to close a period costs its session, as a crash of the server would.
        connection.execute(
            text("""
                CREATE SEQUENCE attempts;
                CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF nextval('attempts') = 1 THEN
                        PERFORM pg_terminate_backend(pg_backend_pid());
                    END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER crash BEFORE UPDATE ON analysis_periods FOR EACH ROW EXECUTE FUNCTION crash();
            """)
        )
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [period_zero],
            resources={"database": database, "scope": Scope()},
            selection=dg.AssetSelection.assets(period_zero),
            instance=instance,
        )
    assert [event.step_key for event in result.all_events if event.is_step_up_for_retry] == ["period_zero"]
    [period] = periods_of(database, topic)
    assert (period.status, period.content_count) == ("active", 1)
    with database.transaction() as connection:
        assert problems.of_stage(connection) == []


def test_a_lost_connection_is_no_fault_of_the_entity(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
    with pytest.raises(DBAPIError) as lost, database.transaction() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    with pytest.raises(DBAPIError):
        problems.record(database, "periods", Entity("topic", topic, "one"), lost.value, "run")
    with database.transaction() as connection:
        assert problems.of_stage(connection) == []


def test_a_server_that_is_not_there_may_come_back_and_a_wrong_password_may_not(database: Database) -> None:
    def connect(url: str) -> PipelineError:
        nowhere = Database(url)
        with pytest.raises(PipelineError) as error, nowhere.transaction():
            pass
        nowhere.dispose()
        return error.value

    assert is_transient(connect("postgresql://me:hush@127.0.0.1:1/none"))
    assert not is_transient(connect(database.url.replace("/test_", "/no_such_")))
    with database.transaction() as other, pytest.raises(ServerGone), hold(database, "anything", 0) as held:
        pid = held.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        while other.execute(text("SELECT FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid}).rowcount:
            other.execute(text("SELECT pg_stat_clear_snapshot()"))
        held.confirm()


def test_dagster_sees_the_parameters_of_a_step() -> None:
    def step(context: dg.AssetExecutionContext, database: dg.ResourceParam[Database]) -> None:
        """What it does."""

    assert inspect.signature(retried(step)) == inspect.signature(step)
    assert retried(step).__doc__ == "What it does."


def test_the_pool_gets_its_limit_once_and_keeps_what_a_person_set(
    server_url: str, database: Database, tmp_path: Path
) -> None:
    with stored_instance(server_url, database, tmp_path) as instance:
        storage = instance.event_log_storage
        pools = instance.get_concurrency_config().pool_config
        assert (pools.pool_granularity, pools.default_pool_limit) == (PoolGranularity.RUN, WRITERS_AT_ONCE)
        limit_writers(instance)
        limits = {pool.name: (pool.limit, pool.from_default) for pool in storage.get_pool_limits()}
        assert limits == {WRITES: (WRITERS_AT_ONCE, False)}
        storage.set_concurrency_slots(WRITES, 3)
        limit_writers(instance)
        assert [pool.limit for pool in storage.get_pool_limits()] == [3]


def test_the_queue_knows_which_runs_write() -> None:
    defs = definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        for job, pools in (
            ("update", {WRITES}),
            ("refresh", {WRITES}),
            ("maintain", {WRITES}),
            ("verify", None),
        ):
            run = instance.create_run_for_job(defs.resolve_job_def(job))
            assert (run.run_op_concurrency.all_pools if run.run_op_concurrency else None) == pools, job
