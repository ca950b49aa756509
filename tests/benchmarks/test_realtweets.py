"""The scorer against cases by hand, and the benchmark on a folder of generated series."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.nab import score, summary, tally
from benchmarks.realtweets import labelled, load, main, rolling_z, z_over_all_history

FIRST = datetime(2015, 3, 1, 0, 2, 53)
STEP = timedelta(minutes=5)
READINGS = [FIRST + i * STEP for i in range(1000)]
# Of 1,000 readings the first 150 are for learning.
WINDOW = (READINGS[400], READINGS[499])
METHODS = ["ours", "z_over_all_history", "rolling_z", "silence"]


def sigmoid(position: float) -> float:
    return float(2 / (1 + np.exp(5 * position)) - 1)


def points(*places: int, windows: tuple[tuple[datetime, datetime], ...] = (WINDOW,)) -> float:
    return tally(READINGS, windows, [READINGS[place] for place in places]).points


# The scorer.


def test_a_detection_at_the_begin_of_a_window_is_worth_one() -> None:
    assert points(400) == pytest.approx(1)


def test_a_later_one_is_worth_less_and_only_the_earliest_counts() -> None:
    assert points(449) == pytest.approx(sigmoid(-0.51) / sigmoid(-1))
    assert points(499) == pytest.approx(sigmoid(-0.01) / sigmoid(-1))
    assert points(499, 449) == points(449)


def test_a_window_without_detection_costs_one() -> None:
    assert points() == -1


def test_a_detection_outside_costs_a_ninth_and_less_shortly_behind_a_window() -> None:
    assert points(400, 399) == pytest.approx(1 - 0.11)
    assert points(400, 509) == pytest.approx(1 + 0.11 * sigmoid(10 / 99))
    assert points(400, 900) == pytest.approx(1 - 0.11)
    assert points(400, 509, 510) == pytest.approx(1 + 0.11 * (sigmoid(10 / 99) + sigmoid(11 / 99)))


def test_a_detection_is_placed_at_the_next_reading_and_one_while_learning_is_not_scored() -> None:
    between = READINGS[399] + timedelta(seconds=1)
    assert tally(READINGS, [WINDOW], [between]).points == pytest.approx(1)
    assert points(149) == -1
    assert points(150) == pytest.approx(-1.11)
    assert tally(READINGS, [WINDOW], [READINGS[-1] + STEP]).points == -1


def test_the_latest_window_before_a_detection_is_the_one_that_it_is_behind() -> None:
    second = (READINGS[600], READINGS[619])
    assert points(400, 600, 625, windows=(WINDOW, second)) == pytest.approx(2 + 0.11 * sigmoid(6 / 19))


def test_detections_within_six_hours_are_one_episode() -> None:
    one = tally(READINGS, [WINDOW], [READINGS[i] for i in (350, 400, 472, 545, 700)])
    assert (one.episodes, one.true_episodes, one.hit, one.windows) == (3, 1, 1, 1)
    assert one.weeks == pytest.approx(849 * 5 / 60 / 168)


def test_the_summary_is_one_hundred_for_all_and_nothing_for_silence() -> None:
    readings, windows = {"a": READINGS, "b": READINGS}, {"a": [WINDOW], "b": [WINDOW]}
    perfect = score(readings, windows, {"a": [READINGS[400]], "b": [READINGS[400]]})
    assert (perfect["nab"], perfect["f1"], perfect["precision"], perfect["recall"]) == (100, 1, 1, 1)
    assert score(readings, windows, {})["nab"] == 0
    half = score(readings, windows, {"a": [READINGS[400], READINGS[900]]})
    assert half["nab"] == pytest.approx(100 * (1 - 0.11 - 1 + 2) / 4, abs=0.05)
    assert (half["precision"], half["recall"], half["f1"], half["hit"]) == (0.5, 0.5, 0.5, 1)
    assert half["false_per_week"] == pytest.approx(1 / (2 * 849 * 5 / 60 / 168), abs=0.01)


def test_without_windows_there_is_nothing_to_win() -> None:
    assert summary([tally(READINGS, [], [READINGS[500]])])["nab"] == 0


# The series.


def test_readings_are_summed_to_covered_and_closed_hours() -> None:
    times = [datetime(2015, 3, 1, 0, 42, 53) + i * STEP for i in range(60)]
    del times[10:30]
    one = labelled("a", [(time, 2.0) for time in times], [])
    assert one.hourly.first_hour == datetime(2015, 3, 1)
    np.testing.assert_array_equal(one.hourly.values, [np.nan, 12, np.nan, 20, 24])
    whole = labelled("b", [(FIRST + i * STEP, 1.0) for i in range(30)], [])
    np.testing.assert_array_equal(whole.hourly.values, [12, 12])


def test_the_originals_rule_cannot_fire_before_the_sixth_hour() -> None:
    for hours in range(3, 6):
        assert z_over_all_history(np.array([5.0] * (hours - 1) + [1e9])) == []
    assert z_over_all_history(np.array([5.0] * 5 + [1e9])) == [5]


def test_the_rolling_rule_does_not_look_at_the_hour_itself() -> None:
    calm = np.array([4.0, 6.0] * 12)
    assert rolling_z(np.append(calm, [9.0])) == [24]
    assert rolling_z(np.append(calm, [7.0])) == []
    assert rolling_z(calm[:10]) == []


# The benchmark.


def write_folder(folder: Path, names: tuple[str, ...] = ("ONE", "TWO")) -> Path:
    """Four weeks of calm with two bursts each, of which the second is labelled."""
    windows: dict[str, Any] = {}
    rng = np.random.default_rng(11)
    for name in names:
        rates = np.full(4 * 7 * 24 * 12, 3.0)
        for hour in (300, 500):
            rates[hour * 12 : (hour + 3) * 12] = 30
        values = rng.poisson(rates)
        rows = [f"{FIRST + i * STEP:%Y-%m-%d %H:%M:%S},{value}" for i, value in enumerate(values)]
        (folder / f"{name}.csv").write_text("\n".join(["timestamp,value", *rows]) + "\n")
        begin, end = FIRST + timedelta(hours=498), FIRST + timedelta(hours=520)
        windows[name] = [[f"{begin}.000000", f"{end}.000000"]]
    (folder / "windows.json").write_text(json.dumps(windows))
    return folder


def judged(folder: Path) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["--data", str(folder), "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    figures: dict[str, Any] = json.loads(result.output)
    return figures


def test_the_bursts_are_found_and_every_method_is_judged(tmp_path: Path) -> None:
    figures = judged(write_folder(tmp_path))
    assert list(figures) == METHODS
    for row in figures.values():
        assert {
            "nab",
            "f1",
            "precision",
            "recall",
            "false_per_week",
            "windows",
            "hit",
            "episodes",
        } <= row.keys()
        assert row["windows"] == 2
    ours = figures["ours"]
    assert (ours["hit"], ours["recall"]) == (2, 1)
    assert ours["nab"] > figures["z_over_all_history"]["nab"]
    assert (figures["silence"]["nab"], figures["silence"]["episodes"]) == (0, 0)
    assert ours["lifecycle"]["rows"] >= 4
    assert ours["lifecycle"]["rows_per_hit_window"] >= 1
    assert list(ours["series"]) == list(ours["left_one_out"]["chosen"]) == ["ONE", "TWO"]


def test_what_is_judged_is_known_at_the_end_of_the_hour(tmp_path: Path) -> None:
    [one, _] = load(write_folder(tmp_path))
    assert FIRST.replace(minute=0, second=0) + timedelta(hours=501) in [
        end for episode in one.episodes() for end in one.ends(episode.alerts)
    ]


def test_a_single_series_can_be_judged(tmp_path: Path) -> None:
    assert judged(write_folder(tmp_path, ("ONE",)))["ours"]["left_one_out"] is None


def test_the_tables_name_every_method(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--data", str(write_folder(tmp_path))], catch_exceptions=False)
    for method in METHODS:
        assert method.split("_")[0] in result.output


def test_a_missing_series_is_named(tmp_path: Path) -> None:
    (tmp_path / "windows.json").write_text('{"GONE": []}')
    result = CliRunner().invoke(main, ["--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "GONE.csv" in result.output
