"""Relevance against what people said: `python -m benchmarks.relevance --export FILE --truth FILE [--json]`.

For each topic of a crawl export the area under the ROC curve of "Related…" against "Not related", for our score and
for what is simpler, in the same run. `ours` gets all posts of a topic as one batch, as the others do, with weights
fitted to the other topics; `ours as shipped` has the weights of the product, `ours hour by hour` scores each post
with what was known at the end of the hour of its crawl. The labels are read here only, never by the product.
"""

import csv
import gzip
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.baselines import character_grams, keyword_count, tfidf_centroid, words_of
from temporal_pipeline.defs.contents.relevance.keywords import Keywords, fold
from temporal_pipeline.defs.contents.relevance.language import Profile, buckets_of
from temporal_pipeline.defs.contents.relevance.scoring import (
    FITTED,
    Post,
    Subject,
    Weights,
    busyness,
    learning_weight,
    parts_of,
)

Numbers = NDArray[np.float64]
# The value of each signal, for the fit: one log odd per unit of it.
UNITS = Weights(usual=0.0, closeness=1.0, further_keyword=1.0, busyness=1.0)
THRESHOLDS = (0.7, 0.85)
THROUGHPUT_POSTS = 20_000


@dataclass(frozen=True)
class Content:
    """A content of the export; times to the hour are enough here."""

    key: str
    text: str | None
    tags: tuple[str, ...]
    published: str
    crawled: str


@dataclass(frozen=True)
class Topic:
    """A topic with all its contents; `labels` by key, 1 for related, 0 for not."""

    name: str
    keywords: tuple[str, ...]
    contents: tuple[Content, ...]
    labels: Mapping[str, int]

    @property
    def written(self) -> list[Content]:
        """The contents with a text."""
        return [content for content in self.contents if content.text and content.text.strip()]

    @property
    def truth(self) -> NDArray[np.int64]:
        """Per written content 1, 0, or -1 without a label."""
        return np.array([self.labels.get(content.key, -1) for content in self.written])


OURS = ("ours", "ours, weights without the topic", "ours hour by hour")


@click.command()
@click.option("--export", "export_file", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--truth", "truth_file", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(export_file: Path, truth_file: Path, as_json: bool) -> None:
    """Measure how well relevance separates related posts, and whether its scores are probabilities."""
    topics = read_topics(export_file, truth_file)
    if not topics:
        raise click.UsageError("no topic of the export has posts of both kinds in the truth")
    figures = measure(topics)
    print(json.dumps(figures, indent=2, ensure_ascii=False)) if as_json else show(figures)


def read_topics(export_file: Path, truth_file: Path) -> list[Topic]:
    """The topics of a crawl export whose posts people called related and not related, both."""
    labels: defaultdict[str, dict[str, int]] = defaultdict(dict)
    with truth_file.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["label"].startswith("Related") or row["label"] == "Not related":
                labels[row["topic"]][row["platform_content_id"]] = int(row["label"].startswith("Related"))
    described: dict[str, dict[str, Any]] = {}
    contents: defaultdict[str, dict[str, Content]] = defaultdict(dict)
    for record in _records(export_file):
        if record["kind"] == "topic":
            described[record["key"]] = record
        elif record["kind"] == "content" and record.get("topic"):
            found = contents[record["topic"]]
            content = _content(record)
            first = found.get(content.key)
            # A re-crawl changes the text only.
            found[content.key] = replace(first, text=content.text) if first else content
    topics = [
        Topic(key, tuple(record.get("keywords") or ()), tuple(contents[key].values()), labels[key])
        for key, record in described.items()
    ]
    return [topic for topic in topics if {0, 1} <= set(topic.truth.tolist())]


def _records(export_file: Path) -> Iterator[dict[str, Any]]:
    opened = gzip.open if export_file.suffix == ".gz" else open
    with opened(export_file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _content(record: dict[str, Any]) -> Content:
    crawled = record["crawled_at"][:13]
    return Content(
        key=str(record["platform_content_id"]),
        text=record.get("text"),
        tags=tuple(record.get("hashtags") or ()),
        published=(record.get("published_at") or crawled)[:13],
        crawled=crawled,
    )


def posts_of(contents: Sequence[Content], busy: Callable[[Content], float | None]) -> list[Post]:
    """Posts as the product scores them."""
    folded = [fold(content.text or "") for content in contents]
    return [
        Post(text, fold(" ".join(content.tags)), buckets, busyness=busy(content))
        for content, text, buckets in zip(contents, folded, buckets_of(folded), strict=True)
    ]


def at_once(topic: Topic) -> tuple[list[Post], Subject]:
    """All posts of a topic as one batch: first learnt, then scored."""
    hours = Counter(content.published for content in topic.contents)

    def busy(content: Content) -> float | None:
        return busyness(hours[content.published], hours.total(), len(hours))

    keywords, profile = Keywords(topic.keywords), Profile()
    posts = posts_of(topic.written, busy)
    profile.learn(
        [post.buckets for post in posts],
        [learning_weight(post.folded, post.tags, keywords) for post in posts],
    )
    return posts, Subject(keywords, (profile,))


def hour_by_hour(topic: Topic, weights: Weights) -> Numbers:
    """The scores that posts get when each hour of crawls is a batch of its own."""
    keywords, profile = Keywords(topic.keywords), Profile()
    hours: Counter[str] = Counter()
    batches: defaultdict[str, list[Content]] = defaultdict(list)
    for content in topic.contents:
        batches[content.crawled].append(content)
    scores: dict[str, float] = {}

    def busy(content: Content) -> float | None:
        return busyness(hours[content.published], hours.total(), len(hours))

    for _, batch in sorted(batches.items()):
        hours.update(content.published for content in batch)
        written = [content for content in batch if content.text and content.text.strip()]
        posts = posts_of(written, busy)
        profile.learn(
            [post.buckets for post in posts],
            [learning_weight(post.folded, post.tags, keywords) for post in posts],
        )
        subject = Subject(keywords, (profile,))
        for content, post in zip(written, posts, strict=True):
            scores[content.key] = parts_of(post, subject, weights).score
    return np.array([scores[content.key] for content in topic.written])


def signals(posts: Sequence[Post], subject: Subject) -> Numbers:
    """Per post the values of closeness, further keywords and busyness, one column each."""
    parts = [parts_of(post, subject, UNITS) for post in posts]
    return np.array([[part.closeness, part.keywords, part.busyness] for part in parts])


def fit(values: Sequence[Numbers], truths: Sequence[NDArray[np.int64]]) -> Weights:
    """The likeliest weights, each topic counting alike; busyness keeps the weight that it is given in the product.

    Newton's method, with so little ridge that it only matters where the truth is separable.
    """
    labelled = [truth >= 0 for truth in truths]
    stacked = np.vstack([rows[known] for rows, known in zip(values, labelled, strict=True)])
    truth = np.concatenate([t[known] for t, known in zip(truths, labelled, strict=True)]).astype(float)
    share = np.concatenate([np.full(known.sum(), 1 / known.sum()) for known in labelled])
    inputs = np.column_stack([np.ones(len(stacked)), stacked[:, :2]])
    given = FITTED.busyness * stacked[:, 2]
    found = np.zeros(3)
    for _ in range(50):
        likely = 1 / (1 + np.exp(-(inputs @ found + given)))
        slope = inputs.T @ (share * (truth - likely)) - 1e-4 * found
        curve = (inputs * (share * likely * (1 - likely))[:, None]).T @ inputs + 1e-4 * np.eye(3)
        found = found + np.linalg.solve(curve, slope)
    usual, closeness, further = (float(value) for value in found)
    return Weights(usual, closeness, further, FITTED.busyness)


def auc(truth: NDArray[np.int64], scores: Numbers) -> float:
    """The area under the ROC curve: how often a related post scores higher than one that is not, ties half."""
    known = truth >= 0
    truth, scores = truth[known], scores[known]
    _, place, times = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[place]
    related = int(truth.sum())
    others = len(truth) - related
    return float((ranks[truth == 1].sum() - related * (related + 1) / 2) / (related * others))


def reliability(truth: NDArray[np.int64], scores: Numbers) -> dict[str, Any]:
    """Mean score and share of related posts per tenth of the posts, and for what reaches each threshold."""
    known = truth >= 0
    truth, scores = truth[known], scores[known]
    tenths = [part for part in np.array_split(np.argsort(scores, kind="stable"), 10) if len(part)]

    def row(part: NDArray[Any]) -> dict[str, float]:
        return {
            "posts": len(part),
            "mean_score": float(scores[part].mean()),
            "related": float(truth[part].mean()),
        }

    rows = [row(part) for part in tenths]
    gaps = [abs(r["mean_score"] - r["related"]) for r in rows]
    reached = {str(t): row(np.flatnonzero(scores >= t)) for t in THRESHOLDS if (scores >= t).any()}
    return {"deciles": rows, "mean_gap": float(np.mean(gaps)), "reaching": reached}


def throughput(topics: Sequence[Topic]) -> float:
    """Posts per second of one core, from text to score: folding, keywords, n-grams, learning, scoring."""
    texts = sum(len(topic.written) for topic in topics)
    rounds = max(1, THROUGHPUT_POSTS // texts)
    started = time.process_time()
    for _ in range(rounds):
        for topic in topics:
            posts, subject = at_once(topic)
            for post in posts:
                parts_of(post, subject)
    return rounds * texts / (time.process_time() - started)


def measure(topics: Sequence[Topic]) -> dict[str, dict[str, Any]]:
    """One object per method, ours first: the product as it is shipped."""
    batches = [at_once(topic) for topic in topics]
    values = [signals(posts, subject) for posts, subject in batches]
    truths = [topic.truth for topic in topics]
    everything = range(len(topics))
    # With a single topic there is no other one to learn from.
    left_out = [
        fit([values[j] for j in everything if j != i], [truths[j] for j in everything if j != i])
        if len(topics) > 1
        else FITTED
        for i in everything
    ]

    def scored(weights: Sequence[Weights]) -> list[Numbers]:
        return [
            np.array([parts_of(post, subject, chosen).score for post in posts])
            for (posts, subject), chosen in zip(batches, weights, strict=True)
        ]

    methods = {
        "ours": scored([FITTED] * len(topics)),
        "ours, weights without the topic": scored(left_out),
        "ours hour by hour": [
            hour_by_hour(topic, chosen) for topic, chosen in zip(topics, left_out, strict=True)
        ],
        "keyword count": [keyword_count(t.keywords, _texts(t)) for t in topics],
        "word TF-IDF centroid": [tfidf_centroid(_texts(t), words_of) for t in topics],
        "character 3-to-5-gram centroid": [tfidf_centroid(_texts(t), character_grams) for t in topics],
    }
    figures = {name: _figures(topics, scores) for name, scores in methods.items()}
    for name in OURS:
        figures[name]["reliability"] = reliability(np.concatenate(truths), np.concatenate(methods[name]))
    figures["ours"] |= {
        "posts_per_second_per_core": throughput(topics),
        "weights_without_the_topic": {
            t.name: asdict(weights) for t, weights in zip(topics, left_out, strict=True)
        },
        "weights_of_all_topics": asdict(fit(values, truths)),
    }
    return figures


def _texts(topic: Topic) -> list[str]:
    return [content.text or "" for content in topic.written]


def _figures(topics: Sequence[Topic], scores: Sequence[Numbers]) -> dict[str, Any]:
    areas = {topic.name: auc(topic.truth, values) for topic, values in zip(topics, scores, strict=True)}
    return {
        "mean_auc": float(np.mean(list(areas.values()))),
        "min_auc": min(areas.values()),
        "topics": areas,
    }


def show(figures: Mapping[str, dict[str, Any]]) -> None:
    """Print the figures as tables."""
    console = Console(width=140)
    table = Table(title="area under the ROC curve, related against not related")
    table.add_column("topic", no_wrap=True)
    for method in figures:
        table.add_column(method, justify="right")
    for topic in figures["ours"]["topics"]:
        table.add_row(topic, *(f"{figure['topics'][topic]:.2f}" for figure in figures.values()))
    table.add_section()
    table.add_row("mean", *(f"{figure['mean_auc']:.3f}" for figure in figures.values()))
    table.add_row("least", *(f"{figure['min_auc']:.3f}" for figure in figures.values()))
    console.print(table)
    for method in OURS:
        found = figures[method]["reliability"]
        deciles = Table(title=f"{method}: mean score and share of related posts")
        for column in ("posts", "mean score", "related"):
            deciles.add_column(column, justify="right")
        labelled = [("", row) for row in found["deciles"]]
        labelled += [(f" reach {threshold}", row) for threshold, row in found["reaching"].items()]
        for label, row in labelled:
            deciles.add_row(f"{row['posts']:,}{label}", f"{row['mean_score']:.3f}", f"{row['related']:.3f}")
        console.print(deciles, f"mean gap {found['mean_gap']:.3f}")
    ours = figures["ours"]
    weights = ", ".join(f"{name} {value:.2f}" for name, value in ours["weights_of_all_topics"].items())
    console.print(f"weights fitted to all topics: {weights}")
    console.print(f"{ours['posts_per_second_per_core']:,.0f} posts/s per core, from text to score")


if __name__ == "__main__":
    main()
