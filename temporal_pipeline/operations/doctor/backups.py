"""Examinations of whether a backup can be made where we run."""

import os
import shutil
from pathlib import Path

from sqlalchemy import Connection

from temporal_pipeline.database import Queries
from temporal_pipeline.operations.backup.dump import LEAST_SHARE
from temporal_pipeline.operations.backup.programs import find_programs
from temporal_pipeline.operations.doctor.finding import Verdict, fail, ok, warn
from temporal_pipeline.settings import Settings

queries = Queries(__package__)

ELSEWHERE = "make room, or set TEMPORAL_PIPELINE_BACKUPS to a folder on a larger disk"


def backup_disk(connection: Connection) -> Verdict:
    """There is room for the dump that a migration takes first."""
    folder = Settings().backups.absolute()
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return fail(f"{parent} cannot be written", "set TEMPORAL_PIPELINE_BACKUPS to a folder that can")
    size: int = connection.execute(queries["database_size"]).scalar_one()
    return room_verdict(shutil.disk_usage(parent).free, size, folder)


def room_verdict(free: int, size: int, folder: Path) -> Verdict:
    """`free` bytes for the dump of a database of `size` bytes."""
    found = f"{free / 1e9:,.1f} GB free for {folder}, the database has {size / 1e9:,.1f} GB"
    if free < LEAST_SHARE * size:
        return fail(found, ELSEWHERE)
    if free < size:
        return warn(f"{found}: a backup may not fit", ELSEWHERE)
    return ok(found)


def backup_programs(connection: Connection) -> Verdict:
    """pg_dump reads servers of its own version and older ones."""
    programs = find_programs(connection.execute(queries["server_version"]).scalar_one())
    if programs.warning is not None:
        return warn(programs.warning, "install the client programs of the server's own version")
    return ok(f"pg_dump {programs.major} in {programs.folder}")
