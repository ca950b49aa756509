"""The lines of an export file, plain or gzipped, one at a time."""

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from temporal_pipeline.errors import PipelineError

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A thousand times the longest post; what is longer is no line of an export and must not fill the memory.
LONGEST_LINE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """A line, its number from 1, and how many bytes of the file (as it lies on disk) were read so far.

    `damage` is the reason why a line could not be read; `raw` is empty then.
    """

    number: int
    raw: bytes
    position: int = 0
    damage: str = ""


@contextmanager
def open_export(path: Path) -> Iterator[tuple[Iterator[Line], int]]:
    """The lines of `path` that are not blank, and its size in bytes.

    Gzip is recognised by content, not by name; a damaged or cut off stream ends with a line that says so.
    Raises PipelineError (exit code 2) when the file cannot be opened.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise PipelineError(
            f"cannot read {path}: {error.strerror}", hint="give the path of a crawl export", exit_code=2
        ) from None
    with file:
        yield _lines(file), os.fstat(file.fileno()).st_size


def _lines(file: BinaryIO) -> Iterator[Line]:
    number = 0
    try:
        for number, raw in enumerate(_pieces(_unpacked(file)), start=1):
            if raw is None:
                yield Line(number, b"", file.tell(), f"longer than {LONGEST_LINE} bytes")
                continue
            content = raw.removeprefix(BYTE_ORDER_MARK).strip() if number == 1 else raw.strip()
            if content:
                yield Line(number, content, file.tell())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield Line(number + 1, b"", file.tell(), f"the gzip stream is damaged or cut off here: {error}")


def _unpacked(file: BinaryIO) -> BinaryIO:
    magic = file.read(len(GZIP_MAGIC))
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if magic == GZIP_MAGIC else file


def _pieces(file: BinaryIO) -> Iterator[bytes | None]:
    """Each line, or None for one that is too long, whose rest is skipped."""
    while raw := file.readline(LONGEST_LINE):
        if len(raw) < LONGEST_LINE or raw.endswith(b"\n"):
            yield raw
            continue
        while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
            pass
        yield None
