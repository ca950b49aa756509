"""A process's share in the embedded server."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

import temporal_pipeline
from temporal_pipeline.embedded.locks import open_lock_file, still_at, try_lock
from temporal_pipeline.embedded.place import DATABASE, Place, find_place, tail
from temporal_pipeline.errors import PipelineError

# A first start takes about two seconds; recovery after a crash can take much longer.
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.02


class Attachment:
    """While it is open, the server runs; one that is never closed ends with its process.

    `lock_fd` is inheritable: a program that takes this process's place with `exec`, or a child that is given
    it in `pass_fds`, goes on using the server. `bin` is the folder with psql, pg_dump and pg_restore.
    """

    def __init__(self, place: Place, lock_fd: int) -> None:
        self.bin = place.bin
        self.lock_fd = lock_fd
        self._place = place

    def url(self, database: str = DATABASE) -> str:
        """The URL for SQLAlchemy with psycopg 3."""
        return self._place.url(database, "postgresql+psycopg")

    def libpq_url(self, database: str = DATABASE) -> str:
        """The URL for psql, pg_dump and whatever else is built on libpq."""
        return self._place.url(database)

    def close(self) -> None:
        """Give up the share; the server stops when it was the last one. May be called twice."""
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def attach(home: Path) -> Attachment:
    """Share the embedded server of `home`; it is created and started when need be.

    Returns when the database `crosshot` accepts connections. Raises PipelineError when there are no
    PostgreSQL programs, a folder cannot be written, or the server does not start.
    """
    place = find_place(home)
    deadline = time.monotonic() + PATIENCE_SECONDS
    users = _join_users(place, deadline)
    try:
        _wait_until_ready(home, place, deadline)
    except BaseException:
        os.close(users)
        raise
    os.set_inheritable(users, True)
    return Attachment(place, users)


def _join_users(place: Place, deadline: float) -> int:
    """Hold the users' lock, which is not to be had while a keeper stops the server."""
    while time.monotonic() < deadline:
        fd = open_lock_file(place.users_lock)
        if try_lock(fd, fcntl.LOCK_SH) and still_at(fd, place.users_lock):
            return fd
        os.close(fd)
        time.sleep(POLL_SECONDS)
    raise PipelineError(
        f"the embedded PostgreSQL in {place.folder} is being stopped and does not end",
        hint=f"see {place.keeper_log} and {place.server_log}",
    )


def _wait_until_ready(home: Path, place: Place, deadline: float) -> None:
    keeper = _start_keeper(home, place)
    while (obstacle := _obstacle(place)) is not None:
        if keeper is None:
            keeper = _start_keeper(home, place)
        elif keeper.poll() is not None:
            # One that was killed, or was told to end, is simply replaced.
            if keeper.returncode > 0:
                raise _not_started(place, tail(place.keeper_log))
            keeper = None
        if time.monotonic() > deadline:
            raise _not_started(place, f"{obstacle}\n{tail(place.keeper_log)}")
        time.sleep(POLL_SECONDS)
    if keeper is not None and keeper.poll() is None:
        # The keeper outlives us on purpose; without this, Popen warns of a child that was left running.
        keeper.returncode = 0


def _obstacle(place: Place) -> str | None:
    """Why the server cannot be used yet."""
    # Its own word, which is stale after a crash; but asking by connecting alone would flood its log.
    if not place.says_ready:
        return "the server is not ready"
    try:
        place.connect(DATABASE).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return None


def _start_keeper(home: Path, place: Place) -> "subprocess.Popen[bytes] | None":
    """Start a keeper unless there is one. It inherits our lock, so that there can never be two."""
    lock = open_lock_file(place.keeper_lock)
    try:
        if not (try_lock(lock, fcntl.LOCK_EX) and still_at(lock, place.keeper_lock)):
            return None
        sources = str(Path(temporal_pipeline.__file__).resolve().parent.parent)
        search_path = os.pathsep.join(filter(None, [sources, os.environ.get("PYTHONPATH")]))
        with place.keeper_log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "temporal_pipeline.embedded.keeper", str(home.resolve()), str(lock)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, "PYTHONPATH": search_path},
                pass_fds=[lock],
                start_new_session=True,
            )
    finally:
        os.close(lock)


def _not_started(place: Place, reason: str) -> PipelineError:
    return PipelineError(
        f"the embedded PostgreSQL in {place.folder} did not start:\n{reason}",
        hint=f"see {place.keeper_log} and {place.server_log}, or set DATABASE_URL to use another server",
    )
