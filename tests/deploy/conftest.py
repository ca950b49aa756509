"""One deployed database for the tests of roles and of the layout."""

from collections.abc import Iterator

import pytest

from tests.deploy.stack import Stack, running_stack


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """A server with roles and databases, the application's still as the application makes it."""
    with running_stack() as running:
        yield running


@pytest.fixture(scope="package")
def migrated(stack: Stack) -> Stack:
    """The same after the service `migrate` has done its work."""
    done = stack.run("migrate", *stack.model["services"]["migrate"]["command"])
    assert done.returncode == 0, done.stdout + done.stderr
    return stack
