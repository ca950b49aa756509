"""Every claim fails where what it says is not so, and says what to do."""

import uuid

import psycopg
import pytest
from sqlalchemy import make_url, text

from temporal_pipeline.cli.verify import broken
from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.operations.verification import RULES, Claim, verify
from tests.operations.verification.world import World

# What nothing in the schema lets happen is done behind its back.
BEHIND = "SET LOCAL session_replication_role = replica;"
ACTIVE = "status = 'active' AND entity_id = :topic"
DRAFT = (
    "WITH draft AS (INSERT INTO analysis_periods (entity_type, entity_id, period_start, period_end, "
    "duration_hours, period_number, status, summary) "
    "VALUES ('topic', :other, '2026-02-01Z', '2026-02-02Z', 24, 7, 'draft', '') RETURNING id), "
    "kept AS (INSERT INTO temporal_pipeline.period_cut (cut_id, entity_type, entity_id, ready, period_id) "
    "SELECT {cut}, 'topic', :other, true, id FROM draft RETURNING period_id) "
)
FINISHED_CUT = "(SELECT max(id) FROM temporal_pipeline.cut WHERE kind = 'reanalysis')"
OPEN_CUT = "INSERT INTO temporal_pipeline.cut (run_id, instant, started_at) VALUES ('gone', now(), now());"
EVENT = (
    "INSERT INTO temporal_events (period_id, entity_type, entity_id, event_type, title, description, "
    "first_detected_at, metadata) "
)
PERIOD_OF_TOPIC = f"(SELECT id FROM analysis_periods WHERE {ACTIVE} AND period_number = 1)"
FIRST_CONTENT = "(SELECT id FROM contents WHERE topic_id = :other ORDER BY crawled_at LIMIT 1)"

DOES_NOT_HOLD = {
    "no_column_of_the_application_is_lost": "ALTER TABLE contents DROP COLUMN lang",
    "revision_is_at_head": "UPDATE alembic_version SET version_num = '20260301_0200'",
    "schema_is_as_defined": "DROP INDEX idx_contents_unowned",
    "extensions_are_installed": "DROP EXTENSION pg_trgm CASCADE",
    "no_index_is_invalid": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = CAST('idx_contents_period' AS regclass)"
    ),
    "every_constraint_is_validated": (
        "ALTER TABLE contents DROP CONSTRAINT valid_content_relevance, ADD CONSTRAINT valid_content_relevance "
        "CHECK (relevance_score >= 0 AND relevance_score <= 1) NOT VALID"
    ),
    "views_answer": "DROP VIEW v_period_timeline",
    "functions_answer": "DROP FUNCTION recompute_metrics_delta",
    "trend_view_is_populated": "REFRESH MATERIALIZED VIEW mv_period_metrics_trend WITH NO DATA",
    "contents_add_up": (
        f"{BEHIND} UPDATE contents SET analysis_period_id = gen_random_uuid() WHERE id = {FIRST_CONTENT}"
    ),
    "every_due_content_is_linked": f"UPDATE contents SET analysis_period_id = NULL WHERE id = {FIRST_CONTENT}",
    "relevance_scores_are_in_range": (
        "ALTER TABLE contents DROP CONSTRAINT valid_content_relevance; UPDATE contents SET relevance_score = 2"
    ),
    "every_pointer_goes_to_a_period_of_its_primary_owner": (
        f"UPDATE contents SET analysis_period_id = {PERIOD_OF_TOPIC} WHERE id = {FIRST_CONTENT}"
    ),
    "no_pointer_goes_to_a_superseded_period": (
        "UPDATE contents SET analysis_period_id = p.id FROM analysis_periods p "
        "WHERE p.status = 'superseded' AND contents.analysis_period_id = p.superseded_by"
    ),
    "no_pointer_goes_to_a_draft_of_a_finished_cut": (
        f"{BEHIND} {DRAFT.format(cut=FINISHED_CUT)} "
        f"UPDATE contents SET analysis_period_id = (SELECT period_id FROM kept) WHERE id = {FIRST_CONTENT}"
    ),
    "every_period_contains_its_contents": (
        f"UPDATE contents SET crawled_at = '2026-01-20Z' WHERE analysis_period_id = {PERIOD_OF_TOPIC}"
    ),
    "every_owner_of_contents_has_period_zero": (
        "UPDATE analysis_periods SET period_number = 5 WHERE entity_id = :other"
    ),
    "active_periods_do_not_overlap": (
        "ALTER TABLE analysis_periods DROP CONSTRAINT no_overlapping_periods; "
        f"UPDATE analysis_periods SET period_start = '2026-01-01Z' WHERE {ACTIVE}"
    ),
    "period_numbers_have_no_gap": (
        f"UPDATE analysis_periods SET period_number = 2 WHERE {ACTIVE} AND period_number = 1"
    ),
    "period_numbers_follow_time": (
        f"UPDATE analysis_periods SET period_number = 9 WHERE {ACTIVE} AND period_number = 0; "
        f"UPDATE analysis_periods SET period_number = 0 WHERE {ACTIVE} AND period_number = 1; "
        f"UPDATE analysis_periods SET period_number = 1 WHERE {ACTIVE} AND period_number = 9"
    ),
    "supersession_chains_end_in_a_standing_period": (
        "UPDATE analysis_periods SET superseded_by = NULL WHERE status = 'superseded'"
    ),
    "entity_counters_agree_with_periods": "UPDATE topics SET total_periods = 9 WHERE id = :topic",
    "content_count_equals_members": (
        f"UPDATE analysis_periods SET content_count = 1 WHERE {ACTIVE} AND period_number = 0"
    ),
    "no_content_is_in_two_periods_of_an_entity": (
        "INSERT INTO period_content_snapshots (period_id, content_id) "
        f"SELECT {PERIOD_OF_TOPIC}, content_id FROM period_content_snapshots s "
        f"JOIN analysis_periods p ON p.id = s.period_id WHERE p.{ACTIVE} AND period_number = 0 LIMIT 1"
    ),
    "no_finished_cut_left_a_draft": f"{DRAFT.format(cut=FINISHED_CUT)} SELECT * FROM kept",
    "every_reference_leads_somewhere": (
        f"{BEHIND} {EVENT} VALUES (gen_random_uuid(), 'topic', :topic, 'risk', '', '', now(), '{{}}')"
    ),
    "derived_rows_belong_to_the_entity_of_their_period": (
        f"{EVENT} VALUES ({PERIOD_OF_TOPIC}, 'topic', :other, 'risk', '', '', now(), '{{}}')"
    ),
    "every_volume_event_has_evidence": (
        f"{EVENT} VALUES ({PERIOD_OF_TOPIC}, 'topic', :topic, 'anomaly', '', '', now(), "
        '\'{"detector": "temporal_pipeline", "key": "volume_up"}\')'
    ),
    "event_weights_are_in_range": (
        f"WITH event AS ({EVENT} VALUES ({PERIOD_OF_TOPIC}, 'topic', :topic, 'anomaly', '', '', now(), "
        '\'{"detector": "temporal_pipeline", "evidence_at": "2026-01-09T00:00:00+00:00"}\') RETURNING id) '
        "INSERT INTO event_contents (event_id, content_id, added_at) "
        f"SELECT event.id, {FIRST_CONTENT}, '2026-01-09Z' FROM event"
    ),
    "effectiveness_scores_are_in_range": (
        "ALTER TABLE crawl_effectiveness DROP CONSTRAINT valid_avg_relevance; INSERT INTO crawl_effectiveness "
        "(period_id, entity_type, entity_id, platform, query, avg_relevance) "
        f"VALUES ({PERIOD_OF_TOPIC}, 'topic', :topic, 'x', 'trains', 2)"
    ),
    "every_measured_period_has_its_queries": (
        "INSERT INTO temporal_pipeline.period_stage (period_id, stage, method) "
        f"VALUES ({PERIOD_OF_TOPIC}, 'effectiveness', '')"
    ),
}
WARNS = {
    "every_prepared_content_has_an_answer_or_a_reason": (
        "UPDATE temporal_pipeline.prepared_content SET note = NULL"
    ),
    "application_periods_count_their_members": (
        "DELETE FROM temporal_pipeline.period_cut WHERE entity_id = :other; "
        "UPDATE analysis_periods SET content_count = 99 WHERE entity_id = :other"
    ),
    "every_period_is_frozen": f"DELETE FROM temporal_pipeline.period_stage WHERE period_id = {PERIOD_OF_TOPIC}",
    "no_cut_is_unfinished": OPEN_CUT,
    "no_draft_is_left": (
        f"{OPEN_CUT} {DRAFT.format(cut='(SELECT max(id) FROM temporal_pipeline.cut)')} SELECT * FROM kept"
    ),
    "no_entity_failed": (
        "INSERT INTO temporal_pipeline.problem (stage, entity_type, entity_id, reason, run_id) "
        "VALUES ('events', 'topic', :topic, 'too loud', 'run')"
    ),
    "every_crawl_task_of_a_measured_period_is_linked": (
        "INSERT INTO temporal_pipeline.period_stage (period_id, stage, method) "
        f"VALUES ({PERIOD_OF_TOPIC}, 'effectiveness', ''); INSERT INTO crawl_effectiveness "
        "(period_id, entity_type, entity_id, platform, query) "
        f"VALUES ({PERIOD_OF_TOPIC}, 'topic', :topic, 'x', 'agents')"
    ),
    "trend_view_agrees_with_periods": (
        "UPDATE analysis_periods SET metrics = '{\"total_contents\": 5}' WHERE entity_id = :topic"
    ),
}
# These need more than a statement, and have tests of their own below.
ELSEWHERE = {"the_application_may_use_the_new_tables", "trigrams_work_for_chinese"}


def test_every_claim_has_a_test_that_makes_it_fail() -> None:
    assert {rule.name for rule in RULES} == DOES_NOT_HOLD.keys() | WARNS.keys() | ELSEWHERE
    assert len({rule.name for rule in RULES}) == len(RULES)


def spoil(database: Database, world: World, statements: str) -> None:
    ids = {"topic": world.topic, "other": world.other_topic}
    with database.transaction() as connection:
        for statement in filter(None, map(str.strip, statements.split(";"))):
            connection.execute(text(statement), {k: v for k, v in ids.items() if f":{k}" in statement})


def found(database: Database, name: str) -> Claim:
    [claim] = [claim for claim in verify(database) if claim.name == name]
    return claim


@pytest.mark.parametrize("name", DOES_NOT_HOLD)
def test_it_does_not_hold(verified: Database, world: World, name: str) -> None:
    spoil(verified, world, DOES_NOT_HOLD[name])
    claims = verify(verified)
    [claim] = [claim for claim in claims if claim.name == name]
    assert claim.verdict == "does not hold"
    assert claim.offenders
    assert claim.remedy
    error = broken(claims)
    assert error is not None
    assert error.exit_code == 3
    assert name in error.message


@pytest.mark.parametrize("name", WARNS)
def test_it_is_a_warning(verified: Database, world: World, name: str) -> None:
    spoil(verified, world, WARNS[name])
    claims = verify(verified)
    [claim] = [claim for claim in claims if claim.name == name]
    assert claim.verdict == "warning"
    assert claim.holds
    assert claim.offenders
    assert claim.remedy
    assert broken(claims) is None


def test_an_application_that_may_not_use_the_new_tables_is_a_warning(verified: Database) -> None:
    role = f"application_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(libpq_url(verified), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role}")  # type: ignore[arg-type]
        try:
            connection.execute(f"ALTER TABLE contents OWNER TO {role}")  # type: ignore[arg-type]
            claim = found(verified, "the_application_may_use_the_new_tables")
            assert claim.verdict == "warning"
            assert {"role": role, "table": "analysis_periods", "privilege": "INSERT"} in claim.offenders
        finally:
            connection.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP ROLE {role}")  # type: ignore[arg-type]


def test_a_server_that_has_no_letters_but_latin_ones_is_a_warning(
    server_url: str, verified: Database
) -> None:
    """Trigrams are a matter of the database's character type, which no statement changes."""
    name = f"test_{uuid.uuid4().hex}"
    admin_url = make_url(server_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"  # type: ignore[arg-type]
        )
        database = Database(make_url(server_url).set(database=name).render_as_string(hide_password=False))
        try:
            with database.transaction() as connection:
                connection.execute(text("CREATE EXTENSION pg_trgm"))
            assert found(database, "trigrams_work_for_chinese").verdict == "warning"
        finally:
            database.dispose()
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "statements"),
    [
        # A cycle, and a chain that leads to a period of another number.
        (
            "supersession_chains_end_in_a_standing_period",
            f"UPDATE analysis_periods SET status = 'superseded', superseded_by = "
            f"(SELECT id FROM analysis_periods WHERE superseded_by IS NOT NULL) WHERE {ACTIVE} AND period_number = 0",
        ),
        (
            "supersession_chains_end_in_a_standing_period",
            f"UPDATE analysis_periods SET superseded_by = {PERIOD_OF_TOPIC} WHERE status = 'superseded'",
        ),
        # An active period that claims to have a successor.
        (
            "supersession_chains_end_in_a_standing_period",
            f"UPDATE analysis_periods SET superseded_by = {PERIOD_OF_TOPIC} WHERE entity_id = :other",
        ),
        # A member too few although its content points here; before the period's start, and not marked as late.
        (
            "content_count_equals_members",
            "DELETE FROM period_content_snapshots s USING analysis_periods p "
            "WHERE p.id = s.period_id AND p.entity_id = :other AND p.period_number = 0",
        ),
        (
            "every_period_contains_its_contents",
            "UPDATE period_content_snapshots SET contribution_type = 'general'",
        ),
        # Whoever shares contents with a topic has a period as well.
        (
            "every_owner_of_contents_has_period_zero",
            "DELETE FROM analysis_periods WHERE entity_type = 'user'",
        ),
        # Two active periods with one number.
        (
            "period_numbers_have_no_gap",
            "DROP INDEX unique_active_period_number; "
            f"UPDATE analysis_periods SET period_number = 0 WHERE {ACTIVE} AND period_number = 1",
        ),
        # References of every other table.
        (
            "every_reference_leads_somewhere",
            f"{BEHIND} UPDATE tasks SET period_id = gen_random_uuid() WHERE id = (SELECT id FROM tasks LIMIT 1)",
        ),
        (
            "every_reference_leads_somewhere",
            f"{BEHIND} INSERT INTO period_content_snapshots (period_id, content_id) "
            f"VALUES (gen_random_uuid(), {FIRST_CONTENT})",
        ),
    ],
)
def test_it_does_not_hold_for_other_reasons_either(
    verified: Database, world: World, name: str, statements: str
) -> None:
    spoil(verified, world, statements)
    assert found(verified, name).verdict == "does not hold"


@pytest.mark.parametrize(
    ("name", "statements"),
    [
        ("every_pointer_goes_to_a_period_of_its_primary_owner", ""),
        (
            "every_period_contains_its_contents",
            "UPDATE contents SET crawled_at = crawled_at + interval '9 days'",
        ),
        ("period_numbers_have_no_gap", "UPDATE analysis_periods SET period_number = period_number + 100"),
        ("supersession_chains_end_in_a_standing_period", "UPDATE analysis_periods SET superseded_by = NULL"),
    ],
)
def test_what_the_application_does_with_its_own_periods_is_a_warning(
    verified: Database, world: World, name: str, statements: str
) -> None:
    stray = f"UPDATE contents SET analysis_period_id = {PERIOD_OF_TOPIC} WHERE id = {FIRST_CONTENT}"
    spoil(verified, world, statements or stray)
    spoil(verified, world, "DELETE FROM temporal_pipeline.period_cut")
    assert found(verified, name).verdict == "warning"


def test_contents_of_a_topic_that_is_gone_may_stay_where_they_are(verified: Database, world: World) -> None:
    spoil(verified, world, "DELETE FROM topics WHERE id = :topic")
    assert broken(verify(verified)) is None


def test_what_cannot_be_asked_does_not_hold_and_hinders_no_other_claim(
    verified: Database, world: World
) -> None:
    spoil(verified, world, "ALTER TABLE temporal_pipeline.problem RENAME COLUMN reason TO why")
    claims = {claim.name: claim for claim in verify(verified)}
    assert claims["no_entity_failed"].verdict == "does not hold"
    assert "reason" in str(claims["no_entity_failed"].offenders)
    assert "doctor" in claims["no_entity_failed"].remedy
    broken_names = [claim.name for claim in claims.values() if not claim.holds]
    assert broken_names == ["schema_is_as_defined", "no_entity_failed"]


def test_contents_that_the_application_held_are_a_warning(verified: Database, world: World) -> None:
    spoil(verified, world, DOES_NOT_HOLD["every_due_content_is_linked"])
    spoil(verified, world, "UPDATE temporal_pipeline.cut SET held = 1")
    claim = found(verified, "every_due_content_is_linked")
    assert claim.verdict == "warning"
    assert claim.counts["held_by_the_application"] == 1
