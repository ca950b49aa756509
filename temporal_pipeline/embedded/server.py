"""The server's processes: made, started, adopted and stopped by the one keeper of a place."""

import logging
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from temporal_pipeline.embedded.place import DATABASE, PORT, SUPERUSER, Place, make_folder, tail
from temporal_pipeline.errors import PipelineError

log = logging.getLogger(__name__)

# Recovery of a crashed server that had much to write may take minutes.
START_SECONDS = 300
# Long-lived users do not attach again: what goes wrong only once must not cost them the server.
START_ATTEMPTS = 3
STOP_SECONDS = 60
# PostgreSQL's processes end at once on SIGQUIT, unless they hang.
PATIENCE_SECONDS = 10
# Nothing of the caller's environment (PGDATA, PGOPTIONS, LC_ALL …) may reach the server.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}
CHINESE_TEXT = "人工智能"


class Server:
    """The server of a place; to be used only by the holder of the place's keeper lock."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.postmaster: int | None = None

    def ensure_ready(self) -> None:
        """See to it that the server runs and has its database; costs next to nothing when it does.

        Raises PipelineError when it does not start or cannot be used.
        """
        running = self._find_postmaster()
        if running is not None and running == self.postmaster:
            return
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self._find_postmaster() is None:
                self._start()
            self.postmaster = self._find_postmaster()
            try:
                self._prepare()
            except psycopg.OperationalError as error:
                # A server that an earlier keeper left behind may be starting, recovering or on its way down.
                if time.monotonic() > deadline:
                    raise PipelineError(f"the server cannot be used: {error}") from error
                log.info("not ready yet: %s", error)
                time.sleep(0.2)
            else:
                log.info("PostgreSQL is ready, process %s", self.postmaster)
                return

    def stop(self) -> None:
        """Stop the server and wait for its end; connections are ended, transactions rolled back."""
        postmaster = self.postmaster or self._find_postmaster()
        if postmaster is None or not self._is_postmaster(postmaster):
            return
        log.info("stopping PostgreSQL, process %d", postmaster)
        if postmaster == self._find_postmaster():
            self._pg_ctl("stop", "-m", "fast", "-t", STOP_SECONDS)
        # Only if its folder was deleted, or it hangs; nothing that was committed is lost this way either.
        self._end(lambda: [postmaster] if self._is_postmaster(postmaster) else [])
        if self.place.socket_folder != self.place.data:
            with suppress(OSError):
                self.place.socket_folder.rmdir()

    def _start(self) -> None:
        if self.place.socket_folder != self.place.data:
            self._make_socket_folder()
        for _ in range(START_ATTEMPTS):
            # A new postmaster must never meet what a killed one, or a killed keeper's tools, left behind.
            self._end(self._processes)
            if not self.place.data.exists():
                self._create()
            # They name none of our processes, and a zombie or stranger of that number would stop PostgreSQL.
            self.place.postmaster_file.unlink(missing_ok=True)
            (self.place.socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
            if self._launch():
                return
        raise PipelineError(f"PostgreSQL did not start, and logged:\n{tail(self.place.server_log)}")

    def _launch(self) -> bool:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.place.socket_folder),
            "port": str(PORT),
            "cluster_name": self.place.name,
            "max_connections": "200",
            "shared_buffers": "128MB",
            "fsync": "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = " ".join(shlex.quote(f"--{name}={value}") for name, value in settings.items())
        log.info("starting PostgreSQL in %s", self.place.data)
        return self._pg_ctl("start", "-l", self.place.server_log, "-o", options, "-t", START_SECONDS)

    def _create(self) -> None:
        """Make the data folder: complete under its final name, or not at all."""
        for abandoned in self.place.folder.glob("data.*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        unfinished = self.place.data.with_name(f"data.{os.getpid()}")
        make_folder(unfinished, 0o700, self._owner)
        log.info("creating the data folder %s", self.place.data)
        created = self._run(
            self.place.bin / "initdb",
            *("-D", unfinished, "--username", SUPERUSER, "--auth", "trust", "--no-instructions"),
            # With ctype C, Chinese characters are no letters and have no trigrams.
            *("--encoding", "UTF8", "--locale", "C", "--lc-collate", "C", "--lc-ctype", "C.UTF-8"),
        )
        if not created:
            raise PipelineError("initdb failed; its messages are above")
        unfinished.rename(self.place.data)

    def _make_socket_folder(self) -> None:
        folder = self.place.socket_folder
        make_folder(folder, 0o700, self._owner)
        status = folder.lstat()
        if folder.is_symlink() or status.st_uid != self._owner[0] or status.st_mode & 0o077:
            raise PipelineError(f"{folder} belongs to somebody else", hint="remove it, or use a shorter home")

    def _prepare(self) -> None:
        """Verify that the server knows Chinese letters, then make the database: users wait for that."""
        with self.place.connect("postgres") as connection:
            with connection.transaction(force_rollback=True):
                connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
                trigrams = connection.execute("SELECT cardinality(show_trgm(%s))", [CHINESE_TEXT]).fetchone()
            if not trigrams or not trigrams[0]:
                raise PipelineError(
                    f"pg_trgm finds no trigrams in {CHINESE_TEXT}: to this ctype these are no letters",
                    hint=f"move {self.place.data} away; a new one is made with ctype C.UTF-8",
                )
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(DATABASE))
                )

    def _find_postmaster(self) -> int | None:
        """The process that postmaster.pid names, if it lives and is the server of this very folder."""
        try:
            first_line = self.place.postmaster_file.read_text().partition("\n")[0]
        except FileNotFoundError:
            return None
        return int(first_line) if first_line.isdigit() and self._is_postmaster(int(first_line)) else None

    def _is_postmaster(self, pid: int) -> bool:
        return f"/postgres -D {self.place.data} " in command_line(pid)

    def _processes(self) -> list[int]:
        """All processes of the place: the server's (its children go by cluster_name) and its tools'."""
        marks = (
            f"/postgres -D {self.place.data} ",
            f"/pg_ctl -D {self.place.data} ",
            f"/initdb -D {self.place.data}.",
            f"postgres: {self.place.name}: ",
        )
        return [pid for pid in process_ids() if any(mark in command_line(pid) for mark in marks)]

    def _end(self, find: Callable[[], list[int]]) -> None:
        """Signal processes until none is found; SIGQUIT means to PostgreSQL: at once, as after a crash."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while processes := find():
            log.info("ending processes %s", processes)
            for pid in processes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(0.05)

    def _pg_ctl(self, verb: str, *options: str | int | Path) -> bool:
        return self._run(self.place.bin / "pg_ctl", "-D", self.place.data, "-w", verb, *options)

    def _run(self, *command: str | int | Path) -> bool:
        """Run a program as the server's account; what it prints goes to the keeper's log."""
        uid, gid = self._owner
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            identity = {"user": uid, "group": gid, "extra_groups": []}
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            check=False,
            **identity,
        )
        return done.returncode == 0

    @cached_property
    def _owner(self) -> tuple[int, int]:
        """User and group that run the server: our own; as root, who may not, an account with few rights."""
        if os.geteuid() != 0:
            return os.getuid(), os.getgid()
        if self.place.data.exists():
            status = self.place.data.stat()
            return status.st_uid, status.st_gid
        for name in ("postgres", "nobody"):
            with suppress(KeyError):
                account = pwd.getpwnam(name)
                return account.pw_uid, account.pw_gid
        raise PipelineError(
            "PostgreSQL does not run as root, and there is neither an account 'postgres' nor 'nobody'",
            hint="useradd --system postgres",
        )


def process_ids() -> list[int]:
    """All processes, from /proc, else (macOS) from ps."""
    if Path("/proc/self").exists():
        return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    listing = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(line) for line in listing.stdout.split()]


def command_line(pid: int) -> str:
    """How a process was called, or calls itself; empty for one that is dead, a zombie included.

    Everybody may read that, unlike /proc/PID/cwd and exe, which root in a container may not.
    """
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    answer = subprocess.run(
        ["ps", "-ww", "-p", str(pid), "-o", "stat=", "-o", "command="],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, command = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else f"{command.strip()} "
