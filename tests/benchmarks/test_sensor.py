"""What `python -m benchmarks.sensor` measures, in small."""

import json
import os

import pytest
from click.testing import CliRunner

from benchmarks import sensor


def test_every_question_is_measured(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Dagster's instance is found through the environment, which is put back afterwards.
    monkeypatch.setattr(os, "environ", dict(os.environ) | {"DATABASE_URL": server_url})
    small = ["--rows", "400", "--entities", "8", "--waiting", "40", "--repeats", "2", "--json"]
    done = CliRunner().invoke(sensor.main, small)
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["waiting"] == 40
    assert len(figures["milliseconds"]) == 6
    assert all(taken > 0 for taken in figures["milliseconds"].values())


def test_the_table_has_a_line_per_question(capsys: pytest.CaptureFixture[str]) -> None:
    sensor.show({"rows": 1000, "entities": 4, "waiting": 10, "milliseconds": {"whole tick": 41.25}})
    said = " ".join(capsys.readouterr().out.split())
    assert "1,000 contents of 4 entities, 10 wait" in said
    assert "whole tick │ 41.2" in said
