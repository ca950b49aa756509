"""When a post was published, read from what its platform says about it."""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# Where platforms write the publication time in their documents, most specific first.
KEYS = (
    "created_at",
    "published_at",
    "published_date",
    "publish_time",
    "publishedAt",
    "pubDate",
    "date",
    "time",
)

NO_DATE = "no publication time in its data"
UNREADABLE = "publication time is unreadable"
TOO_EARLY = "publication time is before 1990"
TOO_LATE = "publication time is more than a day after the crawl"

# Nothing that is crawled today was published on the web before there was one; such times are zeros and
# defaults of the platform's own database.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
# Local times without their zone are at most 14 hours off, and clocks differ a little.
TOLERANCE = timedelta(days=1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# As seconds this is the year 5138, as milliseconds 1973.
_FIRST_MILLISECONDS = 1e11
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_CALENDAR_DATE = re.compile(r"\d{8}", re.ASCII)
_X_FORMAT = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d:\d\d:\d\d) ([+-]\d{4}) (\d{4})", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def find_published_at(
    candidates: Iterable[object], crawled_at: datetime
) -> tuple[datetime | None, str | None]:
    """The first plausible publication time (UTC) among a document's values under `KEYS`, or why not.

    Exactly one of the two is None. Plausible: from 1990 until a day after `crawled_at`. Where no value is
    plausible, the note is about the first one.
    """
    note = NO_DATE
    for value in candidates:
        if value is None or value == "":
            continue
        published_at = parse_time(value)
        if published_at is None:
            objection = UNREADABLE
        elif published_at < EARLIEST:
            objection = TOO_EARLY
        elif published_at - crawled_at > TOLERANCE:
            objection = TOO_LATE
        else:
            return published_at, None
        note = objection if note == NO_DATE else note
    return None, note


def parse_time(value: object) -> datetime | None:
    """A time in UTC from X's format, ISO 8601, epoch seconds or milliseconds, or RFC 2822; else None.

    A time without a zone is taken as UTC.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _from_epoch(value)
    if not isinstance(value, str):
        return None
    written = value.strip()
    if _NUMBER.fullmatch(written) and not _CALENDAR_DATE.fullmatch(written):
        return _from_epoch(float(written))
    try:
        return _in_utc(_from_x(written) or _from_iso(written) or parsedate_to_datetime(written))
    except (ValueError, TypeError, IndexError, OverflowError):
        # The e-mail parser answers nonsense with any of these.
        return None


def _from_epoch(number: float) -> datetime | None:
    try:
        seconds = float(number)
        if not math.isfinite(seconds):
            return None
        if abs(seconds) >= _FIRST_MILLISECONDS:
            seconds /= 1000
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _from_x(written: str) -> datetime | None:
    """`Wed Oct 10 20:19:24 +0000 2018`. Not strptime, which depends on the locale."""
    match = _X_FORMAT.fullmatch(written)
    if match is None or match[1] not in _MONTHS:
        return None
    month, day, time, zone, year = match.groups()
    return datetime.fromisoformat(f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{time}{zone}")


def _from_iso(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        return None


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
