"""Scores of queries against what is true: `python -m benchmarks.effectiveness [--json]`.

`estimates`: 20 queries per entity whose true shares are drawn from a distribution; how far scores are off, and
how often the 90 % interval has the truth, beside the raw ratio and Wilson's lower bound. `choices`: 5 of 20
queries per round, a round every six hours, over 60 rounds, static and drifting; how much of the relevance that the best
five would have brought is missed, beside other ways to choose. `crises` (with `--export` and `--truth`): the
whole graph over a real export; how scores and raw ratios rank queries by what people said of their posts.
`increments`: seconds to measure one new period beside 10,000 and 1,000,000 rows, and to read the ranking.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.effectiveness_crises import crises
from benchmarks.effectiveness_increments import increments
from temporal_pipeline.defs.effectiveness.judgement.evidence import HALF_LIFE, Totals
from temporal_pipeline.defs.effectiveness.judgement.scoring import (
    Pairs,
    entity_mean,
    judge,
    pairs,
    prior_strength,
    usual_share,
)

Floats = NDArray[np.float64]

QUERIES = 20
SHAPES = {"Beta(2, 6)": (2.0, 6.0), "Beta(1, 1)": (1.0, 1.0), "Beta(0.6, 3)": (0.6, 3.0)}
MEAN_ITEMS = (2, 5, 20, 100)
# A round every six hours, as the crawler's schedule has it; half of a page of twenty is new.
CHOSEN, ROUNDS, ITEMS_PER_RUN = 5, 60, 10
# On a logit scale, per round: over sixty rounds a query wanders further than queries differ to begin with.
DRIFT = 0.15
FADING = 0.5 ** (timedelta(hours=6) / HALF_LIFE)
# Quantile of the normal distribution that leaves five percent above it.
Z = 1.6449


@click.command()
@click.option(
    "--entities", type=click.IntRange(2), default=500, show_default=True, help="Simulated entities."
)
@click.option("--seed", default=1, show_default=True)
@click.option("--export", type=click.Path(exists=True, path_type=Path), help="A crawl export.")
@click.option(
    "--truth", type=click.Path(exists=True, path_type=Path), help="CSV: topic, platform_content_id, label."
)
@click.option(
    "--rows", multiple=True, type=click.IntRange(1000), default=(10_000, 1_000_000), show_default=True,
    help="Existing rows beside which a period is measured.",
)  # fmt: skip
@click.option("--only", multiple=True, type=click.Choice(["estimates", "choices", "crises", "increments"]))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    entities: int, seed: int, export: Path | None, truth: Path | None, rows: tuple[int, ...],
    only: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Measure what the scores of queries are worth."""
    measures: dict[str, Callable[[], Any]] = {
        "estimates": lambda: estimates(entities, seed),
        "choices": lambda: choices(entities, seed),
        "crises": lambda: crises(export, truth) if export and truth else None,
        "increments": lambda: increments(rows),
    }
    figures = {name: measure() for name, measure in measures.items() if not only or name in only}
    print(json.dumps(figures, indent=2)) if as_json else show(figures)


def estimates(entities: int, seed: int) -> list[dict[str, Any]]:
    """Per method, distribution and mean number of contents: RMSE, and the share of intervals with the truth."""
    results: dict[str, list[dict[str, Any]]] = {method: [] for method in ("ours", "raw ratio", "Wilson")}
    for shape, parameters in SHAPES.items():
        for items in MEAN_ITEMS:
            random = np.random.default_rng([seed, items])
            truth = random.beta(*parameters, (entities, QUERIES))
            # Most queries bring few contents, some bring many; at least one, for the raw ratio's sake.
            scored = random.geometric(1 / items, (entities, QUERIES)).astype(np.float64)
            relevant = random.binomial(scored.astype(np.int64), truth).astype(np.float64)
            mean, variance, strength = surroundings(relevant, scored, relevant, scored)
            ours = judge(relevant, scored, mean, variance, strength)
            lower, upper = wilson(relevant, scored)
            for method, estimate, interval in (
                ("ours", ours.score, (ours.lower, ours.upper)),
                ("raw ratio", relevant / scored, None),
                ("Wilson", (lower + upper) / 2, (lower, upper)),
            ):
                covered = interval and float(np.mean((interval[0] <= truth) & (truth <= interval[1])))
                results[method].append({
                    "distribution": shape, "items": items, "rmse": rmse(estimate, truth), "coverage": covered,
                    "mean_prior_strength": float(strength) if method == "ours" else None,
                })  # fmt: skip
    return [{"method": method, "results": found} for method, found in results.items()]


def surroundings(
    relevant: Floats, scored: Floats, relevant_squares: Floats, scored_squares: Floats
) -> tuple[Floats, Floats, float]:
    """The mean of each entity and its variance, shape (entities, 1), and the strength of their common prior."""
    totals = [
        Totals(*(float(sums.sum()) for sums in (x, n, xx, nn, x**2, n**2)))
        for x, n, xx, nn in zip(relevant, scored, relevant_squares, scored_squares, strict=True)
    ]
    told = sum(map(pairs, totals), Pairs())
    usual = usual_share(float(relevant.sum()), float(scored.sum()))
    strength = prior_strength(told)
    means = [entity_mean([one], usual, strength) for one in totals]
    return np.array([[m.share] for m in means]), np.array([[m.variance] for m in means]), strength


def choices(entities: int, seed: int) -> list[dict[str, Any]]:
    """Per way to choose: the missed share of relevance when nothing changes, and when queries drift."""
    return [
        {"method": name, **{world: regret(choose, entities, seed, drift) for world, drift in
                            (("static", 0.0), ("drift", DRIFT))}}
        for name, choose in WAYS.items()
    ]  # fmt: skip


class Seen:
    """What was seen of each query, shape (entities, queries): `x` relevant of `n`, and the same faded."""

    def __init__(self, entities: int) -> None:
        self.x, self.n, self.faded_x, self.faded_n, self.faded_xx, self.faded_nn = (
            np.zeros((entities, QUERIES)) for _ in range(6)
        )

    def add(self, relevant: Floats, scored: Floats) -> None:
        """A round later."""
        self.x += relevant
        self.n += scored
        self.faded_x = self.faded_x * FADING + relevant
        self.faded_n = self.faded_n * FADING + scored
        self.faded_xx = self.faded_xx * FADING**2 + relevant
        self.faded_nn = self.faded_nn * FADING**2 + scored


def ours(seen: Seen, random: np.random.Generator) -> Floats:
    mean, variance, strength = surroundings(seen.faded_x, seen.faded_n, seen.faded_xx, seen.faded_nn)
    return judge(seen.faded_x, seen.faded_n, mean, variance, strength).rank_key


def thompson(seen: Seen, random: np.random.Generator) -> Floats:
    mean, _, strength = surroundings(seen.faded_x, seen.faded_n, seen.faded_xx, seen.faded_nn)
    return random.beta(seen.faded_x + strength * mean, seen.faded_n - seen.faded_x + strength * (1 - mean))


def raw_greedy(seen: Seen, random: np.random.Generator) -> Floats:
    return np.where(seen.n > 0, seen.x / np.maximum(seen.n, 1), 0.5)


def wilson_lower(seen: Seen, random: np.random.Generator) -> Floats:
    return np.where(seen.n > 0, wilson(seen.x, np.maximum(seen.n, 1))[0], 0.0)


def uniform(seen: Seen, random: np.random.Generator) -> Floats:
    return np.zeros_like(seen.n)


WAYS: dict[str, Callable[[Seen, np.random.Generator], Floats]] = {
    "ours": ours,
    "uniform": uniform,
    "raw greedy": raw_greedy,
    "Wilson": wilson_lower,
    "Thompson": thompson,
}


def regret(
    choose: Callable[[Seen, np.random.Generator], Floats], entities: int, seed: int, drift: float
) -> float:
    """One minus what the chosen queries were truly worth, over what the best five of each round were worth."""
    random = np.random.default_rng(seed)
    truth = random.beta(*SHAPES["Beta(2, 6)"], (entities, QUERIES))
    seen = Seen(entities)
    got = best = 0.0
    for _ in range(ROUNDS):
        # Ties are broken by lot.
        keys = choose(seen, random) + random.uniform(0, 1e-9, truth.shape)
        chosen = keys >= np.sort(keys, axis=1)[:, [-CHOSEN]]
        got += float(truth[chosen].sum())
        best += float(np.sort(truth, axis=1)[:, -CHOSEN:].sum())
        scored = np.where(chosen, random.geometric(1 / ITEMS_PER_RUN, truth.shape), 0)
        relevant = random.binomial(scored, truth)
        seen.add(relevant.astype(np.float64), scored.astype(np.float64))
        if drift:
            logit = np.log(truth / (1 - truth)) + random.normal(0, drift, truth.shape)
            truth = np.clip(1 / (1 + np.exp(-logit)), 1e-6, 1 - 1e-6)
    return 1 - got / best


def wilson(relevant: Floats, scored: Floats) -> tuple[Floats, Floats]:
    """Wilson's 90 % interval of a share."""
    share = relevant / scored
    centre = (share + Z**2 / (2 * scored)) / (1 + Z**2 / scored)
    half = Z * np.sqrt(share * (1 - share) / scored + Z**2 / (4 * scored**2)) / (1 + Z**2 / scored)
    return centre - half, centre + half


def rmse(estimate: Floats, truth: Floats) -> float:
    return float(np.sqrt(np.mean((estimate - truth) ** 2)))


def show(figures: dict[str, Any]) -> None:
    """Print the figures as tables."""
    console = Console(width=150)
    if estimated := figures.get("estimates"):
        table = Table("distribution", "contents", *(f"{one['method']}" for one in estimated),
                      title="RMSE of the score (coverage of the 90 % interval)")  # fmt: skip
        for rows in zip(*(one["results"] for one in estimated), strict=True):
            cells = [
                f"{row['rmse']:.3f}" + ("" if row["coverage"] is None else f" ({row['coverage']:.1%})")
                for row in rows
            ]
            table.add_row(rows[0]["distribution"], str(rows[0]["items"]), *cells)
        console.print(table)
    if chosen := figures.get("choices"):
        table = Table("way", "static", "drift", title=f"missed relevance, {CHOSEN} of {QUERIES} per round")
        for row in chosen:
            table.add_row(row["method"], f"{row['static']:.3f}", f"{row['drift']:.3f}")
        console.print(table)
    if topics := figures.get("crises"):
        table = Table(
            "topic", "queries", *(one["method"] for one in topics), title="rank correlation with labels"
        )
        for name in topics[0]["topics"]:
            cells = ["" if one["topics"][name] is None else f"{one['topics'][name]:.2f}" for one in topics]
            table.add_row(name, str(topics[0]["queries"][name]), *cells)
        table.add_row("mean", "", *(f"{one['mean']:.2f}" for one in topics))
        console.print(table)
        verdicts = Table(
            "topic", "query", "new relevant", "labelled", "related", "score", "verdict", title="verdicts"
        )
        for row in topics[0]["verdicts"]:
            verdicts.add_row(
                row["topic"], row["query"][:60], str(row["relevant"]), str(row["labelled"]),
                "" if row["related"] is None else f"{row['related']:.2f}",
                f"{row['score']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})", row["verdict"],
            )  # fmt: skip
        console.print(verdicts)
    if measured := figures.get("increments"):
        table = Table("existing rows", *(key for key in measured[0] if key != "rows"), title="seconds")
        for row in measured:
            table.add_row(
                f"{row['rows']:,}", *(f"{value:.4f}" for key, value in row.items() if key != "rows")
            )
        console.print(table)


if __name__ == "__main__":
    main()
