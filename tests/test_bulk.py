"""Working through a large table in short transactions."""

import itertools
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from temporal_pipeline import bulk
from temporal_pipeline.bulk import Chunks, in_parallel, page_ranges, pages_of, told_in_lines
from temporal_pipeline.database import Database
from temporal_pipeline.holding import Hold, hold
from tests.crosshot_rows import add_topic


@pytest.fixture
def held(database: Database) -> Iterator[Hold]:
    with hold(database, "a test", 0) as held:
        yield held


def test_rows_come_in_pieces_of_at_most_so_many() -> None:
    assert [list(piece) for piece in Chunks("x", most=2).of(range(5))] == [[0, 1], [2, 3], [4]]


def test_pieces_are_about_equal() -> None:
    assert [len(piece) for piece in Chunks("x", most=1000).of(range(900))] == [225, 225, 225, 225]
    assert [len(piece) for piece in Chunks("x", most=1000).of(range(260))] == [260]


def test_a_chunk_does_not_wait_for_the_disk(held: Hold) -> None:
    setting = text("SHOW synchronous_commit")
    assert Chunks("x", most=1).write(held, lambda c: (1, c.execute(setting).scalar_one())) == "off"
    assert held.write(lambda c: c.execute(setting).scalar_one()) == "on"


def test_a_slow_transaction_makes_the_next_one_smaller_and_a_fast_one_larger(held: Hold) -> None:
    chunks = Chunks("x", most=1000)
    [first, *_] = chunks.of(range(1000))
    chunks.write(held, lambda c: (len(first), c.execute(text("SELECT pg_sleep(0.2)"))))
    [slowed, *_] = chunks.of(range(1000))
    chunks.write(held, lambda c: (len(slowed), None))
    [quickened, *_] = chunks.of(range(1000))
    assert len(slowed) < len(first)
    assert len(quickened) > len(slowed)
    assert (chunks.count, chunks.done) == (2, len(first) + len(slowed))
    assert chunks.longest_seconds >= 0.2


@pytest.mark.parametrize("rows", [0, 1])
def test_what_is_left_over_or_found_nothing_to_do_does_not_change_the_size(held: Hold, rows: int) -> None:
    chunks = Chunks("x", most=1000)
    [first, *_] = chunks.of(range(1000))
    chunks.write(held, lambda c: (rows, None))
    assert len(next(iter(chunks.of(range(1000))))) == len(first)


def test_giving_way_is_counted_and_does_not_make_the_next_one_smaller(database: Database, held: Hold) -> None:
    with database.transaction() as connection:
        topic = add_topic(connection)
    rename = text("UPDATE topics SET name = 'x' WHERE id = :id")
    chunks = Chunks("x", most=1000)
    [first, *_] = chunks.of(range(1000))
    attempts = itertools.count()
    with database.engine.connect() as application:
        application.execute(rename, {"id": topic})

        def work(connection):  # type: ignore[no-untyped-def]
            if next(attempts) == 1:
                application.rollback()
            connection.execute(rename, {"id": topic})
            return len(first), None

        chunks.write(held, work)
    assert (chunks.count, chunks.retries) == (1, 1)
    assert len(next(iter(chunks.of(range(1000))))) >= len(first)


def test_several_threads_share_the_items() -> None:
    both = threading.Barrier(2, timeout=10)
    done: list[int] = []

    def work(item: int) -> None:
        both.wait()
        done.append(item)

    in_parallel(2, range(6), work)
    assert sorted(done) == list(range(6))


def test_the_first_error_ends_all() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 3:
            raise ZeroDivisionError
        time.sleep(0.001)
        done.append(item)

    with pytest.raises(ZeroDivisionError):
        in_parallel(2, range(10_000), work)
    assert len(done) < 1000


def test_ranges_cover_all_pages_once(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE long AS SELECT n FROM generate_series(1, 200000) n"))
        pages = pages_of(connection, "long")
        counts = [
            connection.scalar(
                text(
                    "SELECT count(*) FROM long WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:end AS tid)"
                ),
                places,
            )
            for places in page_ranges(pages)
        ]
    assert pages > bulk.PAGES_AT_ONCE
    assert len(counts) > 1
    assert sum(counts) == 200_000


def test_lines_tell_how_long_the_rest_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 2.0, 10.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    lines: list[str] = []
    tell = told_in_lines(lines.append)
    tell("linking", 0, 4000)
    tell("linking", 500, 4000)
    tell("linking", 1000, 4000)
    assert lines == ["linking: 1,000 of 4,000, about 30 s left"]
