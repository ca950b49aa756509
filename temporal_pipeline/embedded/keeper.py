"""The keeper's process: `python -m temporal_pipeline.embedded.keeper HOME LOCK_FD`, started by `attach`."""

import fcntl
import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from temporal_pipeline.embedded.locks import open_lock_file, still_at, try_lock
from temporal_pipeline.embedded.place import Place, find_place
from temporal_pipeline.embedded.server import Server
from temporal_pipeline.errors import PipelineError

POLL_SECONDS = 0.3


def keep(place: Place, keeper_lock: int) -> None:
    """Keep the server running while it has users, then stop it.

    Both locks are held until it has stopped, so that whoever comes at that moment waits, and then starts a
    keeper of its own. A keeper whose folder was deleted ends as well: another one may be at work there.
    """
    server = Server(place)
    users = open_lock_file(place.users_lock)
    try:
        while not try_lock(users, fcntl.LOCK_EX) and still_at(keeper_lock, place.keeper_lock):
            server.ensure_ready()
            time.sleep(POLL_SECONDS)
    finally:
        server.stop()


def main(home: str, lock_fd: str) -> int:
    """Run as the keeper of `home`, with the keeper's lock already held on `lock_fd`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s keeper %(process)d: %(message)s")
    os.set_inheritable(int(lock_fd), False)
    signal.signal(signal.SIGTERM, _end)
    try:
        place = find_place(Path(home))
        logging.info("keeping the server of %s in %s", home, place.folder)
        keep(place, int(lock_fd))
    except PipelineError as error:
        logging.error(error)
        return error.exit_code
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
