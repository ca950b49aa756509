"""Other processes that use an embedded server, and a look at the processes behind it."""

import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psycopg

from temporal_pipeline.embedded import state_folder
from temporal_pipeline.embedded.place import Place, find_place
from temporal_pipeline.embedded.server import command_line, process_ids
from temporal_pipeline.settings import PROJECT_ROOT

AS_ROOT = os.geteuid() == 0

ATTACH_AND_WAIT = """
import sys
from pathlib import Path
from temporal_pipeline.embedded import attach
attachment = attach(Path(sys.argv[1]))
print(attachment.libpq_url(), flush=True)
sys.stdin.read()
"""


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition did not come true"
        time.sleep(0.01)


class User:
    """A process that attaches to the server of `home` and stays until it is told to go, or killed."""

    def __init__(
        self, home: Path, program: str = ATTACH_AND_WAIT, python: str = sys.executable, **options: Any
    ) -> None:
        search_path = os.pathsep.join([str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")])
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": search_path}
        self.process = subprocess.Popen(
            [python, "-c", program, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment | options.pop("env", {}),
            **options,
        )

    def url(self) -> str:
        """The URL that the user got; waits until it is attached."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, "the user ended before it was attached"
        return line

    def leave(self) -> None:
        self.process.communicate(timeout=20)

    def kill(self) -> None:
        self.process.kill()
        self.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def keepers(home: Path) -> list[int]:
    call = f" -m temporal_pipeline.embedded.keeper {home.resolve()} "
    return [pid for pid in process_ids() if call in command_line(pid)]


def postmasters(place: Place) -> list[int]:
    call = f"{place.bin}/postgres -D {place.data} "
    return [pid for pid in process_ids() if command_line(pid).startswith(call)]


def keeper_says(home: Path, text: str) -> int:
    """How often the keepers of this home have said so until now."""
    log = find_place(home).keeper_log
    return log.read_text().count(text) if log.exists() else 0


def everything_stopped(home: Path) -> bool:
    return not keepers(home) and not postmasters(find_place(home))


def is_dead(pid: int) -> bool:
    """Whether a process has dropped its locks: later than its command line, which goes first."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def execute(url: str, query: str) -> list[tuple[Any, ...]]:
    """Run one statement in a connection and transaction of its own."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def server_identity() -> dict[str, Any]:
    """Options for subprocess to run as the account that runs the server."""
    if not AS_ROOT:
        return {}
    account = pwd.getpwnam(
        "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
    )
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def remove_state(home: Path) -> None:
    wait_until(lambda: everything_stopped(home))
    subprocess.run(["rm", "-rf", state_folder(home)], check=True)
