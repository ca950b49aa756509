"""What a dump in pg_dump's custom format holds, by its own table of contents."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from temporal_pipeline.defs.schema.definition.model import LEGACY_TABLES
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.programs import Programs, failure, running

_ENTRY = re.compile(r"^\d+; \d+ \d+ (TABLE DATA|TABLE) (\S+) (\S+) ", re.MULTILINE)


@dataclass(frozen=True)
class Archive:
    """A dump: when it was begun, of which database, by which pg_dump; tables as `schema.name`.

    pg_dump writes the time without its zone: that of our own backups is UTC, and of one that was made by
    hand where the zone is another, at the latest when its file was written.
    """

    path: Path
    created_at: datetime
    database: str
    dumped_by: int
    tables: frozenset[str]
    tables_with_data: frozenset[str]

    def lacks(self, tables: Sequence[str]) -> list[str]:
        """Those of these tables, by name, that are not in it with their rows."""
        complete = {entry.partition(".")[2] for entry in self.tables & self.tables_with_data}
        return [name for name in tables if name not in complete]


def read_archive(programs: Programs, path: Path) -> Archive:
    """Read the table of contents, with `pg_restore --list`. Raises PipelineError for anything but a dump."""
    listing = _pg_restore(programs, path, "--list")
    entries = {"TABLE": set[str](), "TABLE DATA": set[str]()}
    for kind, schema, name in _ENTRY.findall(listing):
        entries[kind].add(f"{schema}.{name}")
    stamp = _header(listing, "Archive created at ").removesuffix(" UTC")
    created_at = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Archive(
        path,
        min(created_at, written_at),
        _header(listing, "dbname: "),
        int(re.split(r"\D", _header(listing, "Dumped by pg_dump version: "))[0]),
        frozenset(entries["TABLE"]),
        frozenset(entries["TABLE DATA"]),
    )


def prove_archive(programs: Programs, path: Path, tables: Sequence[str] = LEGACY_TABLES) -> Archive:
    """Read the whole dump: it has these tables, by name, with their rows, and no part is missing.

    The list alone would not notice that the end of a file is missing. Raises PipelineError when it is no
    such backup.
    """
    archive = read_archive(programs, path)
    if missing := archive.lacks(tables):
        raise PipelineError(
            f"{path} is not a backup of a Crosshot database: it has no rows of {', '.join(missing)}",
            hint="give another file; `pg_restore --list FILE` shows what is in one",
        )
    _pg_restore(programs, path, "--file=/dev/null")
    return archive


def _pg_restore(programs: Programs, path: Path, option: str) -> str:
    with running(programs.pg_restore, option, path) as process:
        listing, complaints = process.communicate()
    if process.returncode:
        reason = failure(programs.pg_restore, complaints).message
        raise PipelineError(
            f"{path} cannot be read: {reason}",
            hint=f"give a dump that `pg_dump -Fc` of version {programs.major} or older has finished",
        )
    return listing


def _header(listing: str, label: str) -> str:
    found = re.search(f"^; *{label}(.+)$", listing, re.MULTILINE)
    if found is None:
        raise PipelineError(
            f"pg_restore did not say {label!r} of the file",
            hint="give a dump that `pg_dump -Fc` has finished",
        )
    return found.group(1)
