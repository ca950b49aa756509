"""What `python -m benchmarks.relevance` measures, on posts that are made up."""

import csv
import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import relevance
from benchmarks.baselines import character_grams, keyword_count, tfidf_centroid, words_of

SUBJECTS = {
    "fire": "wildfire burns homes canyon smoke rangers evacuated firefighters forest wind",
    "flood": "flood valley rises bridges closed rain dam river sandbags boats",
    "quake": "earthquake rubble rescue aftershock collapsed tremor magnitude shelter survivors damage",
}
OTHERS = "music lunch holiday football birthday phone weather film coffee party shoes traffic homework"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An export of three topics and its truth; the words of related posts are those of the topic."""
    folder, rng = tmp_path_factory.mktemp("relevance"), Random(5)
    records: list[dict[str, Any]] = []
    labels: list[tuple[str, str, str]] = []
    for topic, subject in SUBJECTS.items():
        records.append({"kind": "topic", "key": topic, "keywords": [topic]})
        for n in range(120):
            related = rng.random() < 0.8
            said = " ".join([topic, *rng.sample((subject if related else OTHERS).split(), 5)])
            hour = f"2026-01-{1 + n // 24:02}T{n % 24:02}:00:00Z"
            content = {"kind": "content", "topic": topic, "platform_content_id": f"{topic}{n}"}
            records.append(content | {"text": said, "crawled_at": hour, "published_at": hour})
            labels.append(
                (topic, f"{topic}{n}", "Related - but not informative" if related else "Not related")
            )
        labels.append((topic, f"{topic}0", "Not applicable"))
        # A re-crawl changes the text; a silent one has none.
        records.append(content | {"text": said + " again", "crawled_at": hour})
        records.append(
            {**content, "platform_content_id": f"{topic} silent", "text": None, "crawled_at": hour}
        )
    with gzip.open(folder / "export.jsonl.gz", "wt", encoding="utf-8") as export:
        export.writelines(json.dumps(record) + "\n" for record in records)
    with (folder / "truth.csv").open("w", encoding="utf-8", newline="") as truth:
        csv.writer(truth).writerows([("topic", "platform_content_id", "label"), *labels])
    return folder / "export.jsonl.gz", folder / "truth.csv"


def run(files: tuple[Path, Path], *more: str) -> str:
    export, truth = files
    done = CliRunner().invoke(relevance.main, ["--export", str(export), "--truth", str(truth), *more])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_one_object_per_method_ours_first(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relevance, "THROUGHPUT_POSTS", 1)
    figures = json.loads(run(files, "--json"))
    assert list(figures) == [
        "ours",
        "ours, weights without the topic",
        "ours hour by hour",
        "keyword count",
        "word TF-IDF centroid",
        "character 3-to-5-gram centroid",
    ]
    for figure in figures.values():
        assert list(figure["topics"]) == list(SUBJECTS)
        assert figure["mean_auc"] == pytest.approx(np.mean(list(figure["topics"].values())))
        assert figure["min_auc"] == min(figure["topics"].values())
    ours, keywords = figures["ours"], figures["keyword count"]
    assert ours["mean_auc"] > 0.95
    # Each post names its topic's keyword once, so that counting them says nothing.
    assert keywords["mean_auc"] == 0.5
    assert figures["ours, weights without the topic"]["reliability"]["mean_gap"] < 0.1
    assert sum(row["posts"] for row in ours["reliability"]["deciles"]) == 360
    assert ours["posts_per_second_per_core"] > 0
    assert ours["weights_without_the_topic"].keys() == SUBJECTS.keys()


def test_the_tables_name_topics_and_methods(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relevance, "THROUGHPUT_POSTS", 1)
    said = run(files)
    for word in ("flood", "ours", "keyword count", "mean gap", "posts/s per core"):
        assert word in said


def test_the_area_under_the_curve() -> None:
    truth = np.array([1, 0, 1, -1, 0])
    assert relevance.auc(truth, np.array([0.9, 0.1, 0.8, 0.0, 0.2])) == 1
    assert relevance.auc(truth, np.array([0.5, 0.5, 0.5, 9.0, 0.5])) == 0.5
    assert relevance.auc(truth, np.array([0.4, 0.3, 0.1, 0.0, 0.2])) == 0.5


def test_the_fit_finds_the_weights_that_made_the_truth() -> None:
    rng = np.random.default_rng(3)
    values = np.column_stack([rng.normal(size=40_000), rng.integers(0, 3, 40_000), np.zeros(40_000)])
    odds = 1.0 + 1.5 * values[:, 0] + 0.5 * values[:, 1]
    truth = (rng.random(40_000) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    found = relevance.fit([values[:20_000], values[20_000:]], [truth[:20_000], truth[20_000:]])
    assert (found.usual, found.closeness, found.further_keyword) == pytest.approx((1.0, 1.5, 0.5), abs=0.08)


def test_the_baselines() -> None:
    assert keyword_count(["forest fire", "#smoke"], ["a fire in the forest, smoke", "fire"]).tolist() == [
        2,
        0,
    ]
    for terms_of in (words_of, character_grams):
        near, also, far = tfidf_centroid(["forest fire", "the forest fire", "birthday party"], terms_of)
        assert min(near, also) > far
