from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.users import everything_stopped, remove_state, wait_until


@pytest.fixture
def fresh_home(tmp_path: Path) -> Iterator[Path]:
    """A home that has no server yet."""
    home = tmp_path / "home"
    yield home
    remove_state(home)


@pytest.fixture(scope="session")
def known_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("embedded") / "home"
    yield home
    remove_state(home)


@pytest.fixture
def home(known_home: Path) -> Iterator[Path]:
    """A home whose server exists after the first test, and stands still before and after each one."""
    yield known_home
    wait_until(lambda: everything_stopped(known_home))
