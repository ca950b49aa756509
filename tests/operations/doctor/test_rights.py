"""What a role lacks is found, and the command in the remedy cures it."""

import shlex
import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, make_url

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.upgrade import upgrade
from temporal_pipeline.operations.doctor import rights, server
from temporal_pipeline.operations.doctor.examination import examine
from temporal_pipeline.operations.doctor.finding import Status, Verdict
from tests.migrations.tools import execute
from tests.operations.doctor.conftest import examined, name_of, not_ok, role_of

Examination = Callable[[Connection], Verdict]


def _statements_for_psql(remedy: str, database: Database) -> str:
    said, _, arguments = remedy.partition("as a superuser: ")
    assert said == ""
    program, dash_d, name, dash_c, statements = shlex.split(arguments)
    assert (program, dash_d, name, dash_c) == ("psql", "-d", name_of(database), "-c")
    return statements


def test_the_owner_of_the_tables_is_fit_before_and_after_a_migration(owner: Database) -> None:
    for _ in range(2):
        assert not_ok(examine(owner)) == []
        upgrade(owner)


@pytest.mark.parametrize("examination", [rights.right_to_create, server.extensions])
def test_without_create_on_the_database(
    legacy_database: Database, owner: Database, examination: Examination
) -> None:
    execute(legacy_database, f'REVOKE CREATE ON DATABASE "{name_of(owner)}" FROM {role_of(owner)}')
    verdict = examined(owner, examination)
    assert verdict.status is Status.FAIL
    execute(legacy_database, _statements_for_psql(verdict.remedy, owner))
    assert examined(owner, rights.right_to_create).status is Status.OK
    assert examined(owner, server.extensions).status is Status.OK
    upgrade(owner)


def test_without_create_on_the_schema(legacy_database: Database, owner: Database) -> None:
    execute(legacy_database, f"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role_of(owner)}")
    verdict = examined(owner, rights.right_to_create)
    assert verdict.status is Status.FAIL
    execute(legacy_database, verdict.remedy.removeprefix("as its owner: "))
    assert examined(owner, rights.right_to_create).status is Status.OK


def test_our_schema_made_by_somebody_else(legacy_database: Database, owner: Database) -> None:
    execute(legacy_database, "CREATE SCHEMA temporal_pipeline")
    verdict = examined(owner, rights.right_to_create)
    assert verdict.status is Status.FAIL
    execute(legacy_database, verdict.remedy.removeprefix("as a superuser: "))
    assert examined(owner, rights.right_to_create).status is Status.OK


def test_tables_of_another_owner(legacy_database: Database, owner: Database) -> None:
    other = f"other_{uuid.uuid4().hex[:8]}"
    execute(legacy_database, f"CREATE ROLE {other}")
    try:
        execute(legacy_database, f"ALTER TABLE users OWNER TO {other}; ALTER TABLE tasks OWNER TO {other}")
        verdict = examined(owner, rights.ownership)
        assert verdict.status is Status.FAIL
        assert verdict.details == (f"of {other}: tasks, users",)
        assert verdict.remedy == f"run it as {other}"
        execute(legacy_database, "ALTER TABLE tasks OWNER TO CURRENT_USER")
        verdict = examined(owner, rights.ownership)
        assert verdict.remedy.startswith("as a superuser: GRANT ")
        execute(legacy_database, f"GRANT {other} TO {role_of(owner)}")
        execute(legacy_database, f"ALTER TABLE tasks OWNER TO {role_of(owner)}")
        assert examined(owner, rights.ownership).status is Status.OK
    finally:
        execute(legacy_database, f"REASSIGN OWNED BY {other} TO CURRENT_USER; DROP ROLE {other}")


def test_views_and_functions_of_another_owner(legacy_database: Database, owner: Database) -> None:
    upgrade(owner)
    execute(legacy_database, "ALTER VIEW v_period_timeline OWNER TO CURRENT_USER")
    execute(legacy_database, "ALTER FUNCTION recompute_metrics_delta OWNER TO CURRENT_USER")
    verdict = examined(owner, rights.ownership)
    assert verdict.status is Status.FAIL
    assert verdict.details[0].endswith(": v_period_timeline, recompute_metrics_delta")


def test_rights_that_an_owner_took_away_from_itself(owner: Database) -> None:
    execute(owner, f"REVOKE UPDATE, REFERENCES ON contents FROM {role_of(owner)}")
    verdict = examined(owner, rights.table_rights)
    assert verdict.status is Status.FAIL
    assert verdict.remedy == f"GRANT UPDATE, REFERENCES ON contents TO {role_of(owner)}"
    execute(owner, verdict.remedy)
    assert examined(owner, rights.table_rights).status is Status.OK


def test_sessions_of_others_hidden_is_a_warning(legacy_database: Database, owner: Database) -> None:
    execute(legacy_database, f"REVOKE pg_read_all_stats FROM {role_of(owner)}")
    verdict = examined(owner, rights.sees_other_sessions)
    assert verdict.status is Status.WARN
    execute(legacy_database, verdict.remedy.removeprefix("as a superuser: "))
    assert examined(owner, rights.sees_other_sessions).status is Status.OK


def test_tables_beside_the_search_path(legacy_database: Database) -> None:
    execute(legacy_database, "CREATE SCHEMA mine")
    url = make_url(legacy_database.url)
    execute(legacy_database, f'ALTER DATABASE "{url.database}" SET search_path = mine, public')
    elsewhere = Database(legacy_database.url)
    verdict = examined(elsewhere, rights.search_path)
    elsewhere.dispose()
    assert verdict.status is Status.FAIL
    assert verdict.found == "new tables would go into schema mine, the application's are elsewhere"
    execute(legacy_database, verdict.remedy)
    cured = Database(legacy_database.url)
    assert examined(cured, rights.search_path).found == "schema public"
    cured.dispose()


def test_what_may_not_be_read_is_a_warning_with_the_reason(owner: Database) -> None:
    upgrade(owner)
    execute(owner, f"REVOKE ALL ON alembic_version FROM {role_of(owner)}")
    findings = {finding.name: finding.verdict for finding in examine(owner)}
    for name in ("schema_revision", "schema_definition"):
        assert findings[name].status is Status.WARN
        assert findings[name].found == ("could not be examined: permission denied for table alembic_version")
        assert findings[name].remedy == "run doctor as the owner of the application's tables"
    assert findings["table_rights"].status is Status.FAIL
    assert findings["autovacuum"].status is Status.OK


def test_a_schema_of_ours_that_we_may_not_enter(legacy_database: Database, owner: Database) -> None:
    upgrade(owner)
    execute(legacy_database, "ALTER SCHEMA temporal_pipeline OWNER TO CURRENT_USER")
    execute(legacy_database, f"REVOKE ALL ON SCHEMA temporal_pipeline FROM {role_of(owner)}")
    findings = {finding.name: finding.verdict for finding in examine(owner)}
    assert findings["connection"].status is Status.OK
    assert findings["right_to_create"].status is Status.FAIL
    assert findings["schema_definition"].status is not Status.OK
