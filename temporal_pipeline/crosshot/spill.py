"""What a replay has to come back to, kept on disk: memory must not depend on the length of the file."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Self
from uuid import UUID

from temporal_pipeline.crosshot.records import Kind, Reference


class Spill:
    """Lines that are set aside: those later than the slice, and those whose references come later.

    An anonymous SQLite database: the operating system deletes it when the process ends, however it ends.
    """

    def __init__(self) -> None:
        self._store = sqlite3.connect("", isolation_level=None)
        self._store.executescript("""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            CREATE TABLE later (id BLOB PRIMARY KEY, raw BLOB) WITHOUT ROWID;
            CREATE TABLE waiting (rank INT, number INT, raw BLOB, PRIMARY KEY (rank, number)) WITHOUT ROWID;
        """)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def keep_later(self, kind: Kind, identity: UUID, raw: bytes) -> None:
        """Set a topic, user or task aside that is later than the slice; the slice may still refer to it."""
        self._store.execute("INSERT OR IGNORE INTO later VALUES (?, ?)", (_name(kind, identity), raw))

    def later(self, references: Iterable[Reference]) -> Iterator[bytes]:
        """The lines that were set aside for these references."""
        for reference in references:
            found = self._store.execute("SELECT raw FROM later WHERE id = ?", (_name(*reference),)).fetchone()
            if found is not None:
                yield found[0]

    def keep_waiting(self, kind: Kind, number: int, raw: bytes) -> None:
        """Set a line aside until the whole file was read, as what it refers to may come later."""
        self._store.execute("INSERT INTO waiting VALUES (?, ?, ?)", (kind == "content", number, raw))

    def waiting(self) -> Iterator[tuple[int, bytes]]:
        """The waiting lines: tasks first, as contents refer to them, each kind in the order of the file."""
        yield from self._store.execute("SELECT number, raw FROM waiting ORDER BY rank, number")


def _name(kind: Kind, identity: UUID) -> bytes:
    return kind.encode() + identity.bytes
