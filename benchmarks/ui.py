"""What `make ui` takes on the demo: time to a usable page, memory, and work while nobody does anything.

`python -m benchmarks.ui [--json]`. A page is usable when a browser shows the lineage with its groups; that takes
Chromium. Memory is what all processes hold together, shared pages counted once (PSS, Linux only), those of the embedded
PostgreSQL included; it is read before and after the idle minute. The marks: 20 s, 900 MB, 5 % of a core.
"""

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from temporal_pipeline.database import Database
from temporal_pipeline.embedded import attach, state_folder
from tests.command_line import CommandLine
from tests.e2e.browser import open_browser
from tests.e2e.demo import play_month
from tests.e2e.running import web_interface
from tests.embedded.users import remove_state

# The daemon's first round, which asks every sensor and schedule, is over by then.
SETTLE_SECONDS = 45
IDLE_SECONDS = 60
MEGABYTE = 1e6


@dataclass(frozen=True)
class Figures:
    """`processes`: the megabytes (PSS) of each kind. `others_percent_of_a_core`: what the rest of the machine was
    doing in the idle minute; far from 0, the figures are noisy.
    """

    seconds_to_a_page: float
    cpu_seconds_to_a_page: float
    megabytes: float
    megabytes_after_a_minute: float
    idle_percent_of_a_core: float
    others_percent_of_a_core: float
    processes: dict[str, float]
    idle_percent: dict[str, float]


def measure() -> Figures:
    """Play the demo's thirty days in a folder of their own, serve, look, wait."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, ExitStack() as stack:
        home = Path(folder) / "home"
        stack.callback(remove_state, home)
        command = CommandLine(home)
        database = Database(stack.enter_context(attach(home)).url())
        stack.callback(database.dispose)
        play_month(database, command)
        page = stack.enter_context(open_browser())
        started = time.monotonic()
        served = stack.enter_context(web_interface(command, Path(folder)))
        page.open(f"{served.address}/asset-groups")
        page.sees("^trends$", css="svg *")
        seconds = time.monotonic() - started
        page.open("about:blank")
        main = psutil.Process(served.process.pid)
        cpu = sum(_cpu(_processes(main, home)).values())
        time.sleep(SETTLE_SECONDS)
        processes = _processes(main, home)
        before, machine, began = _cpu(processes), psutil.cpu_times(), time.monotonic()
        held = _memory(processes)
        time.sleep(IDLE_SECONDS)
        elapsed = time.monotonic() - began
        after, machine_after = _cpu(processes), psutil.cpu_times()
        idle = {pid: 100 * (after[pid] - before[pid]) / elapsed for pid in after}
        busy = 100 * (_busy(machine_after) - _busy(machine)) / elapsed
        return Figures(
            seconds_to_a_page=seconds,
            cpu_seconds_to_a_page=cpu,
            megabytes=sum(held.values()),
            megabytes_after_a_minute=sum(_memory(_processes(main, home)).values()),
            idle_percent_of_a_core=sum(idle.values()),
            others_percent_of_a_core=busy - sum(idle.values()),
            processes=_by_kind(processes, held),
            idle_percent=_by_kind(processes, idle),
        )


def _processes(main: psutil.Process, home: Path) -> list[psutil.Process]:
    """What `make ui` has started, and the embedded server with a process per connection."""
    place = str(state_folder(home))
    servers = [p for p in psutil.process_iter() if p.name() == "postgres" and place in " ".join(p.cmdline())]
    backends = [child for server in servers for child in server.children(recursive=True)]
    return [main, *main.children(recursive=True), *servers, *backends]


def _cpu(processes: list[psutil.Process]) -> dict[int, float]:
    found = {}
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found[process.pid] = times.user + times.system
    return found


def _memory(processes: list[psutil.Process]) -> dict[int, float]:
    found = {}
    for process in processes:
        try:
            found[process.pid] = process.memory_full_info().pss / MEGABYTE
        except psutil.NoSuchProcess:
            continue
    return found


def _busy(times: "psutil._ntp.scputimes") -> float:
    return float(times.user + times.system + times.nice)


def _by_kind(processes: list[psutil.Process], figures: dict[int, float]) -> dict[str, float]:
    """The sum of each kind of process."""
    found: dict[str, float] = {}
    for process in processes:
        if process.pid in figures:
            kind = _kind(process)
            found[kind] = found.get(kind, 0) + figures[process.pid]
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _kind(process: psutil.Process) -> str:
    try:
        name, words = process.name(), " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return "ended"
    if name == "postgres":
        return "PostgreSQL"
    kinds = {
        "dagster_webserver": "webserver",
        "dagster-webserver": "webserver",
        "dagster._daemon": "daemon",
        "api grpc": "code server",
        "code-server": "code server",
        "multiprocessing": "helpers",
        "cli exec": "temporal-pipeline exec",
        "dagster dev": "dagster dev",
    }
    return next((kind for mark, kind in kinds.items() if mark in words), words[:60])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure()
    if arguments.json:
        print(json.dumps(asdict(figures), indent=2))
        return
    print(
        f"a usable page after {figures.seconds_to_a_page:.1f} s ({figures.cpu_seconds_to_a_page:.1f} s of CPU)"
    )
    print(f"memory {figures.megabytes:.0f} MB, {figures.megabytes_after_a_minute:.0f} MB a minute later")
    print(
        f"idle {figures.idle_percent_of_a_core:.1f} % of a core "
        f"(others were using {figures.others_percent_of_a_core:.0f} %)"
    )
    for kind, megabytes in figures.processes.items():
        print(f"  {kind:<24} {megabytes:>5.0f} MB  {figures.idle_percent.get(kind, 0):>5.2f} %")


if __name__ == "__main__":
    main()
