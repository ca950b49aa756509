"""What is remembered of queries, and what is advised."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from temporal_pipeline.defs.effectiveness.judgement.advice import Advice, Standing, advise
from temporal_pipeline.defs.effectiveness.judgement.evidence import (
    HALF_LIFE,
    MOST_NEIGHBOURS,
    Account,
    Counts,
    Evidence,
    fading,
)
from temporal_pipeline.defs.effectiveness.judgement.ledger import Brought, Ledger, judgements
from temporal_pipeline.defs.effectiveness.judgement.scoring import Pairs
from tests.crosshot_rows import at

ENTITY = ("topic", uuid.UUID(int=1))
OTHER = ("topic", uuid.UUID(int=2))


def brought(relevant: int, scored: int, **more: int) -> Brought:
    return Brought("a query", Counts(runs=1, contents=scored, scored=scored, relevant=relevant, **more))


def test_a_content_counts_half_after_thirty_days() -> None:
    assert fading(at(0), at(0) + HALF_LIFE) == 0.5
    assert fading(None, at(0)) == 1
    # A clock that goes backwards makes nothing worth more.
    assert fading(at(1), at(0)) == 1
    account = Account("q").after("q", Counts(scored=8, relevant=4), {}, 0, at(0))
    later = account.after("q", Counts(scored=2, relevant=2), {}, 0, at(0) + HALF_LIFE)
    assert (later.evidence.scored, later.evidence.relevant) == (6, 4)
    assert later.evidence.scored_squares == 8 / 4 + 2
    assert (later.life.scored, later.periods) == (10, 2)


def test_sums_of_an_entity_are_those_of_its_queries_whenever_they_ran() -> None:
    ledger = Ledger(0, 0, {})
    days = [timedelta(days=d) for d in (0, 3, 40, 41)]
    for number, day in enumerate(days):
        ledger.enter(ENTITY, at(0) + day, {("x", f"q{number % 3}"): brought(number, 2 * number + 1)})
    now = at(0) + days[-1]
    totals = ledger.summaries[ENTITY]["x"].at(now)
    faded = [a.evidence.faded(fading(a.as_of, now)) for a in ledger.accounts.values()]
    assert totals.scored == pytest.approx(sum(e.scored for e in faded))
    assert totals.relevant_squares == pytest.approx(sum(e.relevant_squares for e in faded))
    assert totals.query_scored_squares == pytest.approx(sum(e.scored**2 for e in faded))
    assert ledger.summaries[ENTITY]["x"].queries == 3
    assert ledger.summaries[ENTITY]["x"].measurements == 4


def test_an_entity_that_begins_anew_leaves_nothing_behind() -> None:
    ledger = Ledger(0, 0, {})
    ledger.enter(OTHER, at(0), {("x", "a"): brought(3, 9), ("x", "b"): brought(9, 9)})
    told, relevant = ledger.told["x"], ledger.relevant
    ledger.enter(ENTITY, at(0), {("x", "a"): brought(1, 9), ("x", "b"): brought(2, 9)})
    assert ledger.told["x"] != told
    ledger.forget(ENTITY)
    assert ledger.told["x"].excess == pytest.approx(told.excess)
    assert ledger.told["x"].spread == pytest.approx(told.spread)
    assert ledger.relevant == pytest.approx(relevant)
    assert {entity for entity, _ in ledger.accounts} == {OTHER}


def test_platforms_have_priors_of_their_own_and_an_entity_one_mean() -> None:
    ledger = Ledger(0, 0, {"x": Pairs(1000, 2000)})
    entered = ledger.enter(ENTITY, at(0), {("x", "a"): brought(3, 9), ("web", "a"): brought(9, 9)})
    (_, on_x), (_, on_web) = entered["x", "a"], entered["web", "a"]
    assert on_x.strength < on_web.strength
    # Each is entered when it comes: the last knows all.
    around = ledger.surroundings(ENTITY, "x", at(0))
    assert around.mean.share == on_web.mean.share
    assert (around.queries, around.entity_relevant) == (2, 12)
    assert [j.account.life.relevant for j in judgements(entered.values())] == [9, 3]


def test_only_the_nearest_neighbours_are_remembered() -> None:
    shared = {f"q{number:03}": number for number in range(100)}
    evidence = Evidence().plus(Counts(identified=100), shared)
    assert len(evidence.shared) == MOST_NEIGHBOURS
    assert min(evidence.shared.values()) == 80


STANDING = Standing(0.5, 0.4, 0.6, 0.6, 0.3, 40.0, 4)


def account(relevant: float, scored: float, **life: int) -> Account:
    counts = Counts(**{"runs": 3, "contents": 20, "scored": min(20, life.get("contents", 20)), **life})
    return Account("q", Evidence(relevant, scored, relevant, scored, scored), at(0), counts)


@pytest.mark.parametrize(
    ("known", "standing", "verdict", "words"),
    [
        (account(4, 4.9), STANDING, "explore", "too few"),
        (account(20, 30, runs=1), STANDING, "explore", "1 run: too few"),
        (account(0, 0, contents=0), STANDING, "explore", "brought nothing new"),
        (account(20, 30), STANDING, "keep", "0.40 to 0.60 is above the usual 0.30"),
        (account(4, 6), STANDING, "widen", "10% of all that is relevant"),
        (account(2, 5), replace(STANDING, lower=0.2), "widen", "no worse than"),
        (account(20, 60), replace(STANDING, lower=0.2, upper=0.4, score=0.3), "explore", "no different"),
        (account(10, 60), replace(STANDING, lower=0.1, upper=0.25, score=0.2), "explore", "below the usual"),
        (account(0, 10), replace(STANDING, lower=0, upper=0.14, score=0.05), "drop", "less than half"),
        (account(0, 9.9), replace(STANDING, lower=0, upper=0.14, score=0.05), "explore", "below the usual"),
    ],
)
def test_what_is_advised(known: Account, standing: Standing, verdict: str, words: str) -> None:
    advice = advise(known, standing)
    assert advice.verdict == verdict
    assert advice.sentence.startswith(f"{verdict}: ")
    assert words in advice.sentence


def test_a_query_is_covered_by_one_that_finds_four_fifths_of_it() -> None:
    def advised(identified: float, **shared: float) -> Advice:
        known = account(20, 30)
        return advise(
            replace(known, evidence=replace(known.evidence, identified=identified, shared=shared)), STANDING
        )

    assert "covered by 'b', which finds 80% of it too" in advised(10, a=7, b=8).sentence
    assert "covered" not in advised(10, a=7.9).sentence
    assert "covered" not in advised(4, a=4).sentence


def test_a_productive_query_that_returns_nothing_twice_has_gone_quiet() -> None:
    empty = Counts(runs=1, empty_runs=1)
    known = account(20, 30)
    once = known.after("q", empty, {}, 1, at(1))
    twice = once.after("q", empty, {}, 1, at(2))
    assert "quiet" not in advise(once, STANDING).sentence
    assert "gone quiet: its last 2 runs returned nothing" in advise(twice, STANDING).sentence
    # A run that failed says nothing, one that found something ends the silence.
    failed = twice.after("q", Counts(runs=1, failed_runs=1), {}, 0, at(3))
    assert failed.silence == 2
    assert failed.after("q", Counts(runs=2, empty_runs=1, contents=1), {}, 1, at(4)).silence == 1
    never = replace(twice, life=replace(twice.life, contents=0))
    assert "quiet" not in advise(never, STANDING).sentence


def test_what_could_not_be_scored_is_told() -> None:
    assert "7 contents could not be scored" in advise(account(20, 30, contents=27), STANDING).sentence
