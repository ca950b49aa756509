"""Errors are values: each code, and what it says to do."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url, text

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.query import Failure, Timeline
from temporal_pipeline.query.asking import Refusal
from temporal_pipeline.query.session import reading
from temporal_pipeline.settings import PROJECT_ROOT
from tests.crosshot_rows import add_topic, add_user, at
from tests.query.world import add_period, code, ok

QUESTIONS: list[Callable[[Timeline, str], object]] = [
    Timeline.query_period_timeline,
    Timeline.compare_periods,
    Timeline.query_contents_by_timerange,
    Timeline.get_unresolved_events,
    Timeline.search_events,
    Timeline.query_effectiveness,
]
of_every_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.__name__)


def failure(answer: object) -> Failure:
    assert isinstance(answer, Failure), answer
    return answer


@of_every_question
def test_an_unknown_entity_and_the_nearest_names(
    timeline: Timeline, database: Database, question: Callable[[Timeline, str], object]
) -> None:
    assert code(question(timeline, "AI agents")) == "unknown_entity"
    with database.transaction() as c:
        add_topic(c, "AI agents"), add_topic(c, "人工智能")
    error = failure(question(timeline, "ai agent")).error
    assert (error.code, error.choices[0]) == ("unknown_entity", "AI agents")
    for nobody in ("", "nul \x00", str(uuid.uuid4()), "user:AI agents"):
        assert code(question(timeline, nobody)) in ("unknown_entity", "invalid_argument")


@of_every_question
def test_an_entity_without_periods(
    timeline: Timeline, database: Database, question: Callable[..., object]
) -> None:
    with database.transaction() as c:
        topic = add_topic(c)
    assert code(question(timeline, topic)) == "no_periods"
    with database.transaction() as c:
        add_period(c, topic, 0, 0, 6)
    assert not isinstance(question(timeline, topic), Failure)
    assert code(question(timeline, topic, as_of=at(5))) == "no_periods"


def test_a_name_that_two_bear(timeline: Timeline, database: Database) -> None:
    with database.transaction() as c:
        topic, user = add_topic(c, "ada"), add_user(c, "ada")
        for kind, entity in (("topic", topic), ("user", user)):
            add_period(c, entity, 0, 0, 6, entity_type=kind)
    error = failure(timeline.query_period_timeline("ada")).error
    assert error.code == "ambiguous_entity"
    assert error.choices == [f"topic:{topic}", f"user:{user}"]
    for unambiguous in (error.choices[1], "user:ada", str(user)):
        assert ok(timeline.query_period_timeline(unambiguous)).entity.entity_id == user
    assert ok(timeline.query_period_timeline("ada", entity_type="user")).entity.entity_id == user
    assert code(timeline.query_period_timeline("ada", entity_type="group")) == "invalid_argument"


@of_every_question
def test_a_schema_that_is_not_there(
    legacy_database: Database, question: Callable[[Timeline, str], object]
) -> None:
    error = failure(question(Timeline(legacy_database), "AI agents")).error
    assert error.code == "schema_not_at_head"
    assert "temporal-pipeline migrate" in error.hint


def test_a_schema_that_lacks_the_last_revision(database: Database) -> None:
    from temporal_pipeline.defs.schema.upgrade import downgrade

    with database.transaction() as c:
        topic = add_topic(c)
    downgrade(database, "-1")
    assert code(Timeline(database).query_period_timeline(topic)) == "schema_not_at_head"


@of_every_question
def test_a_server_that_is_not_there(question: Callable[[Timeline, str], object]) -> None:
    error = failure(question(Timeline(Database("postgresql://u:secret@127.0.0.1:1/x")), "AI agents")).error
    assert error.code == "database_unavailable"
    assert "secret" not in error.message + error.hint


def test_a_question_takes_five_seconds_at_the_most_and_cannot_write(database: Database) -> None:
    with reading(database) as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "5s"
        assert connection.scalar(text("SHOW transaction_read_only")) == "on"
        assert connection.scalar(text("SHOW transaction_isolation")) == "repeatable read"
    with pytest.raises(Refusal) as error, reading(database) as connection:
        connection.execute(text("SET LOCAL statement_timeout = '10ms'"))
        connection.execute(text("SELECT pg_sleep(5)"))
    assert error.value.error.code == "database_unavailable"
    assert "longer than 5 seconds" in error.value.error.message


@pytest.fixture
def analyst(database: Database) -> Iterator[Database]:
    """The database as a role sees it that may do what docs/configuration.md grants, once that is granted."""
    page = (PROJECT_ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    statements = next(b for b in page.split("```sql\n") if "CREATE ROLE analyst" in b).partition("```")[0]
    name = f"analyst_{uuid.uuid4().hex[:8]}"
    statements = statements.replace("analyst", name).replace("FOR ROLE crosshot ", "")
    with psycopg.connect(libpq_url(database), autocommit=True) as admin:
        admin.execute(statements.encode())
        admin.execute(sql.SQL("ALTER ROLE {} PASSWORD 'looks'").format(sql.Identifier(name)))
        way = make_url(database.url).set(username=name, password="looks")
        seen = Database(way.render_as_string(hide_password=False))
        yield seen
        seen.dispose()
        admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


@of_every_question
def test_a_role_that_only_looks_may_ask(
    database: Database, analyst: Database, question: Callable[[Timeline, str], object]
) -> None:
    with database.transaction() as c:
        add_period(c, add_topic(c, "AI agents"), 0, 0, 6)
    assert not isinstance(question(Timeline(analyst), "AI agents"), Failure)
    with database.transaction() as c:
        c.execute(text("REVOKE SELECT ON analysis_periods FROM PUBLIC"))
        role = make_url(analyst.url).username
        c.execute(text(f'REVOKE SELECT ON analysis_periods FROM "{role}"'))
    error = failure(question(Timeline(analyst), "AI agents")).error
    assert error.code == "database_unavailable"
    assert "permission denied" in error.message


def test_it_imports_no_dagster() -> None:
    program = (
        "import sys, temporal_pipeline.query\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('dagster', 'alembic', 'pandas')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
