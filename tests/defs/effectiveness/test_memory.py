"""What is remembered of queries over many periods: one row each, kept up to date, made again when history changes."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, text

from temporal_pipeline.database import Database
from temporal_pipeline.defs.effectiveness import measuring
from temporal_pipeline.defs.effectiveness.measuring import measure_periods
from temporal_pipeline.defs.effectiveness.ranking import ranked_queries
from tests.crosshot_rows import add_content, add_task, add_topic, at
from tests.defs.effectiveness.rows import add_period, freeze, measured, memory

FACTS = (
    "entity_id, platform, normal_form, query, as_of, periods, runs, empty_runs, found, contents, scored, relevant, "
    "identified, unique_contents, silence, faded_relevant, faded_scored, faded_scored_squares, faded_shared, score, "
    "score_lower, score_upper, rank_key, entity_mean, prior_strength, verdict, recommendation"
)
SUMS = "entity_id, platform, as_of, queries, measurements, relevant, scored, pair_excess, pair_spread"


def run(
    connection: Connection,
    period: uuid.UUID,
    topic: uuid.UUID,
    query: str,
    scores: Sequence[float | None],
    *,
    again: Sequence[uuid.UUID] = (),
    hour: float = 1,
    **columns: Any,
) -> list[uuid.UUID]:
    """A run of a query that finds new contents with these scores, and some `again`."""
    task = add_task(connection, topic=topic, query=query, started_at=at(hour), **columns)
    contents = [add_content(connection, task=task, topic=topic) for _ in scores]
    for content, score in zip(contents, scores, strict=True):
        freeze(connection, period, content, score)
    ids = [str(content) for content in (*contents, *again)]
    connection.execute(
        text(
            "UPDATE tasks SET period_id = :period, result = coalesce(result, '{}') || jsonb_build_object("
            "'tweets_found', CAST(:found AS int), 'content_ids', CAST(:ids AS text[])) WHERE id = :task"
        ),
        {"period": period, "found": len(ids), "ids": ids, "task": task},
    )
    return contents


def world(connection: Connection, *, periods: int = 3) -> tuple[uuid.UUID, list[uuid.UUID]]:
    """A topic with as many periods, in each a good query, a bad one, and a rare one."""
    topic = add_topic(connection)
    made = []
    for number in range(periods):
        period = add_period(connection, topic=topic, number=number)
        made.append(period)
        run(connection, period, topic, "good words", [0.9] * 6 + [0.1], hour=10 * number + 1)
        run(connection, period, topic, "bad words", [0.1] * (10 + number), hour=10 * number + 2)
        run(connection, period, topic, "rare", [0.9], hour=10 * number + 3)
    return topic, made


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All that was derived, in figures that do not depend on the order of additions."""
    with database.transaction(read_only=True) as connection:

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return [
                tuple(round(v, 9) if isinstance(v, float) else v for v in row)
                for row in connection.execute(text(sql))
            ]

        return {
            "rows": rows(
                "SELECT period_id, platform, query, effectiveness_score, recommendations FROM crawl_effectiveness e "
                "JOIN analysis_periods p ON p.id = e.period_id AND p.status = 'active' ORDER BY 1, 2, 3"
            ),
            "queries": rows(f"SELECT {FACTS} FROM temporal_pipeline.query_effectiveness ORDER BY 1, 2, 3"),
            "sums": rows(f"SELECT {SUMS} FROM temporal_pipeline.entity_effectiveness ORDER BY 1, 2"),
        }


def test_what_was_brought_adds_up_over_periods_and_fades(database: Database) -> None:
    with database.transaction() as connection:
        topic, _ = world(connection)
    assert measure_periods(database, "run").rows_written == 9
    good = memory(database)["good words"]
    assert (good.periods, good.runs, good.contents, good.relevant) == (3, 3, 21, 18)
    day = 10 / 24
    faded = sum(6 * 0.5 ** (n * day / 30) for n in range(3))
    assert good.faded_relevant == pytest.approx(faded)
    assert good.normal_form == "good words"
    with database.transaction(read_only=True) as connection:
        ranked = ranked_queries(connection, ("topic", topic))
    # What is rare and was good whenever it ran comes first: to be tried again.
    assert [query.query for query in ranked] == ["rare", "good words", "bad words"]
    assert [query.judgement.advice.verdict for query in ranked] == ["explore", "keep", "drop"]
    assert [len(query.course) for query in ranked] == [3, 3, 3]


def test_a_neighbour_is_suggested_only_with_the_same_operators(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        for query in ("solid state battery", "solid state batteries", "solid state battery -toys"):
            run(connection, period, topic, query, [0.9])
    measure_periods(database, "run")
    with database.transaction(read_only=True) as connection:
        ranked = {query.query: query for query in ranked_queries(connection, ("topic", topic))}
    assert ranked["solid state battery"].looks_like == "solid state batteries"
    assert "looks like 'solid state batteries'" in ranked["solid state battery"].why
    assert ranked["solid state battery -toys"].looks_like is None


def test_measuring_one_by_one_is_measuring_all_at_once(database: Database) -> None:
    with database.transaction() as connection:
        world(connection)
    measure_periods(database, "run", batch_size=1)
    one_by_one = everything(database)
    with database.transaction() as connection:
        forget(connection)
    measure_periods(database, "run")
    assert everything(database) == one_by_one


def forget(connection: Connection) -> None:
    for table in ("query_effectiveness", "entity_effectiveness"):
        connection.exec_driver_sql(f"DELETE FROM temporal_pipeline.{table}")
    connection.exec_driver_sql("DELETE FROM crawl_effectiveness")
    connection.exec_driver_sql("UPDATE temporal_pipeline.period_stage SET unmeasured = true")


def test_a_run_that_dies_anywhere_and_is_repeated_gives_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as connection:
        world(connection)
    measure_periods(database, "run", batch_size=20)
    expected = everything(database)
    steps = ("keep_books", "findings_of")
    for step in steps:
        for death in (1, 2):
            with database.transaction() as connection:
                forget(connection)
            calls = iter(range(100))
            original = getattr(measuring, step)

            def die(*arguments: Any, calls: Any = calls, death: int = death, original: Any = original) -> Any:
                result = original(*arguments)
                if next(calls) == death:
                    raise KeyboardInterrupt
                return result

            with monkeypatch.context() as dying:
                dying.setattr(measuring, step, die)
                with pytest.raises(KeyboardInterrupt):
                    measure_periods(database, "dies", batch_size=20)
            measure_periods(database, "again", batch_size=20)
            assert everything(database) == expected


def test_a_period_that_is_analysed_again_replaces_what_it_brought(database: Database) -> None:
    with database.transaction() as connection:
        topic, periods = world(connection)
    measure_periods(database, "run")
    before = memory(database)["bad words"]
    with database.transaction() as connection:
        again = supersede(connection, topic, periods[1], 1)
        # Meanwhile everything that was bad has been found to be relevant.
        connection.execute(
            text("UPDATE period_content_snapshots SET relevance_score = 0.9 WHERE period_id = :id"),
            {"id": again},
        )
    report = measure_periods(database, "again")
    assert (report.periods, report.rows_written) == (1, 3)
    bad = memory(database)["bad words"]
    assert (bad.periods, bad.contents) == (before.periods, before.contents)
    assert (before.relevant, bad.relevant) == (0, 11)
    derived = everything(database)
    # The third period is judged anew from its own rows, the first stays as it was judged.
    with database.transaction() as connection:
        forget(connection)
    measure_periods(database, "from the beginning")
    fresh = everything(database)
    assert fresh["queries"] == derived["queries"]
    assert fresh["sums"] == derived["sums"]
    assert fresh["rows"] == derived["rows"]


def supersede(connection: Connection, topic: uuid.UUID, period: uuid.UUID, number: int) -> uuid.UUID:
    """A successor in the place of a period, as re-analysis leaves it."""
    connection.execute(
        text("UPDATE analysis_periods SET status = 'superseded' WHERE id = :id"), {"id": period}
    )
    successor = add_period(connection, topic=topic, number=number)
    change = {"old": period, "new": successor}
    for statement in (
        "INSERT INTO period_content_snapshots (period_id, content_id, relevance_score) "
        "SELECT :new, content_id, relevance_score FROM period_content_snapshots WHERE period_id = :old",
        "UPDATE contents SET analysis_period_id = :new WHERE analysis_period_id = :old",
        "UPDATE tasks SET period_id = :new, effectiveness_id = NULL WHERE period_id = :old",
    ):
        connection.execute(text(statement), change)
    return successor


def test_a_period_that_is_measured_late_takes_its_place(database: Database) -> None:
    with database.transaction() as connection:
        _, periods = world(connection)
        connection.execute(
            text("UPDATE temporal_pipeline.period_stage SET unmeasured = false WHERE period_id = :id"),
            {"id": periods[1]},
        )
    measure_periods(database, "run")
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE temporal_pipeline.period_stage SET unmeasured = true WHERE period_id = :id"),
            {"id": periods[1]},
        )
    assert measure_periods(database, "late").rows_written == 3
    late = everything(database)
    with database.transaction() as connection:
        forget(connection)
    measure_periods(database, "in order")
    assert everything(database) == late


def test_spellings_of_a_query_are_one_and_the_latest_is_shown(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for number, query in enumerate(("AI Agents", "agents ai", "ＡＩ agents -is:retweet")):
            period = add_period(connection, topic=topic, number=number)
            run(connection, period, topic, query, [0.9, 0.1], hour=10 * number + 1)
        run(connection, period, topic, "AI -agents", [0.1], hour=10 * number + 2)
    measure_periods(database, "run", batch_size=1)
    known = memory(database)
    assert set(known) == {"ＡＩ agents -is:retweet", "AI -agents"}
    assert known["ＡＩ agents -is:retweet"].periods == 3
    with database.transaction(read_only=True) as connection:
        rows = connection.execute(
            text(
                "SELECT query, effectiveness_score AS score, recent_avg_effectiveness AS recent "
                "FROM v_crawl_effectiveness_ranking WHERE query <> 'AI -agents' ORDER BY created_at"
            )
        ).all()
    assert {row.query for row in rows} == {"ＡＩ agents -is:retweet"}
    assert max(row.recent for row in rows) == pytest.approx(
        max(rows[0].score, (rows[0].score + rows[1].score) / 2, sum(row.score for row in rows) / 3)
    )


def test_what_others_find_too_is_not_unique_and_may_cover_a_query(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        for number in (0, 1):
            period = add_period(connection, topic=topic, number=number)
            wide = run(connection, period, topic, "wide", [0.9] * 10, hour=10 * number + 1)
            run(connection, period, topic, "narrow", [0.9], again=wide[:4], hour=10 * number + 2)
            stranger = uuid.uuid4()
            run(connection, period, topic, "other", [0.9], again=[stranger], hour=10 * number + 3)
            connection.execute(
                text(
                    "UPDATE tasks SET result = jsonb_set(result, '{content_ids,0}', '\"no id\"') "
                    "WHERE payload->>'query' = 'other'"
                )
            )
    measure_periods(database, "run")
    known = memory(database)
    assert (known["wide"].identified, known["wide"].unique_contents) == (20, 12)
    assert (known["narrow"].identified, known["narrow"].unique_contents) == (10, 2)
    # Ids of nothing count for nobody.
    assert (known["other"].identified, known["other"].unique_contents) == (2, 2)
    assert "covered by 'wide', which finds 80% of it too" in known["narrow"].recommendation
    assert "covered" not in known["wide"].recommendation
    # Found again is found, and not new.
    assert (known["narrow"].found, known["narrow"].contents) == (10, 2)


def test_a_query_goes_quiet(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        run(connection, period, topic, "agents", [0.9] * 8, hour=1)
        later = add_period(connection, topic=topic, number=1)
        for hour in (11, 12):
            run(connection, later, topic, "agents", [], hour=hour)
        run(connection, later, topic, "agents", [], hour=13, status="failed")
    measure_periods(database, "run")
    known = memory(database)["agents"]
    assert (known.runs, known.empty_runs, known.failed_runs, known.silence) == (4, 2, 1, 2)
    assert "gone quiet: its last 2 runs returned nothing" in known.recommendation
    assert known.seconds == 240


def test_a_query_that_rests_is_judged_by_what_is_left(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        for hour in (1, 2):
            run(connection, period, topic, "old", [0.9] * 4, hour=hour)
            run(connection, period, topic, "new", [0.1] * 4, hour=hour)
        later = add_period(connection, topic=topic, number=144)
        run(connection, later, topic, "new", [0.1] * 4, hour=1441)
    measure_periods(database, "run")
    with database.transaction(read_only=True) as connection:
        ranked = {query.query: query.judgement for query in ranked_queries(connection, ("topic", topic))}
    # Sixty days later a quarter is left.
    assert ranked["old"].account.as_of == at(1450)
    assert ranked["old"].account.evidence.scored == pytest.approx(8 * 0.25)
    assert ranked["old"].advice.verdict == "explore"
    assert memory(database)["old"].faded_scored == 8
    assert memory(database)["old"].as_of + timedelta(days=60) == at(1450)


def test_rows_of_the_application_are_counted_and_not_judged_by_us(database: Database) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
        period = add_period(connection, topic=topic)
        connection.execute(
            text(
                "INSERT INTO crawl_effectiveness (period_id, entity_type, entity_id, platform, query, "
                "effectiveness_score) VALUES (:period, 'topic', :topic, 'x', 'Words of theirs', 0.11)"
            ),
            {"period": period, "topic": topic},
        )
        run(connection, period, topic, "words OF theirs", [0.9] * 5)
    assert measure_periods(database, "run").rows_written == 0
    assert measured(database)["Words of theirs"].effectiveness_score == 0.11
    assert memory(database)["words OF theirs"].relevant == 5
    with database.transaction() as connection:
        supersede_before = add_period(connection, topic=topic, number=1)
        run(connection, supersede_before, topic, "words of theirs", [0.1] * 5, hour=11)
    measure_periods(database, "next")
    with database.transaction(read_only=True) as connection:
        names = connection.scalars(text("SELECT query FROM crawl_effectiveness ORDER BY created_at")).all()
    assert names == ["Words of theirs", "words of theirs"]


def test_an_entity_that_fails_leaves_its_books_as_they_were(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as connection:
        world(connection, periods=1)
    monkeypatch.setattr(measuring, "keep_books", partial(_refuse))
    report = measure_periods(database, "run")
    assert len(report.failed) == 1
    assert memory(database) == {}


def _refuse(*_: Any) -> None:
    raise ValueError("refused")
