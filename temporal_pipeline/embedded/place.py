"""Where an embedded server lives: its folder, its socket, its connection URLs."""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from temporal_pipeline.embedded.binaries import find_binaries, major_version
from temporal_pipeline.errors import PipelineError

DATABASE = "crosshot"
SUPERUSER = "crosshot"
PORT = 5432

# PostgreSQL refuses to run as root, and the account that runs it instead may not enter root's own folders.
ROOT_FOLDER = Path("/var/lib/temporal_pipeline")
# A socket's path has at most 107 bytes; the file in it is called .s.PGSQL.5432, with a .lock beside it.
LONGEST_SOCKET_FOLDER = 84


@dataclass(frozen=True)
class Place:
    """Where one server lives: the same for all processes with the same home, account and major version."""

    folder: Path
    bin: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def users_lock(self) -> Path:
        return self.folder / "users.lock"

    @property
    def keeper_lock(self) -> Path:
        return self.folder / "keeper.lock"

    @property
    def keeper_log(self) -> Path:
        return self.folder / "keeper.log"

    @property
    def server_log(self) -> Path:
        return self.data / "server.log"

    @property
    def postmaster_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def says_ready(self) -> bool:
        """Whether the server's own file says that it accepts connections; it may have died since."""
        try:
            return "ready" in self.postmaster_file.read_text().split()
        except OSError:
            return False

    @property
    def name(self) -> str:
        """A name that no other place has; it also marks the server's processes in the process list."""
        return f"temporal_pipeline-{os.geteuid()}-{_digest(self.folder)}"

    @property
    def socket_folder(self) -> Path:
        """The data folder, which only the server's account (and root) may enter.

        A folder in /tmp where that path is too long for a socket, or has characters with a meaning of their
        own in a connection string; not in TMPDIR, which may differ between processes.
        """
        path = str(self.data)
        if len(path) <= LONGEST_SOCKET_FOLDER and re.fullmatch(r"[A-Za-z0-9_./-]+", path):
            return self.data
        return Path("/tmp") / self.name  # noqa: S108 - the keeper verifies its owner

    def url(self, database: str = DATABASE, scheme: str = "postgresql") -> str:
        """A connection URL. It names the port because PGPORT would otherwise change the socket's name."""
        return f"{scheme}://{SUPERUSER}@/{database}?host={self.socket_folder}&port={PORT}"

    def connect(self, database: str) -> "psycopg.Connection[Any]":
        """A connection in autocommit mode; psycopg.OperationalError while the server is not ready."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=10)


def state_folder(home: Path) -> Path:
    """The folder that holds all that the embedded server of `home` keeps."""
    return ROOT_FOLDER / _digest(home) if os.geteuid() == 0 else home.resolve()


def find_place(home: Path) -> Place:
    """The place of the server of `home`, with its folders and, as root, the binaries' copy made.

    Raises PipelineError when there are no binaries or a folder cannot be written.
    """
    base = state_folder(home)
    try:
        if os.geteuid() == 0:
            make_folder(ROOT_FOLDER, 0o755)
        make_folder(base, 0o755)
        binaries = find_binaries(ROOT_FOLDER)
        folder = base / f"postgres-{major_version(binaries)}"
        make_folder(folder, 0o755)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"no write permission for {folder}")
    except (OSError, shutil.Error) as error:
        raise PipelineError(
            f"cannot make the embedded PostgreSQL's folders: {error}",
            hint="set TEMPORAL_PIPELINE_HOME to a folder that you may write, or DATABASE_URL to a server",
        ) from None
    return Place(folder, binaries)


def make_folder(path: Path, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make a folder with exactly this mode and owner, whatever the umask; an existing one stays as it is.

    It gets its name only when it is complete, so that nobody ever meets a half-made one.
    """
    if path.is_dir():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    unfinished.chmod(mode)
    if owner is not None:
        os.chown(unfinished, *owner)
    try:
        unfinished.rename(path)
    except OSError:
        unfinished.rmdir()
        if not path.is_dir():
            raise


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log file; nothing when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
