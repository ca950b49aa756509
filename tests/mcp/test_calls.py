"""Calls that are cancelled, that come at once, or whose database goes away; the server goes on answering."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR
from psycopg import sql
from psycopg.rows import TupleRow
from sqlalchemy import make_url

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.mcp.calls import AT_ONCE
from tests.mcp.clients import TOKEN, Asking, until
from tests.mcp.conftest import PASSWORD
from tests.mcp.page import WHOM
from tests.mcp.test_tools import answered, refused
from tests.mcp.world import NAME

# What a statement may take is 5 s: one that ends sooner was stopped.
SOONER = timedelta(seconds=4)
Session = psycopg.Connection[TupleRow]


@contextmanager
def table_that_nobody_may_read(world: Database) -> Iterator[Session]:
    """Every question about periods waits inside the database; yields another session, to look on."""
    url = libpq_url(world)
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as looking:
        holder.execute("LOCK TABLE analysis_periods IN ACCESS EXCLUSIVE MODE")
        yield looking


def waiting(looking: Session) -> dict[int, datetime]:
    """The sessions of servers that wait for a table, and since when their statement runs."""
    rows = looking.execute(
        "SELECT pid, query_start FROM pg_stat_activity WHERE datname = current_database() "
        "AND wait_event_type = 'Lock' AND application_name = 'temporal_pipeline'"
    )
    return dict(rows.fetchall())


def answers_still(asking: Asking) -> bool:
    """Whether a question that needs no locked table has its answer."""
    return bool(refused(asking("query_period_timeline", entity="nobody"))["code"] == "unknown_entity")


def test_a_cancelled_call_stops_its_statement(asking: Asking, world: Database) -> None:
    with table_that_nobody_may_read(world) as looking:
        call = asking.begin("query_period_timeline", entity=NAME)
        [(pid, began)] = until(lambda: waiting(looking) or None).items()
        call.cancel()
        assert answers_still(asking)
        until(lambda: True if not waiting(looking) else None)
        [(ended,)] = until(
            lambda: (
                looking.execute(
                    "SELECT state_change FROM pg_stat_activity WHERE pid = %s AND state = 'idle'", [pid]
                ).fetchall()
                or None
            )
        )
        assert ended - began < SOONER
    assert answered(asking("query_period_timeline", entity=NAME))["items"]


def test_calls_come_at_once_and_no_more_than_some_reach_the_database(asking: Asking, world: Database) -> None:
    with table_that_nobody_may_read(world) as looking:
        calls = [asking.begin("query_period_timeline", entity=NAME) for _ in range(AT_ONCE + 2)]
        until(lambda: True if len(waiting(looking)) == AT_ONCE else None)
        with pytest.raises(TimeoutError):
            until(lambda: True if len(waiting(looking)) > AT_ONCE else None, seconds=0.5)
        # Also one that waits for its turn can be cancelled.
        calls.pop().cancel()
    assert all(len(answered(call.result(timeout=30))["items"]) == 2 for call in calls)


def test_a_database_that_goes_away_and_comes_back(asking: Asking, world: Database) -> None:
    name = make_url(world.url).database or ""
    permission = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    admin_url = make_url(world.url).set(drivername="postgresql", database="postgres")
    with psycopg.connect(admin_url.render_as_string(hide_password=False), autocommit=True) as admin:
        with table_that_nobody_may_read(world) as looking:
            call = asking.begin("compare_periods", **WHOM)
            [pid] = until(lambda: waiting(looking) or None)
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
            assert refused(call.result(timeout=30))["code"] == "database_unavailable"
        answered(asking("compare_periods", **WHOM))
        admin.execute(permission.format(sql.Identifier(name), sql.SQL("false")))
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            told = asking("compare_periods", **WHOM)
        finally:
            admin.execute(permission.format(sql.Identifier(name), sql.SQL("true")))
    assert refused(told)["code"] == "database_unavailable"
    printed = told.model_dump_json() + asking.log.read_text()
    assert PASSWORD not in printed
    assert TOKEN not in printed
    answered(asking("compare_periods", **WHOM))


def test_a_mistake_of_the_servers_is_told_and_ends_nothing(asking: Asking, world: Database) -> None:
    with table_of_another_shape(world), pytest.raises(MCPError, match="a mistake of the server's") as error:
        asking("get_unresolved_events", **WHOM)
    assert error.value.code == INTERNAL_ERROR
    assert "get_unresolved_events: ValidationError: " in asking.log.read_text()
    assert answered(asking("get_unresolved_events", **WHOM))["items"]


@contextmanager
def table_of_another_shape(world: Database) -> Iterator[None]:
    """Events have a severity that we do not know, as if the application had gone on without us."""
    with psycopg.connect(libpq_url(world), autocommit=True) as owner:
        owner.execute("ALTER TABLE temporal_events DROP CONSTRAINT IF EXISTS valid_severity")
        owner.execute("UPDATE temporal_events SET severity = 'fatal' WHERE severity = 'warning'")
        try:
            yield
        finally:
            owner.execute("UPDATE temporal_events SET severity = 'warning' WHERE severity = 'fatal'")
