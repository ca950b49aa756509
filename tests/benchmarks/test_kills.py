"""What `python -m benchmarks.kills` reports, in small."""

import json

import pytest
from click.testing import CliRunner

from benchmarks import kills
from benchmarks.live import copy_of
from temporal_pipeline.database import Database
from tests.migrations.tools import execute

WAYS = ("process", "session")


@pytest.mark.acceptance
def test_every_interruption_is_made_good(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", server_url)
    small = ["--rows", "400", "--entities", "8", "--every", "40", "--moments", "1", "--json"]
    done = CliRunner().invoke(kills.main, small)
    assert done.exit_code == 0, done.output
    trials = json.loads(done.stdout)
    at_moments = {
        f"{what}, {way}, at a moment" for what in ("migrate", "backfill", "rollback") for way in WAYS
    }
    after_statements = {
        f"{what}, {way}, after a statement" for what in ("migrate", "rollback") for way in WAYS
    }
    assert trials.keys() == at_moments | after_statements
    assert {len(trials[name]) for name in at_moments} == {1}
    points = [trial["point"] for trial in trials["migrate, process, after a statement"]]
    assert points == list(range(1, points[-1] + 1, 40))
    assert len(points) > 1
    assert not any(trial["differs"] for made in trials.values() for trial in made)
    assert all(trial["interrupted"] for trial in trials["migrate, process, after a statement"])


def test_a_content_without_its_period_is_a_difference(application: Database) -> None:
    with copy_of(application) as database:
        kills.migrate_up(database.url)
        kills.backfill(database.url)
        before = kills.state_of(database)
        assert kills.differences(kills.state_of(database), before) == ()
        execute(
            database,
            "UPDATE contents SET analysis_period_id = NULL"
            " WHERE id = (SELECT id FROM contents WHERE analysis_period_id IS NOT NULL LIMIT 1)",
        )
        assert kills.differences(kills.state_of(database), before) == ("contents",)
        execute(database, "DROP INDEX idx_contents_period")
        assert kills.differences(kills.state_of(database), before) == ("contents", "schema")


def test_a_trial_that_differs_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    kills.show({"migrate, process": [kills.Trial(1, True, ()), kills.Trial(7, True, ("schema", "tasks"))]})
    assert "migrate, process, interrupted at 7: other schema, tasks" in capsys.readouterr().out
