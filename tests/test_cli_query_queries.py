"""`temporal-pipeline query queries`."""

import json

import click
import pytest
from click.testing import CliRunner

from temporal_pipeline.cli import cli
from temporal_pipeline.cli.output import Output
from temporal_pipeline.cli.query.queries import bar, course
from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness.measuring import measure_periods
from temporal_pipeline.errors import PipelineError
from tests.crosshot_rows import add_topic
from tests.defs.effectiveness.test_memory import world


@pytest.fixture
def measured(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("DATABASE_URL", database.url)
    with database.transaction() as connection:
        world(connection)
        add_topic(connection, "Silent")
    measure_periods(database, "run")
    return database


def test_the_table_says_what_to_run_next_and_why(measured: Database) -> None:
    with CliRunner().isolation() as streams:
        cli.main(["query", "queries", "--entity", "AI agents"], obj=Output(), standalone_mode=False)
        said = streams[0].getvalue().decode()
    assert "topic 'AI agents': 3 queries, usual share of relevant posts" in said
    rows = [line for line in said.splitlines() if " (x) " in line]
    assert [row.split(" (x)")[0] for row in rows] == ["rare", "good words", "bad words"]
    assert [word in row for row, word in zip(rows, ("explore", "keep", "drop"), strict=True)] == [True] * 3
    assert all("●" in row and "━" in row for row in rows)


def test_json_has_every_figure(measured: Database) -> None:
    with CliRunner().isolation() as streams:
        cli.main(
            ["query", "queries", "--entity", "AI agents", "--limit", "1", "--json"],
            obj=Output(),
            standalone_mode=False,
        )
        told = json.loads(streams[0].getvalue())
    assert told["ok"]
    queries = {query["query"]: query for query in told["data"]["queries"]}
    good = queries["good words"]
    assert (good["runs"], good["found"], good["new"], good["new_relevant"], good["periods"]) == (
        3,
        21,
        21,
        18,
        3,
    )
    assert good["interval"][0] < good["score"] < good["interval"][1]
    assert good["verdict"] == "keep"
    assert len(good["course"]) == 3
    assert told["data"]["entity"]["name"] == "AI agents"


def test_csv_has_a_row_per_query_and_the_entity_may_be_an_argument(measured: Database) -> None:
    with CliRunner().isolation() as streams:
        cli.main(["query", "queries", "AI agents", "--csv"], obj=Output(), standalone_mode=False)
        head, *rows = streams[0].getvalue().decode().splitlines()
    assert head.startswith("query,platform,normal_form,")
    assert head.endswith(",lower,upper")
    assert {row.split(",")[0] for row in rows} == {"rare", "good words", "bad words"}


@pytest.mark.parametrize(
    "arguments", [[], ["AI agents", "--entity", "AI agents"], ["AI agents", "--csv", "--json"]]
)
def test_contradictions_are_usage_errors(measured: Database, arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        cli.main(["query", "queries", *arguments], obj=Output(), standalone_mode=False)


def test_an_entity_without_queries_says_so(measured: Database) -> None:
    with CliRunner().isolation() as streams:
        cli.main(["query", "queries", "--entity", "Silent"], obj=Output(), standalone_mode=False)
        assert "no measured query yet" in streams[0].getvalue().decode()


def test_an_unknown_entity_is_a_usage_error(measured: Database) -> None:
    with pytest.raises(PipelineError, match="no topic or user") as refused:
        cli.main(["query", "queries", "--entity", "nobody"], obj=Output(), standalone_mode=False)
    assert refused.value.exit_code == 2


def test_pictures_of_numbers() -> None:
    assert bar(0.5, 0.0, 1.0) == "━" * 10 + "●" + "━" * 9
    assert bar(1.0, 0.9, 1.0) == "·" * 18 + "━●"
    assert course([0, 0.5, 1]) == "▁▅█"
    assert course([]) == ""
