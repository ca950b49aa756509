"""Dagster's own database: where it is, how it comes to be, and when it is refused."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from temporal_pipeline import dagster_home
from temporal_pipeline.dagster_home import (
    dagster_url,
    ensure_dagster_database,
    environment,
    last_run,
    libpq_url,
)
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError
from tests.conftest import temporary_database


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DAGSTER_DATABASE_URL", raising=False)
    monkeypatch.setenv("TEMPORAL_PIPELINE_HOME", str(tmp_path / "home"))


@pytest.fixture
def default_name(monkeypatch: pytest.MonkeyPatch, empty_database: Database) -> Iterator[str]:
    """A name of our own for the database that Dagster gets by default: the server may be somebody's."""
    name = f"dagster_{uuid.uuid4().hex[:12]}"
    monkeypatch.setattr(dagster_home, "DATABASE", name)
    yield name
    with psycopg.connect(libpq_url(empty_database), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def test_by_default_it_lies_beside_the_applications(empty_database: Database) -> None:
    url, ours = make_url(dagster_url(empty_database)), make_url(empty_database.url)
    assert url.drivername == "postgresql+psycopg2"
    assert url.database == "dagster"
    assert (url.host, url.port, url.query) == (ours.host, ours.port, ours.query)


def test_any_spelling_of_the_variable_will_do(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_DATABASE_URL", "postgres://me:p%40ss@db.example/runs")
    assert dagster_url(empty_database) == "postgresql+psycopg2://me:p%40ss@db.example/runs"


def test_a_wrong_variable_is_named_and_not_repeated(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_DATABASE_URL", "mysql://me:hush@localhost/runs")
    with pytest.raises(PipelineError, match=r"^DAGSTER_DATABASE_URL names 'mysql'") as error:
        dagster_url(empty_database)
    assert error.value.exit_code == 2
    assert "hush" not in str(error.value)


def test_never_in_the_applications_own_database(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_DATABASE_URL", libpq_url(empty_database))
    with pytest.raises(PipelineError, match="the application's own database") as error:
        ensure_dagster_database(empty_database)
    assert error.value.exit_code == 2


def test_it_is_made_on_first_use_also_by_several_at_once(empty_database: Database, default_name: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        urls = list(pool.map(lambda _: ensure_dagster_database(empty_database), range(6)))
    assert set(urls) == {dagster_url(empty_database)}
    with psycopg.connect(urls[0].replace("+psycopg2", "")) as connection:
        assert connection.info.dbname == default_name


def test_one_that_keeps_the_runs_of_another_application_database_is_refused(
    empty_database: Database, server_url: str, default_name: str
) -> None:
    with temporary_database(server_url) as other:
        ensure_dagster_database(empty_database)
        ensure_dagster_database(empty_database)
        assert last_run(other) is None
        with pytest.raises(PipelineError, match=f"'{default_name}' keeps the runs of another") as error:
            ensure_dagster_database(other)
        assert error.value.exit_code == 5
        assert "set DAGSTER_DATABASE_URL" in error.value.hint
        remedy = error.value.hint.split(": ")[-1]
        with psycopg.connect(libpq_url(other), autocommit=True) as connection:
            connection.execute(remedy)
        ensure_dagster_database(other)
        with pytest.raises(PipelineError, match="another application database"):
            ensure_dagster_database(empty_database)


def test_one_that_an_administrator_described_is_taken(empty_database: Database, default_name: str) -> None:
    with psycopg.connect(libpq_url(empty_database), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{default_name}"')
        connection.execute(f"COMMENT ON DATABASE \"{default_name}\" IS 'for the crawlers'")
    assert ensure_dagster_database(empty_database) == dagster_url(empty_database)


def test_without_the_right_it_is_refused_with_the_statement_to_run(
    empty_database: Database, default_name: str
) -> None:
    role = f"poor_{uuid.uuid4().hex[:12]}"
    name = make_url(empty_database.url).database
    with psycopg.connect(libpq_url(empty_database), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'hush'")
        admin.execute(f'GRANT CONNECT ON DATABASE "{name}" TO {role}')
        poor_url = make_url(empty_database.url).set(username=role, password="hush")
        poor = Database(poor_url.render_as_string(hide_password=False))
        try:
            with pytest.raises(PipelineError) as error:
                ensure_dagster_database(poor)
        finally:
            poor.dispose()
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")
    assert error.value.exit_code == 5
    assert f'CREATE DATABASE {default_name} OWNER "{role}"' in error.value.hint
    assert "hush" not in str(error.value)


def test_one_that_cannot_be_reached_is_told_under_its_own_name(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_DATABASE_URL", "postgresql://me:hush@localhost:1/runs")
    with pytest.raises(PipelineError, match=r"^Dagster's tables: cannot connect") as error:
        ensure_dagster_database(empty_database)
    assert "hush" not in str(error.value)
    assert last_run(empty_database) is None


def test_programs_find_everything_and_dagster_its_configuration(
    empty_database: Database, tmp_path: Path
) -> None:
    for _ in range(2):
        variables = environment(empty_database, "postgresql+psycopg2://there/runs")
    assert variables["DATABASE_URL"] == libpq_url(empty_database)
    assert variables["DAGSTER_DATABASE_URL"] == "postgresql+psycopg2://there/runs"
    home = Path(variables["DAGSTER_HOME"])
    assert home.is_relative_to(tmp_path)
    assert "DAGSTER_DATABASE_URL" in (home / "dagster.yaml").read_text()
    assert [path.name for path in home.iterdir()] == ["dagster.yaml"]


def test_a_home_that_cannot_be_made_is_told(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TEMPORAL_PIPELINE_HOME", str(tmp_path / "file"))
    with pytest.raises(PipelineError, match="cannot make the folder for Dagster's files"):
        environment(empty_database, None)
