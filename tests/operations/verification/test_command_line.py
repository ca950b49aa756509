"""`verify` as a person types it."""

import json
from pathlib import Path

import pytest

from temporal_pipeline.database import Database
from tests.command_line import CommandLine
from tests.operations.verification.test_broken_claims import DOES_NOT_HOLD, WARNS, spoil
from tests.operations.verification.world import World


@pytest.fixture
def verify(verified: Database, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", DATABASE_URL=verified.url)


def test_a_line_per_claim_with_its_counts(verify: CommandLine) -> None:
    done = verify("verify")
    assert done.returncode == 0, done.stderr
    assert "18 total, 15 linked, 1 waiting, 1 without owner, 1 in the future" in done.stdout
    assert "2 topics, 1 users" in done.stdout
    assert "0 do not hold" in done.stdout
    assert all(line.startswith("holds ") for line in done.stdout.splitlines()[:-1])
    assert "once the schema is there" not in done.stdout


def test_what_does_not_hold_is_3_with_offenders_and_remedy(
    verify: CommandLine, verified: Database, world: World
) -> None:
    spoil(verified, world, DOES_NOT_HOLD["entity_counters_agree_with_periods"])
    done = verify("verify")
    assert done.returncode == 3
    assert "does not hold  entity_counters_agree_with_periods  1 offenders" in done.stdout
    assert f"entity id {world.topic}" in done.stdout
    assert "error: does not hold: entity_counters_agree_with_periods" in done.stderr
    assert "remedy: " in done.stderr


def test_a_warning_is_0(verify: CommandLine, verified: Database, world: World) -> None:
    spoil(verified, world, WARNS["no_entity_failed"])
    done = verify("verify")
    assert done.returncode == 0, done.stderr
    assert "warning        no_entity_failed  1 offenders" in done.stdout
    assert "too loud" in done.stdout


def test_json_tells_the_same(verify: CommandLine, verified: Database, world: World) -> None:
    spoil(verified, world, DOES_NOT_HOLD["entity_counters_agree_with_periods"])
    done = verify("verify", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == document["error"]["code"] == 3
    assert document["ok"] is False
    claims = {claim["name"]: claim for claim in document["data"]["claims"]}
    broken = claims["entity_counters_agree_with_periods"]
    assert broken.keys() == {
        "name",
        "verdict",
        "sentence",
        "counts",
        "offenders",
        "note",
        "remedy",
        "seconds",
    }
    assert broken["verdict"] == "does not hold"
    assert broken["counts"] == {"offenders": 1}
    assert broken["offenders"][0]["entity_id"] == str(world.topic)
    assert claims["contents_add_up"]["counts"]["linked"] == 15


def test_a_legacy_database_is_3_and_told_to_migrate(legacy_database: Database, tmp_path: Path) -> None:
    done = CommandLine(tmp_path / "home", DATABASE_URL=legacy_database.url)("verify")
    assert done.returncode == 3
    assert "legacy database" in done.stdout
    assert "examined once the schema is there" in done.stdout
    assert "remedy: run `temporal-pipeline migrate`" in done.stderr
    assert "Traceback" not in done.stderr
