"""The web interface with its daemon, as `make ui` starts them."""

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from temporal_pipeline.settings import PROJECT_ROOT
from tests.command_line import CommandLine
from tests.deploy.stack import HOST, free_port

START_SECONDS = 180
END_SECONDS = 30
LOOK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True)
class WebInterface:
    """What was started: its address, the process that owns all others, and what it says."""

    address: str
    process: "subprocess.Popen[bytes]"
    log: Path


def serving(port: int) -> tuple[str, ...]:
    """The words of `make ui` after `temporal-pipeline`, up to the path of workspace.yaml."""
    return ("exec", "--", "dagster", "dev", "--host", HOST, "--port", str(port), "--workspace")


@contextmanager
def web_interface(command: CommandLine, folder: Path) -> Iterator[WebInterface]:
    """Serve until the block ends, then end everything that was started."""
    port = free_port()
    variables = command.variables | {"PYTHONPATH": str(PROJECT_ROOT), "PYTHONWARNINGS": "ignore:Function"}
    log = folder / "ui.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command.command(*serving(port), PROJECT_ROOT / "workspace.yaml"),
            # Elsewhere than beside dagster.yaml, as `make ui` does.
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        served = WebInterface(f"http://{HOST}:{port}", process, log)
        _wait(served)
        yield served
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(served: WebInterface) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{served.address}/server_info", timeout=START_SECONDS).close()
            return
        except OSError:
            assert served.process.poll() is None, served.log.read_text()
            assert time.monotonic() < deadline, served.log.read_text()
            time.sleep(LOOK_AGAIN_SECONDS)
