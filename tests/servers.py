"""Servers of a test's own, beside the one that all tests share."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from temporal_pipeline.embedded.binaries import OLDEST_MAJOR, SYSTEM_BINARIES, find_binaries, major_version
from temporal_pipeline.embedded.place import ROOT_FOLDER, Place
from temporal_pipeline.embedded.server import Server
from temporal_pipeline.errors import PipelineError


def embedded_binaries() -> Path:
    """The programs of the PostgreSQL that `make test` runs on."""
    return find_binaries(ROOT_FOLDER)


def second_binaries() -> Path:
    """The programs of the newest installed PostgreSQL that is older than the embedded one.

    Raises PipelineError (exit code 5) when there is none.
    """
    embedded = major_version(embedded_binaries())
    folders = [folder for pattern in SYSTEM_BINARIES for folder in Path("/").glob(pattern.lstrip("/"))]
    found = {major_version(folder): folder for folder in folders if (folder / "postgres").exists()}
    usable = [major for major in found if OLDEST_MAJOR <= major < embedded]
    if not usable:
        raise PipelineError(
            f"there is no second PostgreSQL, of version {OLDEST_MAJOR} to {embedded - 1}, to test on",
            hint="install one, for example `apt-get install postgresql-15`; it need not run",
            exit_code=5,
        )
    return found[max(usable)]


@contextmanager
def new_server(binaries: Path) -> Iterator[Place]:
    """A new server in a folder of its own, on a socket there; both are gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="temporal_pipeline-") as folder:
        place = Place(Path(folder), binaries)
        # The account that runs the server instead of root has to enter it; the data folder stays its own.
        place.folder.chmod(0o755)
        server = Server(place)
        try:
            server.ensure_ready()
            yield place
        finally:
            server.stop()
