"""What comes of an attempt, whatever the receiver does; and in which words."""

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from temporal_pipeline.alerts.posting import Outcome, post
from tests.alerts.receiver import SECRET, Receiver


@pytest.mark.parametrize(
    ("status", "failure", "is_refused"),
    [
        (200, None, False),
        (204, None, False),
        (302, "HTTP 302 Found", True),
        (404, "HTTP 404 Not Found", True),
        (408, "HTTP 408 Request Timeout", False),
        (429, "HTTP 429 Too Many Requests", False),
        (500, "HTTP 500 Internal Server Error", False),
        (599, "HTTP 599", False),
    ],
)
def test_an_answer(receiver: Receiver, status: int, failure: str | None, is_refused: bool) -> None:
    receiver.answers = [(status, {"Location": f"{receiver.url}/elsewhere"})]
    assert post(receiver.url, b"{}", "key", 5) == Outcome(failure, is_refused)
    assert receiver.keys == ["key"]


def test_the_receiver_asks_for_patience(receiver: Receiver) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    never = "Fri, 31 Dec 9999 23:59:59 -1200"
    receiver.answers = [(429, {"Retry-After": value}) for value in ("120", later, "soon", "-5", never)]
    outcomes = [post(receiver.url, b"{}", "key", 5) for _ in range(5)]
    assert {outcome.failure for outcome in outcomes} == {"HTTP 429 Too Many Requests"}
    asked = [outcome.retry_after for outcome in outcomes]
    assert asked[0] == 120
    assert 290 < asked[1] <= 300
    assert asked[2:] == [0, 0, 0]


def test_a_receiver_that_hangs(receiver: Receiver) -> None:
    receiver.may_answer.clear()
    began = time.monotonic()
    assert post(receiver.url, b"{}", "key", 0.2) == Outcome("no answer within 0.2 s")
    assert time.monotonic() - began < 5


def test_a_receiver_that_says_a_byte_at_a_time_hangs_as_well() -> None:
    """Each of them begins the timeout of a socket anew."""
    is_over = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not is_over.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        outcome = post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", "key", 0.3)
        is_over.set()
        dripping.join()
    assert outcome == Outcome("no answer within 0.3 s")


def test_a_receiver_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert post(f"http://127.0.0.1:{port}/{SECRET}", b"{}", "key", 5) == Outcome("connection refused")
    outcome = post(f"http://{SECRET}.invalid/", b"{}", "key", 10)
    assert outcome == Outcome("its host is not known")


def test_a_receiver_that_speaks_no_tls(receiver: Receiver) -> None:
    outcome = post(receiver.url.replace("http:", "https:"), b"{}", "key", 5)
    assert outcome.failure is not None
    assert outcome.failure.startswith("no secure connection")
