"""A receiver and a clock."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.alerts.receiver import Clock, Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC))
