"""What `python -m benchmarks.effectiveness` measures, in small."""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import effectiveness
from benchmarks.effectiveness_crises import compare, read_labels
from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness.measuring import measure_periods
from tests.crosshot_rows import add_topic
from tests.defs.effectiveness.rows import add_period
from tests.defs.effectiveness.test_memory import run


def test_simulations_hold_what_the_docs_claim() -> None:
    done = CliRunner().invoke(
        effectiveness.main, ["--entities", "150", "--only", "estimates", "--only", "choices", "--json"]
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    estimated = {row["method"]: row["results"] for row in figures["estimates"]}
    assert next(iter(estimated)) == "ours"
    for ours, raw in zip(estimated["ours"], estimated["raw ratio"], strict=True):
        assert ours["rmse"] < raw["rmse"]
        # With two contents per query, this few entities do not tell how strong the prior is.
        assert ours["items"] < 5 or 0.86 < ours["coverage"] < 0.94
    five = next(row for row in estimated["ours"] if (row["distribution"], row["items"]) == ("Beta(2, 6)", 5))
    assert five["rmse"] <= 0.135
    missed = {row["method"]: row for row in figures["choices"]}
    assert next(iter(missed)) == "ours"
    assert missed["ours"]["static"] < missed["raw greedy"]["static"] < missed["uniform"]["static"]
    assert missed["ours"]["drift"] < missed["raw greedy"]["drift"] < missed["Wilson"]["drift"]


def test_a_period_is_measured_beside_a_history(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", server_url)
    monkeypatch.setattr("benchmarks.effectiveness_increments.REPEATS", 2)
    done = CliRunner().invoke(effectiveness.main, ["--only", "increments", "--rows", "2000", "--json"])
    assert done.exit_code == 0, done.output
    (measured,) = json.loads(done.stdout)["increments"]
    assert measured["rows"] == 2000
    assert 0 < measured["new_period"] <= measured["new_period_longest"]


def test_scores_are_compared_with_labels(database: Database, tmp_path: Path) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection, "storm")
        period = add_period(connection, topic=topic)
        made = {
            query: run(connection, period, topic, query, [0.9] * relevant + [0.1] * (8 - relevant), hour=hour)
            for hour, (query, relevant) in enumerate({"good": 8, "fair": 4, "bad": 0}.items())
        }
        posts = dict(map(tuple, connection.exec_driver_sql("SELECT id, platform_content_id FROM contents")))
    measure_periods(database, "run")
    truth = tmp_path / "truth.csv"
    labels = {
        "good": "Related and informative",
        "fair": "Related - but not informative",
        "bad": "Not related",
    }
    lines = [f"storm,{posts[content]},{labels[query]}" for query, found in made.items() for content in found]
    truth.write_text("\n".join(["topic,platform_content_id,label", *lines, "storm,0,Not applicable"]))
    known = read_labels(truth)
    assert Counter(known.values()) == {True: 16, False: 8}
    ours, raw = compare(database, known)
    assert (ours["method"], raw["method"]) == ("ours", "raw ratio")
    assert ours["topics"] == {"storm": pytest.approx(0.866, abs=0.001)}
    assert ours["queries"] == {"storm": 3}
    verdicts = {row["query"]: row for row in ours["verdicts"]}
    assert (verdicts["good"]["related"], verdicts["bad"]["related"]) == (1, 0)
