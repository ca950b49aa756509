"""Re-analyses that die, each in a process of its own: the arguments are triples of URL, statement and how often.

`python -m tests.operations.reanalysis.killed URL STATEMENT N …` analyses Period 0 of the topic again on each
database, in a fork that kills itself (SIGKILL) when it is about to execute the N-th statement that has
STATEMENT in it. Prints the signal that ended each.
"""

import os
import signal
import sys
from typing import Any

from sqlalchemy import Engine, event

from temporal_pipeline.database import Database
from temporal_pipeline.defs.periods import linking
from temporal_pipeline.entities import find_entities
from tests.operations.reanalysis.world import again

SMALL_STEPS = {"most": 20}


def main(*arguments: str) -> None:
    """Fork for each triple, and wait."""
    for i in range(0, len(arguments), 3):
        url, statement, times = arguments[i : i + 3]
        child = os.fork()
        if child == 0:
            _die(url, statement, int(times))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}\n")


def _die(url: str, statement: str, times: int) -> None:
    left = times

    def count(_connection: Any, _cursor: Any, executed: str, *_: Any) -> None:
        nonlocal left
        left -= statement in executed
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    linking.MOVED_AT_ONCE = SMALL_STEPS
    database = Database(url)
    with database.transaction(read_only=True) as connection:
        [topic] = find_entities(connection, ["topic:AI agents"]) or []
    again(database, topic)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
