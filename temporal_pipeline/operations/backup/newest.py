"""The newest backup of a database among the files of a folder."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from temporal_pipeline.database import Database
from temporal_pipeline.defs.schema.definition.model import LEGACY_TABLES
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.operations.backup.archive import Archive, prove_archive, read_archive
from temporal_pipeline.operations.backup.databases import name_of
from temporal_pipeline.operations.backup.programs import Programs, newest_programs


def newest_backup(
    folder: Path, database: Database, tables: Sequence[str] = LEGACY_TABLES, *, prove: bool = True
) -> Archive | None:
    """The newest dump in `folder` of a database of this name that has these tables with their rows.

    By the time that the dumps themselves tell. With `prove` it was read to its end; without, only its table of
    contents was. Files that are no such dumps do not count. Raises PipelineError when there is no pg_restore to
    read them.
    """
    paths = [path for path in folder.glob("*.dump") if path.is_file()]
    if not paths:
        return None
    programs, name = newest_programs(), name_of(database)
    for archive in _newest_first(programs, paths):
        if archive.database != name or archive.lacks(tables):
            continue
        with suppress(PipelineError, OSError):
            return prove_archive(programs, archive.path, tables) if prove else archive
    return None


def _newest_first(programs: Programs, paths: Sequence[Path]) -> Iterator[Archive]:
    """Those of the files that are dumps, each read no sooner than it may be the newest of what is left.

    A file that was written before a dump was begun is older than that.
    """
    unread = sorted((path.stat().st_mtime, path) for path in paths)
    read: list[Archive] = []
    while unread or read:
        newest = max(read, key=lambda archive: archive.created_at, default=None)
        if newest is not None and (not unread or unread[-1][0] <= newest.created_at.timestamp()):
            read.remove(newest)
            yield newest
        else:
            with suppress(PipelineError, OSError):
                read.append(read_archive(programs, unread.pop()[1]))
