"""Verification of databases in which all is well, and of those that are not migrated."""

import threading
import uuid
from contextlib import closing

import psycopg

from temporal_pipeline.cli.verify import broken
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.defs.events import reading
from temporal_pipeline.operations.verification import derived, verify
from temporal_pipeline.operations.verification.schema import columns_of_the_application
from tests.crosshot_rows import add_content, add_topic, add_user, at
from tests.defs.periods.world import cut, digest, rows
from tests.operations.verification.world import finish


def test_everything_holds_after_a_period_one_and_a_reanalysis(verified: Database) -> None:
    claims = {claim.name: claim for claim in verify(verified)}
    assert [claim for claim in claims.values() if claim.verdict != "holds"] == []
    assert all(claim.remedy == "" and claim.counts["offenders"] == 0 for claim in claims.values())
    assert claims["contents_add_up"].counts == {
        "total": 18,
        "linked": 15,
        "waiting": 1,
        "without_owner": 1,
        "in_the_future": 1,
        "offenders": 0,
    }
    assert claims["contents_add_up"].note == "1 wait: its crawl is running"
    zero = claims["every_owner_of_contents_has_period_zero"].counts
    assert (zero["topics"], zero["users"]) == (2, 1)
    assert "20260301_0300" in claims["revision_is_at_head"].note


def test_everything_holds_on_a_fresh_schema(database: Database) -> None:
    with database.transaction() as connection:
        add_content(connection, topic=add_topic(connection))
    claims = verify(database)
    assert [claim for claim in claims if claim.verdict != "holds"] == []
    zero = next(claim for claim in claims if claim.name == "every_owner_of_contents_has_period_zero")
    assert zero.counts["still_waiting"] == 1
    assert zero.note == "1 wait: the next update links them"


def test_everything_holds_directly_after_the_backfill(database: Database) -> None:
    with database.transaction() as connection:
        topic, user = add_topic(connection), add_user(connection)
        for hour in range(3):
            add_content(connection, topic=topic, user=user, crawled_at=at(hour))
    cut(database)
    claims = verify(database)
    assert broken(claims) is None
    # Members are frozen, the view is refreshed by an update.
    expected = {
        "every_period_is_frozen",
        "trend_view_agrees_with_periods",
        "every_prepared_content_has_an_answer_or_a_reason",
    }
    assert {claim.name for claim in claims if claim.verdict == "warning"} == expected
    finish(database)
    assert [claim for claim in verify(database) if claim.verdict != "holds"] == []


def test_only_the_schema_is_examined_when_that_is_asked_for(verified: Database) -> None:
    names = [claim.name for claim in verify(verified, only="schema")]
    assert "schema_is_as_defined" in names
    assert "contents_add_up" not in names


def test_a_legacy_database_is_told_to_migrate(legacy_database: Database) -> None:
    claims = {claim.name: claim for claim in verify(legacy_database)}
    assert claims["no_column_of_the_application_is_lost"].holds
    assert not claims["revision_is_at_head"].holds
    assert "contents_add_up" not in claims
    error = broken(list(claims.values()))
    assert error is not None
    assert error.exit_code == 3
    assert error.hint == "run `temporal-pipeline migrate`"


def test_a_later_revision_of_the_application_is_as_good(verified: Database) -> None:
    with verified.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '20260415_0100'")
    claims = {claim.name: claim for claim in verify(verified)}
    assert broken(list(claims.values())) is None
    assert claims["revision_is_at_head"].note == "revision 20260415_0100"


def test_a_database_of_somebody_else_is_told_apart(empty_database: Database) -> None:
    error = broken(verify(empty_database))
    assert error is not None
    assert "no_column_of_the_application_is_lost" in error.message
    assert "DATABASE_URL" in error.hint


def test_every_column_of_the_application_is_known(legacy_database: Database) -> None:
    there = rows(
        legacy_database,
        "SELECT table_name || '.' || column_name AS name FROM information_schema.columns "
        "WHERE table_schema = 'public'",
    )
    assert sorted(row.name for row in there) == sorted(columns_of_the_application())


def test_a_table_that_only_some_databases_have_may_be_missing(verified: Database) -> None:
    with verified.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE alerts")
    assert broken(verify(verified)) is None


def test_the_counts_agree_while_a_crawler_writes(verified: Database) -> None:
    """Each claim adds up what other claims' queries counted, all at one moment."""
    stop, written = threading.Event(), []

    def crawl() -> None:
        with closing(psycopg.connect(libpq_url(verified), autocommit=True)) as connection:
            while not stop.is_set():
                identity = uuid.uuid4()
                connection.execute(
                    "INSERT INTO contents (id, task_id, topic_id, platform, platform_content_id, source_url, "
                    "crawled_at) SELECT %s, task_id, topic_id, platform, %s, source_url, crawled_at "
                    "FROM contents WHERE topic_id IS NOT NULL LIMIT 1",
                    [identity, str(identity)],
                )
                if len(written) % 3 == 0:
                    connection.execute("DELETE FROM contents WHERE id = %s", [identity])
                written.append(identity)

    crawler = threading.Thread(target=crawl)
    crawler.start()
    try:
        totals = set()
        for _ in range(5):
            claims = verify(verified)
            assert broken(claims) is None
            totals.add(next(claim for claim in claims if claim.name == "contents_add_up").counts["total"])
    finally:
        stop.set()
        crawler.join()
    assert len(totals) > 1


def test_nothing_is_written(verified: Database) -> None:
    before = digest(verified)
    verify(verified)
    assert digest(verified) == before


def test_the_mark_of_our_events_is_the_one_that_is_written() -> None:
    assert derived.DETECTOR == reading.DETECTOR
