"""`temporal-pipeline exec`: other programs with our environment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from temporal_pipeline.dagster_home import libpq_url
from temporal_pipeline.database import Database
from temporal_pipeline.embedded.keeper import POLL_SECONDS
from tests.command_line import CommandLine, On
from tests.embedded.users import remove_state


def test_exec_passes_on_environment_arguments_and_exit_code(on: On, legacy_database: Database) -> None:
    program = (
        "import os, sys; print(os.environ['DATABASE_URL'], os.environ['DAGSTER_DATABASE_URL'], sys.argv[1:])"
    )
    done = on(legacy_database)("exec", "--", sys.executable, "-c", f"{program}; sys.exit(7)", "--json", "-h")
    assert done.returncode == 7, done.stderr
    url, dagster_url, arguments = done.stdout.split(maxsplit=2)
    assert url == libpq_url(legacy_database)
    assert dagster_url.startswith("postgresql+psycopg2://")
    assert arguments.strip() == "['--json', '-h']"
    with psycopg.connect(url) as connection:
        assert connection.info.dbname == make_url(legacy_database.url).database


def test_exec_of_an_unknown_program_is_2(on: On, legacy_database: Database) -> None:
    done = on(legacy_database)("exec", "--", "no-such-program")
    assert done.returncode == 2
    assert "no-such-program" in done.stderr


def test_exec_leaves_ctrl_c_to_the_program(on: On, legacy_database: Database) -> None:
    """A terminal sends SIGINT to both; we wait for the program and pass on what it makes of it."""
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(42))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = on(legacy_database)
    with subprocess.Popen(
        command.command("exec", "--", sys.executable, "-c", program),
        env=command.variables,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 42


def test_exec_passes_on_sigterm(on: On, legacy_database: Database) -> None:
    command = on(legacy_database)
    program = "import time; print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen(
        command.command("exec", "--", sys.executable, "-c", program),
        env=command.variables,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM


def test_exec_keeps_the_embedded_server_up_for_the_program_even_if_killed(tmp_path: Path) -> None:
    """The program holds a share in the server itself, so that kill -9 of us takes nothing away from it."""
    home = tmp_path / "home"
    program = (
        "import os, sys, psycopg\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "print(psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT 42').fetchone()[0], flush=True)\n"
    )
    command = CommandLine(home)
    try:
        with subprocess.Popen(
            command.command("exec", "--", sys.executable, "-c", program),
            env=command.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.kill()
            process.wait(30)
            # Were the program no user of it, the server would be stopped by now.
            time.sleep(3 * POLL_SECONDS)
            process.stdin.close()
            assert process.stdout.readline() == "42\n"
    finally:
        remove_state(home)
