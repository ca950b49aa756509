"""What `python -m benchmarks.query` measures, in small."""

import json

import pytest
from click.testing import CliRunner

from benchmarks import query


def test_every_tool_answers_on_a_synthetic_history(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", server_url)
    small = ["--periods", "60", "--snapshots", "300", "--entities", "4", "--largest", "20", "--calls", "5"]
    done = CliRunner().invoke(query.main, [*small, "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["tools"].keys() == query.PLAIN.keys()
    for tool in figures["tools"].values():
        assert 0 < tool["median_ms"] <= tool["worst_ms"]
        assert 0 < tool["plain_median_ms"] <= tool["plain_worst_ms"]


def test_the_table_has_a_line_per_tool(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"median_ms": 3.25, "worst_ms": 41.5, "plain_median_ms": 1.5, "plain_worst_ms": 9.5}
    query.show(
        {"calls": 5, "periods": 1000, "snapshots": 10_000, "entities": 4, "tools": {"compare_periods": row}}
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "1,000 periods, 10,000 snapshots" in said
    assert "compare_periods │ 3.2 │ 41.5 │ 1.5 │ 9.5" in said
