"""What to do with a query, and why, in a sentence."""

from dataclasses import dataclass
from typing import Literal

from temporal_pipeline.defs.effectiveness.judgement.evidence import Account

Verdict = Literal["explore", "keep", "widen", "drop"]

# With fewer scored contents or runs, whatever the score says is luck.
ENOUGH_CONTENTS = 5
ENOUGH_RUNS = 2
# A query is given up only on this much evidence.
ENOUGH_TO_DROP = 10
# A query finds little when it brings less than half of its even share of the entity's relevant contents.
LITTLE = 0.5
COVERED = 0.8
QUIET_RUNS = 2


@dataclass(frozen=True)
class Standing:
    """Where a query stands: its score with the 90 % interval, all in [0, 1], and its entity.

    `mean` is the entity's, `entity_relevant` its faded sum of relevant contents over all its `queries`.
    """

    score: float
    lower: float
    upper: float
    rank_key: float
    mean: float
    entity_relevant: float
    queries: int


@dataclass(frozen=True)
class Advice:
    """What to do, and a sentence that begins with it and gives the reason."""

    verdict: Verdict
    sentence: str


def advise(account: Account, standing: Standing) -> Advice:
    """What to do with a query; `account.evidence` faded to the time of the advice."""
    verdict, reason = _judged(account, standing)
    notes = [_unscored(account), _covered(account), _quiet(account)]
    return Advice(verdict, "; ".join([f"{verdict}: {reason}", *(note for note in notes if note)]))


def _judged(account: Account, standing: Standing) -> tuple[Verdict, str]:
    scored, runs = account.evidence.scored, account.life.runs
    share = f"about {account.evidence.relevant:.0f} of {_count(scored, 'recent scored content')} relevant"
    if runs < ENOUGH_RUNS:
        return "explore", f"{share}, {_count(runs, 'run')}: too few to judge"
    if scored < ENOUGH_CONTENTS:
        if not account.life.contents:
            return "explore", f"{_count(runs, 'run')} brought nothing new"
        return "explore", f"{share}: too few to judge"
    interval = f"{standing.lower:.2f} to {standing.upper:.2f}"
    if standing.upper < standing.mean / 2 and scored >= ENOUGH_TO_DROP:
        return "drop", f"{share}; {interval} is less than half of the usual {standing.mean:.2f}"
    finds_little = account.evidence.relevant < LITTLE * standing.entity_relevant / max(standing.queries, 1)
    little = (
        f"it brings {_share(account.evidence.relevant, standing.entity_relevant)} of all that is relevant"
    )
    if standing.lower > standing.mean:
        if finds_little:
            return "widen", f"{share}; {interval} is above the usual {standing.mean:.2f}, but {little}"
        return "keep", f"{share}; {interval} is above the usual {standing.mean:.2f}"
    if standing.score > standing.mean and finds_little:
        return "widen", f"{share}, no worse than the usual {standing.mean:.2f}, but {little}"
    if standing.upper < standing.mean:
        return (
            "explore",
            f"{share}; {interval} is below the usual {standing.mean:.2f}, but not by half for certain",
        )
    return "explore", f"{share}; {interval} is no different from the usual {standing.mean:.2f}"


def _unscored(account: Account) -> str:
    return f"{_count(account.life.unscored, 'content')} could not be scored" if account.life.unscored else ""


def _covered(account: Account) -> str:
    evidence = account.evidence
    if evidence.identified < ENOUGH_CONTENTS or not evidence.shared:
        return ""
    other, shared = max(evidence.shared.items(), key=lambda item: (item[1], item[0]))
    # Sums that fade are not exact in their last digit.
    if shared < COVERED * evidence.identified * (1 - 1e-9):
        return ""
    return f"covered by {other!r}, which finds {_share(shared, evidence.identified)} of it too"


def _quiet(account: Account) -> str:
    if account.silence < QUIET_RUNS or not account.life.contents:
        return ""
    return f"gone quiet: its last {account.silence} runs returned nothing"


def _share(part: float, whole: float) -> str:
    return f"{min(part / whole, 1):.0%}" if whole > 0 else "none"


def _count(number: float, noun: str) -> str:
    return f"{number:.0f} {noun}" if round(number) == 1 else f"{number:.0f} {noun}s"
