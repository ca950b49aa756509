"""Load a crawl export into a Crosshot database, as the crawler would have written it."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from temporal_pipeline.crosshot.export import BadLine, parse_line
from temporal_pipeline.crosshot.lines import Line, open_export
from temporal_pipeline.crosshot.records import Kind, Reference, name_of
from temporal_pipeline.crosshot.spill import Spill
from temporal_pipeline.crosshot.writing import Entry, queries, write
from temporal_pipeline.database import Database
from temporal_pipeline.errors import PipelineError

LEGACY_TABLES = ("tasks", "topics", "users", "topic_users", "contents", "content_media", "chat_messages")
# One short transaction each: 1,000 lines take about 0.1 s; the bytes bound it where posts are very long.
BATCH_LINES = 1_000
BATCH_BYTES = 4 * 1024 * 1024
# A file of nothing but bad lines must not fill the memory either.
REJECTIONS_KEPT = 1_000
# Classes of SQLSTATE that speak of the values of a row: data exception, integrity, program limit.
ROW_ERRORS = ("22", "23", "54")


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that was not loaded, and why."""

    number: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay got: the last line that is done, the bytes read of the file, and its size on disk."""

    line: int
    bytes_read: int
    bytes_total: int


@dataclass
class ReplayReport:
    """What became of the lines of a replay.

    Per kind: `inserted` (new rows), `updated` (contents crawled again, tasks that went on), `unchanged`
    (already there in this or a newer state), `later` (beyond the asked time).
    `rejected` counts the lines that were not loaded; `rejections` keeps 1,000 of them.
    """

    inserted: Counter[Kind] = field(default_factory=Counter)
    updated: Counter[Kind] = field(default_factory=Counter)
    unchanged: Counter[Kind] = field(default_factory=Counter)
    later: Counter[Kind] = field(default_factory=Counter)
    lines: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no line was rejected."""
        return self.rejected == 0

    @property
    def wrote(self) -> bool:
        """Whether the replay changed anything."""
        return bool(self.inserted.total() or self.updated.total())


def replay(
    database: Database,
    path: Path,
    until: datetime | None = None,
    *,
    create: bool = False,
    progress: Callable[[Progress], None] | None = None,
    on_rejection: Callable[[Rejection], None] | None = None,
) -> ReplayReport:
    """Load the crawl export `path`, plain or gzipped, up to the time `until`.

    Safe to repeat, also with a later `until` or after being killed: the rows are those of one run to the end,
    since ids follow from the export's keys and a re-crawl is applied only when newer than what is there.
    `create` makes the application's tables where they are missing. `progress` is called after each batch, and
    `on_rejection` with each line that is not loaded, once the rest of its batch is.
    Raises PipelineError when tables are missing, another replay runs (exit code 5), the file cannot be read
    or `until` has no zone (exit code 2), or the database fails.
    """
    if until is not None and until.tzinfo is None:
        raise PipelineError(
            f"the time {until.isoformat()} has no zone",
            hint=f"write {until.isoformat()}Z for UTC",
            exit_code=2,
        )
    with open_export(path) as (lines, size), database.exclusive("replay"):
        _require_tables(database, create)

        def done(line: Line) -> None:
            if progress is not None:
                progress(Progress(line.number, line.position, size))

        with Spill() as spill:
            return _Replayer(database, spill, until, on_rejection).run(lines, done)


def replay_lines(database: Database, lines: Iterable[Line], create: bool = False) -> ReplayReport:
    """Load lines that come from elsewhere than a file, with the semantics of `replay`."""
    with database.exclusive("replay"), Spill() as spill:
        _require_tables(database, create)
        return _Replayer(database, spill).run(lines)


def create_legacy_tables(database: Database) -> None:
    """Make the tables of a Crosshot database as the application does, where they are missing."""
    script = resources.files("temporal_pipeline.crosshot").joinpath("legacy.sql").read_text(encoding="utf-8")
    with database.exclusive("legacy tables"), database.transaction() as connection:
        connection.exec_driver_sql(script)


def _require_tables(database: Database, create: bool) -> None:
    with database.transaction(read_only=True) as connection:
        missing = connection.scalars(queries["missing_legacy_tables"], {"tables": list(LEGACY_TABLES)}).all()
    if missing and not create:
        raise PipelineError(
            f"no Crosshot database: {', '.join(missing)} missing in {database.safe_url}",
            hint="check DATABASE_URL, or let `temporal-pipeline replay FILE --create` make the tables",
        )
    if missing:
        create_legacy_tables(database)


class _Replayer:
    """One replay: takes lines in batches, keeps the report, comes back to what has to wait."""

    def __init__(
        self,
        database: Database,
        spill: Spill,
        until: datetime | None = None,
        on_rejection: Callable[[Rejection], None] | None = None,
    ) -> None:
        self._database = database
        self._spill = spill
        self._until = until
        self._on_rejection = on_rejection
        self._report = ReplayReport()

    def run(self, lines: Iterable[Line], done: Callable[[Line], None] | None = None) -> ReplayReport:
        """Load all lines and tell what became of them; `done` is called with the last line of each batch."""
        for batch in _batches(lines):
            self._report.lines += len(batch)
            self._load(batch, last_chance=False)
            if done is not None:
                done(batch[-1])
        for batch in _batches(Line(number, raw) for number, raw in self._spill.waiting()):
            self._load(batch, last_chance=True)
        self._report.rejections.sort(key=lambda rejection: rejection.number)
        return self._report

    def _load(self, batch: list[Line], *, last_chance: bool) -> None:
        entries = [entry for line in batch if (entry := self._entry(line)) is not None]
        try:
            for part in _without_repeats(entries):
                self._write(part, last_chance)
        except DBAPIError as error:
            raise PipelineError(
                f"the database failed near line {batch[0].number}: {_primary_message(error)}",
                hint="run the same command again, it continues where this one stopped",
            ) from error

    def _entry(self, line: Line) -> Entry | None:
        """The line's record, unless it is bad or later than what was asked for."""
        try:
            if line.damage:
                raise BadLine(line.damage)
            record = parse_line(line.raw)
        except BadLine as reason:
            self._reject(line.number, str(reason))
            return None
        if self._until is not None and record.time > self._until:
            self._report.later[record.kind] += 1
            if record.kind != "content":
                self._spill.keep_later(record.kind, record.id, line.raw)
            return None
        return Entry(line.number, line.raw, record)

    def _write(self, entries: list[Entry], last_chance: bool) -> None:
        """Write entries in one transaction; if the database refuses a value, all but its entry."""
        try:
            with self._database.transaction() as connection:
                outcome = write(connection, entries, self._until, self._spill.later)
        except DBAPIError as error:
            if not (getattr(error.orig, "sqlstate", None) or "").startswith(ROW_ERRORS):
                raise
            if len(entries) == 1:
                self._reject(entries[0].number, f"refused by the database: {_primary_message(error)}")
                return
            middle = len(entries) // 2
            self._write(entries[:middle], last_chance)
            self._write(entries[middle:], last_chance)
            return
        self._report.inserted.update(outcome.inserted)
        self._report.updated.update(outcome.updated)
        self._report.unchanged.update(outcome.unchanged)
        self._report.later.subtract(outcome.drawn_in)
        for entry, kind in outcome.unresolved:
            if last_chance:
                self._reject(entry.number, f"{kind} {json.loads(entry.raw)[kind]!r} is unknown")
            else:
                self._spill.keep_waiting(entry.record.kind, entry.number, entry.raw)

    def _reject(self, number: int, reason: str) -> None:
        rejection = Rejection(number, reason)
        self._report.rejected += 1
        if len(self._report.rejections) < REJECTIONS_KEPT:
            self._report.rejections.append(rejection)
        if self._on_rejection is not None:
            self._on_rejection(rejection)


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line.raw)
        if len(batch) >= BATCH_LINES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _without_repeats(entries: list[Entry]) -> Iterator[list[Entry]]:
    """The entries in runs that name each topic, user and task at most once, as one INSERT can take them."""
    run: list[Entry] = []
    seen: set[Reference] = set()
    for entry in entries:
        if entry.record.kind != "content":
            name = name_of(entry.record)
            if name in seen:
                yield run
                run, seen = [], set()
            seen.add(name)
        run.append(entry)
    yield run


def _primary_message(error: DBAPIError) -> str:
    diagnosis = getattr(error.orig, "diag", None)
    return getattr(diagnosis, "message_primary", None) or str(error.orig).splitlines()[0]
