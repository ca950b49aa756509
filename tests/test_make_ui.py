"""`make ui` serves this machine only, unless told to take the risk by its name."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from temporal_pipeline.settings import PROJECT_ROOT
from tests.e2e.running import serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The Makefile beside an environment whose program says how it was called."""
    shutil.copy(PROJECT_ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    program = tmp_path / ".venv" / "bin" / "temporal-pipeline"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "called: $*"\n')
    program.chmod(0o755)
    for name in (".requirements-installed", ".project-installed"):
        (tmp_path / ".venv" / name).touch()
    return tmp_path


# Whatever listens on this machine, for tests that do not ask.
NOBODY_LISTENS = "PYTHON=false"


def make_ui(
    folder: Path, *options: str, listening: str = NOBODY_LISTENS
) -> "subprocess.CompletedProcess[str]":
    # Without what the `make test` that we may be part of tells its children.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.run(
        ["make", "--no-print-directory", "ui", listening, *options],
        cwd=folder,
        env=environment | {"HOST": "not asked", "PORT": "not asked"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("HOST=localhost",), ("HOST=::1",), ("PORT=3100",)])
def test_this_machine_is_served(folder: Path, options: tuple[str, ...]) -> None:
    done = make_ui(folder, *options)
    assert (done.returncode, done.stderr) == (0, "")
    given = {"HOST": "127.0.0.1", "PORT": "3000"} | dict(option.split("=") for option in options)
    assert f"--host {given['HOST']} --port {given['PORT']} " in done.stdout


def test_it_is_what_the_scenarios_in_the_browser_start(folder: Path) -> None:
    assert f"called: {' '.join(serving(3000))} ../workspace.yaml\n" in make_ui(folder).stdout


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.10", "example.com", "127.0.0.1.example.com", "127.0.0.1 0.0.0.0", ""]
)
@pytest.mark.parametrize("risk", [(), ("ANYBODY_MAY_START_RUNS=",), ("ANYBODY_MAY_START_RUNS=no",)])
def test_others_are_not(folder: Path, host: str, risk: tuple[str, ...]) -> None:
    done = make_ui(folder, f"HOST={host}", *risk)
    assert done.returncode != 0
    assert "called:" not in done.stdout
    assert f"error: not on {host}: the web interface has no authentication" in done.stderr
    assert f"make ui HOST={host} ANYBODY_MAY_START_RUNS=yes" in done.stderr


def test_who_names_the_risk_may_take_it(folder: Path) -> None:
    done = make_ui(folder, "HOST=0.0.0.0", "ANYBODY_MAY_START_RUNS=yes")
    assert done.returncode == 0
    assert "--host 0.0.0.0 --port 3000 " in done.stdout
    assert "whoever reaches 0.0.0.0:3000 may start and cancel runs" in done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_taken_port_is_refused_before_a_second_daemon_starts(folder: Path, host: str) -> None:
    python = f"PYTHON={sys.executable}"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = make_ui(folder, f"HOST={host}", f"PORT={port}", listening=python)
    assert refused.returncode != 0
    assert "called:" not in refused.stdout
    assert f"error: something listens on {host}:{port} already" in refused.stderr
    assert make_ui(folder, f"PORT={port}", listening=python).returncode == 0
