"""Working through a large table by several workers, in transactions short enough for nobody to notice."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection, text

from temporal_pipeline.holding import Hold

T = TypeVar("T")

# A second one fills the time in which the first waits for the log or computes; a third on two cores only
# takes time from the application.
WORKERS = 2
# Whoever wants a row that a transaction has waits for the rest of it; people notice from 100 ms on.
# A piece may be half as large again as it should be, and the machine may be busy.
TARGET_SECONDS = 0.04
FIRST_ROWS = 250
LEAST_ROWS = 25
# Four megabytes: reading them takes some ten milliseconds, the places found in them fit into memory, and they
# are several transactions, so that the last one of them is hardly ever a small one.
PAGES_AT_ONCE = 512
# Reading a page in order costs a tenth of looking up a row anywhere, and several workers can do it.
PAGES_WORTH_A_ROW = 10

# Told with the name of what is being done, and how much of how much is done.
Progress = Callable[[str, int, int], None]

# Some rows of a table are looked up one by one, however small the planner takes the table to be.
_LOOK_UP_ONLY = text("SELECT set_config('enable_seqscan', 'off', true)")
_PAGES = text(
    "SELECT pg_relation_size(CAST(:table AS regclass)) / CAST(current_setting('block_size') AS int)"
)


# How often somebody who reads a log wants to hear that it goes on.
SECONDS_BETWEEN_LINES = 5.0


def no_progress(doing: str, done: int, total: int) -> None:
    """For those who do not want to be told."""


def told_in_lines(say: Callable[[str], object]) -> Progress:
    """Progress as a line every few seconds, with the time that the rest will take."""
    began: dict[str, float] = {}
    last = time.monotonic()

    def tell(doing: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        started = began.setdefault(doing, now)
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = f", about {(now - started) * (total - done) / done:.0f} s left" if done else ""
            say(f"{doing}: {done:,} of {total:,}{left}")

    return tell


@dataclass
class Chunks:
    """Rows written in many short transactions: how large the next one is, and what they came to.

    May be shared by threads. `most`: how many rows one transaction writes at the most. `retries`: how often
    one gave way to the application. `total` is an estimate, for `progress` only.
    """

    doing: str
    most: int
    total: int = 0
    progress: Progress = no_progress
    done: int = 0
    count: int = 0
    retries: int = 0
    longest_seconds: float = 0.0
    _rows: int = FIRST_ROWS
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.progress(self.doing, 0, self.total)

    def of(self, rows: Sequence[T]) -> Iterator[Sequence[T]]:
        """`rows` in pieces, each for one transaction."""
        start = 0
        while left := len(rows) - start:
            # About equal pieces: each transaction costs something whatever it writes.
            pieces = max(1, round(left / min(self._rows, self.most)))
            size = min(-(-left // pieces), self.most)
            yield rows[start : start + size]
            start += size

    def write(self, hold: Hold, work: Callable[[Connection], tuple[int, T]]) -> T:
        """Do `work`, which says how many rows it wrote, in one transaction, which gives way to the application's.

        Its commit does not wait for the disk.
        """
        began = 0.0
        attempts = 0

        def attempt(connection: Connection) -> tuple[int, T]:
            nonlocal began, attempts
            began, attempts = time.monotonic(), attempts + 1
            connection.execute(_LOOK_UP_ONLY)
            return work(connection)

        rows, result = hold.write(attempt, durable=False)
        self._adapt(rows, time.monotonic() - began, attempts - 1)
        self.add(rows)
        return result

    def add(self, rows: int) -> None:
        """Count what was done, and tell."""
        with self._lock:
            self.done += rows
            self.progress(self.doing, self.done, max(self.total, self.done))

    def _adapt(self, rows: int, seconds: float, retries: int) -> None:
        with self._lock:
            self.count += 1
            self.retries += retries
            self.longest_seconds = max(self.longest_seconds, seconds)
            # What is left over, or was held by the application, says little of a whole piece.
            if rows >= min(self._rows, self.most) // 2:
                change = min(max(TARGET_SECONDS / max(seconds, 0.001), 0.5), 2.0)
                self._rows = max(LEAST_ROWS, min(int(rows * change), self.most))


def in_parallel(workers: int, items: Iterable[T], work: Callable[[T], None]) -> None:
    """Do `work` for each of `items` in one of so many threads. The first error ends all of them."""
    stop = threading.Event()
    lock = threading.Lock()
    waiting = iter(items)

    def next_items() -> Iterator[T]:
        while not stop.is_set():
            with lock:
                try:
                    item = next(waiting)
                except StopIteration:
                    return
            yield item

    def run() -> None:
        for item in next_items():
            work(item)

    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(run) for _ in range(workers)]
        try:
            for future in as_completed(running):
                future.result()
        finally:
            stop.set()


def pages_of(connection: Connection, table: str) -> int:
    """How many pages a table has now."""
    pages: int = connection.execute(_PAGES, {"table": table}).scalar_one()
    return pages


def page_ranges(pages: int) -> Iterator[dict[str, str]]:
    """All pages of a table as ranges of positions: parameters `first` and `end` (exclusive) of a query."""
    for page in range(0, pages, PAGES_AT_ONCE):
        yield {"first": f"({page},0)", "end": f"({page + PAGES_AT_ONCE},0)"}
