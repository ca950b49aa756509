"""One attempt to hand a message to a webhook, and what came of it, in words that give no address away."""

import http.client
import ssl
import threading
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from socket import gaierror
from typing import Any
from urllib.error import HTTPError, URLError

from temporal_pipeline import __version__

TIMEOUT_SECONDS = 10.0
# 4xx that ask for patience.
PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt; without a `failure` it was taken.

    `is_refused`: the receiver understood and does not want it, so that another attempt will hardly change that.
    `retry_after`: seconds for which the receiver asked to be left alone.
    """

    failure: str | None = None
    is_refused: bool = False
    retry_after: float = 0.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would turn a POST into a GET, and show the message to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(url: str, body: bytes, key: str, timeout: float = TIMEOUT_SECONDS) -> Outcome:
    """POST a JSON document; never raises. All of it takes `timeout` seconds at most.

    The timeout of a socket begins anew with each byte, and looking up a name has none: hence the thread, which
    is left to itself when the time is over.
    """
    outcomes: list[Outcome] = []
    request = urllib.request.Request(  # noqa: S310 - channels_of takes http and https only
        url,
        body,
        {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "User-Agent": f"temporal-pipeline/{__version__}",
        },
    )
    thread = threading.Thread(target=lambda: outcomes.append(_attempt(request, timeout)), daemon=True)
    thread.start()
    thread.join(timeout)
    return outcomes[0] if outcomes else Outcome(_too_late(timeout))


def _attempt(request: urllib.request.Request, timeout: float) -> Outcome:
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=timeout):
            return Outcome()
    except HTTPError as error:
        with error:
            return _answered(error)
    except Exception as error:
        return Outcome(_reason(error, timeout))


def _answered(error: HTTPError) -> Outcome:
    # The server's own words may repeat the address.
    phrase = next((f" {status.phrase}" for status in HTTPStatus if status == error.code), "")
    return Outcome(
        f"HTTP {error.code}{phrase}",
        is_refused=error.code < 500 and error.code not in PASSING,
        retry_after=_retry_after(error.headers.get("Retry-After", "")),
    )


def _retry_after(value: str) -> float:
    """Seconds of a Retry-After header, which holds a number or a date; 0 for anything else."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value).astimezone(UTC)
    # The last day of the calendar, elsewhere.
    except (ValueError, OverflowError):
        return 0.0
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)


def _reason(error: Exception, timeout: float) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return _too_late(timeout)
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, gaierror):
        return "its host is not known"
    if isinstance(cause, ssl.SSLError):
        return "no secure connection: its certificate was not accepted, or it speaks no TLS"
    if isinstance(cause, ConnectionError | http.client.HTTPException):
        return "the connection was lost"
    return f"no connection ({type(cause).__name__})"


def _too_late(timeout: float) -> str:
    return f"no answer within {timeout:g} s"
