"""The books of a run: what periods brought is entered one after the other, then every entry is judged."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from temporal_pipeline.defs.effectiveness.judgement.advice import Advice, Standing, advise
from temporal_pipeline.defs.effectiveness.judgement.evidence import Account, Counts, Totals, fading
from temporal_pipeline.defs.effectiveness.judgement.scoring import (
    Mean,
    Pairs,
    entity_mean,
    judge,
    pairs,
    prior_strength,
    usual_share,
)

# Type and id.
EntityKey = tuple[str, uuid.UUID]
# Platform and normal form.
QueryKey = tuple[str, str]


@dataclass(frozen=True)
class Brought:
    """What a query brought in a period, in which spelling it was run, how many of its found contents each other
    query found too, and how many of its last runs returned nothing.
    """

    query: str
    counts: Counts
    shared: Mapping[str, int] = field(default_factory=dict)
    silence: int = 0


@dataclass(frozen=True)
class Summary:
    """The sums of an entity's queries on a platform at `as_of`, of how many queries and measurements."""

    totals: Totals = field(default_factory=Totals)
    as_of: datetime | None = None
    queries: int = 0
    measurements: int = 0

    def at(self, time: datetime) -> Totals:
        """The sums as they have faded by then."""
        return self.totals.faded(fading(self.as_of, time))


@dataclass(frozen=True)
class Surroundings:
    """What a query is compared with: its entity's mean and sums, and the strength of its platform's prior."""

    mean: Mean
    strength: float
    entity_relevant: float
    queries: int


@dataclass(frozen=True)
class Judgement:
    """What is thought of a query: its account at that time, where it stands, and what to do."""

    account: Account
    surroundings: Surroundings
    standing: Standing
    advice: Advice


class Ledger:
    """Accounts of queries and summaries of entities, and what all entities together tell of each platform.

    `relevant` and `scored`: the sums over all entities; `told`: by platform.
    """

    def __init__(self, relevant: float, scored: float, told: Mapping[str, Pairs]) -> None:
        self.relevant, self.scored = relevant, scored
        self.told = dict(told)
        self.summaries: dict[EntityKey, dict[str, Summary]] = {}
        self.accounts: dict[tuple[EntityKey, QueryKey], Account] = {}

    def forget(self, entity: EntityKey) -> None:
        """Let an entity begin anew, as if it had never had a query."""
        for platform in self.summaries.get(entity, {}):
            self._exchange(entity, platform, Summary())
        self.summaries.pop(entity, None)
        self.accounts = {key: account for key, account in self.accounts.items() if key[0] != entity}

    def enter(
        self, entity: EntityKey, end: datetime, brought: Mapping[QueryKey, Brought]
    ) -> dict[QueryKey, tuple[Account, Surroundings]]:
        """Enter what the queries of an entity's period brought that ended at `end`, its latest so far."""
        accounts: dict[QueryKey, Account] = {}
        for platform in sorted({platform for platform, _ in brought}):
            summary = self.summaries.setdefault(entity, {}).get(platform, Summary())
            totals, queries, measurements = summary.at(end), summary.queries, summary.measurements
            for (own_platform, form), found in brought.items():
                if own_platform != platform:
                    continue
                key = (platform, form)
                before = self.accounts.get((entity, key), Account(found.query))
                after = before.after(found.query, found.counts, found.shared, found.silence, end)
                totals = totals.exchanged(before.evidence.faded(fading(before.as_of, end)), after.evidence)
                queries += before.as_of is None
                measurements += 1
                accounts[key] = self.accounts[entity, key] = after
            self._exchange(entity, platform, Summary(totals, end, queries, measurements))
        return {key: (account, self.surroundings(entity, key[0], end)) for key, account in accounts.items()}

    def surroundings(self, entity: EntityKey, platform: str, time: datetime) -> Surroundings:
        """What queries of an entity on a platform are compared with at a time."""
        summaries = self.summaries.get(entity, {}).values()
        totals = [summary.at(time) for summary in summaries]
        strength = prior_strength(self.told.get(platform, Pairs()))
        return Surroundings(
            entity_mean(totals, usual_share(self.relevant, self.scored), strength),
            strength,
            sum(t.relevant for t in totals),
            sum(summary.queries for summary in summaries),
        )

    def _exchange(self, entity: EntityKey, platform: str, new: Summary) -> None:
        old = self.summaries.setdefault(entity, {}).get(platform, Summary())
        self.told[platform] = self.told.get(platform, Pairs()) + pairs(new.totals) - pairs(old.totals)
        self.relevant += new.totals.relevant - old.totals.relevant
        self.scored += new.totals.scored - old.totals.scored
        self.summaries[entity][platform] = new


def judgements(entries: Iterable[tuple[Account, Surroundings]]) -> list[Judgement]:
    """Judge accounts, all at once: one by one takes a hundred times as long."""
    known = list(entries)
    scores = judge(
        np.array([account.evidence.relevant for account, _ in known]),
        np.array([account.evidence.scored for account, _ in known]),
        np.array([around.mean.share for _, around in known]),
        np.array([around.mean.variance for _, around in known]),
        np.array([around.strength for _, around in known]),
    )
    columns = zip(scores.score, scores.lower, scores.upper, scores.rank_key, strict=True)
    judged = []
    for (account, around), (score, lower, upper, rank_key) in zip(known, columns, strict=True):
        standing = Standing(
            float(score),
            float(lower),
            float(upper),
            float(rank_key),
            around.mean.share,
            around.entity_relevant,
            around.queries,
        )
        judged.append(Judgement(account, around, standing, advise(account, standing)))
    return judged


def at_time(account: Account, time: datetime) -> Account:
    """An account as it has faded by a later time."""
    return replace(account, evidence=account.evidence.faded(fading(account.as_of, time)), as_of=time)
