"""The services of docker-compose.yml without containers: the same programs, arguments, variables and secrets,
with ports and paths of this machine; and a PostgreSQL that takes TCP and passwords only.
"""

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import PROJECT_ROOT
from temporal_pipeline.urls import as_libpq_reads_it
from tests.deploy import compose
from tests.servers import embedded_binaries, second_binaries

DEPLOY = PROJECT_ROOT / "deploy"
HOST = "127.0.0.1"
ROLES = {"postgres": "postgres", "crosshot": "owner", "pipeline": "pipeline", "analyst": "analyst"}
START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """A folder with secrets, a server with the roles and databases of deploy/roles.sql, services on demand."""

    folder: Path
    binaries: Path
    files: tuple[Path, ...] = (compose.BASE,)
    database_port: int = field(default_factory=free_port)
    code_port: int = field(default_factory=free_port)
    web_ports: dict[str, int] = field(
        default_factory=lambda: {"webserver": free_port(), "viewer": free_port()}
    )
    server: "Server" = field(init=False)

    def __post_init__(self) -> None:
        self.secrets = self.folder / "secrets"
        subprocess.run([DEPLOY / "make_secrets.sh", self.secrets], check=True, capture_output=True)
        home = self.folder / "home" / "dagster"
        home.mkdir(parents=True)
        (home / "dagster.yaml").symlink_to(PROJECT_ROOT / "dagster.yaml")
        programs = self.folder / "bin"
        programs.mkdir()
        verb = programs / "temporal-pipeline"
        verb.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m temporal_pipeline.cli "$@"\n')
        verb.chmod(0o755)

    @property
    def model(self) -> dict[str, Any]:
        return compose.model(*self.files, variables={"POSTGRES_HOST": HOST})

    def password(self, role: str) -> str:
        return (self.secrets / f"{ROLES[role]}_password").read_text()

    def url(self, role: str, database: str = "crosshot") -> str:
        return as_libpq_reads_it(
            URL.create("postgresql", role, self.password(role), HOST, self.database_port, database)
        )

    def psql(
        self, role: str, *arguments: str | Path, database: str = "crosshot"
    ) -> subprocess.CompletedProcess[str]:
        """Run psql as a role."""
        return subprocess.run(
            ["psql", "--no-psqlrc", "--dbname", self.url(role, database), *arguments],
            env=self.environment | {"SECRETS": str(self.secrets)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What the image sets, for a program of this machine."""
        path = (self.folder / "bin", Path(sys.executable).parent, self.binaries, os.environ["PATH"])
        return compose.without_secrets_of_ours() | {
            "PATH": os.pathsep.join(map(str, path)),
            "PYTHONPATH": str(PROJECT_ROOT),
            "PYTHONWARNINGS": "ignore:Function",
            "TEMPORAL_PIPELINE_HOME": str(self.folder / "home"),
            "TEMPORAL_PIPELINE_BACKUPS": str(self.folder / "backups"),
            "DAGSTER_HOME": str(self.folder / "home" / "dagster"),
        }

    def of_this_machine(self, service: str, text: str) -> str:
        """Ports and paths of the containers replaced by those of this machine."""
        return (
            text.replace(":5432/", f":{self.database_port}/")
            .replace("4000", str(self.code_port))
            .replace("3000", str(self.web_ports.get(service, 3000)))
            .replace("0.0.0.0", HOST)
            .replace("/run/secrets", str(self.secrets))
            .replace("/sql/legacy.sql", str(PROJECT_ROOT / "temporal_pipeline/crosshot/legacy.sql"))
            .replace("/sql/roles.sql", str(DEPLOY / "roles.sql"))
        )

    def adapted(self, service: str, file: Path) -> Path:
        """A file of the project with ports and paths of this machine."""
        copy = self.folder / f"{service}-{file.name}"
        copy.write_text(self.of_this_machine(service, file.read_text()))
        return copy

    def command(self, service: str, words: list[str]) -> list[str]:
        """What a container would execute."""
        files = {"deploy/workspace.yaml", "deploy/healthy.py"}
        found = []
        for word in words:
            option, mark, path = word.rpartition("=")
            if path in files:
                path = str(self.adapted(service, PROJECT_ROOT / path))
            found.append(self.of_this_machine(service, f"{option}{mark}{path}"))
        return found

    def variables(self, service: str) -> dict[str, str]:
        given = self.model["services"][service].get("environment", {})
        told = {name: self.of_this_machine(service, value) for name, value in given.items()}
        return self.environment | told | ({"CODE_HOST": HOST} if "CODE_HOST" in told else {})

    def run(self, service: str, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """`docker compose run --rm SERVICE WORDS`."""
        return subprocess.run(
            [DEPLOY / "entrypoint.sh", *self.command(service, list(words))],
            cwd=PROJECT_ROOT,
            env=self.variables(service),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """What `docker compose up NAME` starts; what it says is added to the service's log."""
        command = self.model["services"][name]["command"]
        with self.log(name).open("ab") as output:
            return subprocess.Popen(
                [DEPLOY / "entrypoint.sh", *self.command(name, command)],
                cwd=PROJECT_ROOT,
                env=self.variables(name),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def wait_until_healthy(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """The daemon is not waited for: it says that it is well only after minutes."""
        deadline = time.monotonic() + START_SECONDS
        while name != "daemon" and not self.is_healthy(name):
            assert process.poll() is None, self.log(name).read_text()[-3000:]
            assert time.monotonic() < deadline, self.log(name).read_text()[-3000:]
            time.sleep(0.2)

    @contextmanager
    def service(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """`docker compose up NAME`, healthy at first, gone with all that it started at the end."""
        process = self.start(name)
        try:
            self.wait_until_healthy(name, process)
            yield process
        finally:
            end(process)

    def is_healthy(self, service: str) -> bool:
        test = self.model["services"][service]["healthcheck"]["test"]
        assert test[0] == "CMD"
        return self.run(service, *test[1:]).returncode == 0

    def graphql(self, service: str, query: str, **variables: Any) -> Any:
        """What a webserver answers."""
        request = urllib.request.Request(
            f"http://{HOST}:{self.web_ports[service]}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            document = json.load(answer)
        assert "errors" not in document, document
        return document["data"]


def end(process: subprocess.Popen[bytes]) -> None:
    """End a service with all that it started."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # Processes of runs are in the session that was made for them.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def running_stack(*files: Path) -> Iterator[Stack]:
    """A stack, of these compose files, whose server is up and has what a new container gives it."""
    with tempfile.TemporaryDirectory(prefix="temporal_pipeline-") as folder, ExitStack() as cleaning:
        # The account that runs the server instead of root has to enter it; the data folder stays its own.
        Path(folder).chmod(0o755)
        stack = Stack(Path(folder), _binaries(), files or (compose.BASE,))
        stack.server = Server(stack)
        stack.server.start()
        cleaning.callback(stack.server.stop)
        made = stack.psql(
            "postgres", "--file", stack.adapted("postgres", DEPLOY / "initdb.sql"), database="postgres"
        )
        assert made.returncode == 0, made.stderr
        yield stack


def _binaries() -> Path:
    try:
        return second_binaries()
    except PipelineError:
        return embedded_binaries()


class Server:
    """A PostgreSQL on TCP that lets nobody in without a password."""

    def __init__(self, stack: Stack) -> None:
        self.binaries = stack.binaries
        self.log = stack.log("postgres")
        self.data = stack.folder / "data"
        self.options = f"-h {HOST} -p {stack.database_port} -k {self.data} -c fsync=off"
        self.owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.getuid())
        self.data.mkdir(mode=0o700)
        os.chown(self.data, self.owner.pw_uid, self.owner.pw_gid)
        password = stack.folder / "superuser"
        password.write_text(stack.password("postgres"))
        self._program(
            "initdb",
            *("--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync"),
            *("--encoding=UTF8", "--locale=C", "--lc-ctype=C.UTF-8"),
        )

    def start(self) -> None:
        self._program("pg_ctl", "start", "-w", "-o", self.options)

    def stop(self) -> None:
        self._program("pg_ctl", "stop", "-m", "immediate")

    def kill(self) -> None:
        """Kill the postmaster and all its children, as a failure of the machine would; wait until they are gone."""
        postmaster = int((self.data / "postmaster.pid").read_text().partition("\n")[0])
        # So that it starts no more of them.
        os.kill(postmaster, signal.SIGSTOP)
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        processes = [tuple(map(int, line.split())) for line in listing.stdout.splitlines()]
        family = [postmaster, *(pid for pid, parent in processes if parent == postmaster)]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + START_SECONDS
        while any(Path(f"/proc/{pid}").exists() for pid in family):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _program(self, name: str, *arguments: str | Path) -> None:
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            identity = {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []}
        # Into a file, since a server keeps what it is given open for as long as it lives.
        with self.log.open("ab") as output:
            done = subprocess.run(
                [self.binaries / name, "-D", self.data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                cwd="/",
                **identity,
            )
        assert done.returncode == 0, self.log.read_text()
