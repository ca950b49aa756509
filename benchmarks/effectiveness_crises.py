"""Scores of queries after a real crawl, beside what people said of the posts that they found."""

import csv
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import text

from benchmarks.graph import throwaway_pipeline
from temporal_pipeline.cli.running import run_update
from temporal_pipeline.crosshot.replay import replay
from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness.naming import normal_form, query_of
from temporal_pipeline.defs.effectiveness.ranking import RankedQuery, ranked_queries
from temporal_pipeline.entities import all_entities

RELATED, UNRELATED = "Related", "Not related"
# Of fewer labelled posts, the share that is related says nothing; of fewer queries, their order.
LEAST_LABELS, LEAST_QUERIES = 5, 3

_FOUND = text("""
    SELECT c.topic_id, c.platform_content_id, t.payload->>'action' AS action, t.payload->>'query' AS asked,
           t.payload->>'username' AS username, t.result->>'query' AS widened
    FROM contents c JOIN tasks t ON t.id = c.task_id
    WHERE c.topic_id IS NOT NULL
""")

# Topic's name and post.
Labels = dict[tuple[str, str], bool]


def crises(export: Path, truth: Path) -> list[dict[str, Any]]:
    """Per method, `ours` first: rank correlation (Spearman) per topic of its figure with the labelled share."""
    labels = read_labels(truth)
    with throwaway_pipeline() as database:
        replay(database, export, create=True)
        outcome = run_update(database, {}, backup=False)
        if outcome.error is not None:
            raise SystemExit(f"the run failed: {outcome.error}")
        return compare(database, labels)


def read_labels(truth: Path) -> Labels:
    """Whether a post is related to its topic; what is not applicable is left out."""
    with truth.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (row["topic"], row["platform_content_id"]): row["label"].startswith(RELATED)
        for row in rows
        if row["label"].startswith((RELATED, UNRELATED))
    }


def compare(database: Database, labels: Labels) -> list[dict[str, Any]]:
    """The comparison for every topic of a database that has been measured."""
    by_name = {topic for topic, _ in labels}
    related: defaultdict[Any, Counter[bool]] = defaultdict(Counter)
    ranked: dict[str, list[RankedQuery]] = {}
    with database.transaction(read_only=True) as connection:
        topics = {e.id: e.name for e in all_entities(connection) if e.type == "topic"}
        # The labels name topics by the key of the export, whose underscores the names have not.
        keys = {key.replace("_", " ").partition(" ")[2].casefold(): key for key in by_name}
        named = {i: keys.get(name.casefold(), name) for i, name in topics.items()}
        for row in connection.execute(_FOUND):
            label = labels.get((named[row.topic_id], row.platform_content_id))
            if label is not None:
                form = normal_form(query_of(row.action, row.asked, row.username, row.widened))
                related[named[row.topic_id], form][label] += 1
        for topic in topics:
            ranked[named[topic]] = ranked_queries(connection, ("topic", topic))
    table = pd.DataFrame(
        [
            _row(topic, query, related[topic, query.normal_form])
            for topic in sorted(ranked)
            for query in ranked[topic]
        ]
    )
    known = table[table.labelled >= LEAST_LABELS]
    groups = {topic: group for topic, group in known.groupby("topic") if len(group) >= LEAST_QUERIES}
    results: list[dict[str, Any]] = []
    for method, column in (("ours", "score"), ("raw ratio", "raw")):
        correlations = {topic: _spearman(group[column], group["related"]) for topic, group in groups.items()}
        told = [value for value in correlations.values() if value is not None]
        results.append({
            "method": method,
            "topics": correlations,
            "mean": sum(told) / len(told) if told else float("nan"),
            "queries": {topic: len(group) for topic, group in groups.items()},
        })  # fmt: skip
    results[0]["verdicts"] = table.astype(object).where(table.notna(), None).to_dict("records")
    return results


def _row(topic: str, query: RankedQuery, labelled: Counter[bool]) -> dict[str, Any]:
    account, standing = query.judgement.account, query.judgement.standing
    return {
        "topic": topic,
        "query": query.query,
        "relevant": account.life.relevant,
        "scored": account.life.scored,
        "raw": account.life.relevant / account.life.scored if account.life.scored else 0.0,
        "score": standing.score,
        "lower": standing.lower,
        "upper": standing.upper,
        "verdict": query.judgement.advice.verdict,
        "why": query.why,
        "labelled": labelled.total(),
        "related": labelled[True] / labelled.total() if labelled else None,
    }


def _spearman(ours: "pd.Series[float]", truth: "pd.Series[float]") -> float | None:
    first, second = ours.rank(), truth.astype(float).rank()
    if first.nunique() < 2 or second.nunique() < 2:
        return None
    return float(first.corr(second))
