"""What `python -m benchmarks.migrate` measures, in small."""

import json

import pytest
from click.testing import CliRunner

from benchmarks import migrate

SMALL = ["--rows", "2000", "--entities", "40", "--control", "1"]


def test_a_migration_beside_a_writer_loses_none_of_its_writes(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", server_url)
    done = CliRunner().invoke(
        migrate.main, [*SMALL, "--only", "quiet", "--only", "one transaction", "--json"]
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert (figures["rows"], figures["entities"]) == (2000, 40)
    careful, naive = figures["situations"]["quiet"], figures["situations"]["one transaction"]
    assert careful.keys() == naive.keys()
    assert careful["error"] is None
    assert (careful["failed"], careful["errors"]) == (0, {})
    assert careful["writes"] > 0
    assert careful["beyond_control_ms"] == max(0, careful["longest_ms"] - careful["control_longest_ms"])
    assert 0 < careful["p99_ms"] <= careful["longest_ms"]
    # In one transaction nothing is validated afterwards.
    assert careful["statements"] > naive["statements"] > 40
    assert careful["longest_ms"] < naive["longest_ms"]


def test_the_table_says_who_failed_and_what_the_migration_did_meanwhile(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = dict.fromkeys(("seconds", "retries", "control_longest_ms", "p99_ms", "beyond_control_ms"), 1)
    row |= {"statements": 60, "longest_ms": 1900.4, "writes": 1000, "failed": 3, "deadlocked": 2}
    stall = {"ms": 1900.4, "second": 0.5, "write": "insert content", "during": ["columns of contents"]}
    migrate.show(
        {"rows": 10, "entities": 4, "situations": {"quiet": row | {"error": "no lock", "stalls": [stall]}}}
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "3 (2 by deadlock)" in said
    assert "1,900" in said
    assert "quiet: not migrated: no lock" in said
    assert "insert content 1900 ms late in second 0.5 of it, meanwhile columns of contents" in said


def test_what_is_done_at_once_takes_no_care_of_others() -> None:
    assert migrate.at_once("CREATE INDEX CONCURRENTLY i ON t (c)") == "CREATE INDEX i ON t (c)"
    assert migrate.at_once("ALTER TABLE t ADD CHECK (true) NOT VALID") == "ALTER TABLE t ADD CHECK (true)"
