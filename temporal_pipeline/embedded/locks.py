"""File locks that the kernel drops when their holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def open_lock_file(path: Path) -> int:
    """A descriptor to lock; locks belong to it, not to the process."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def try_lock(fd: int, kind: int) -> bool:
    """Take a lock (LOCK_SH or LOCK_EX) if that is possible at once."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def still_at(fd: int, path: Path) -> bool:
    """Whether `path` still names the open file: a lock on a deleted file excludes nobody."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), path.stat())
    return False


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Wait until no other process is in a block of the same path."""
    fd = open_lock_file(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
