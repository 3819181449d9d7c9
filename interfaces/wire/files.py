"""What all file formats need: unpacking, lines of bounded length, ids for rows that have none."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import BinaryIO, cast

from interfaces.wire.base import InvalidBody


def open_decompressed(stream: BinaryIO) -> BinaryIO:
    """Return the stream's content, out of its gzip if it starts like one.  Takes the stream over."""
    buffered = stream
    if not isinstance(stream, io.BufferedReader):
        buffered = io.BufferedReader(cast("io.RawIOBase", stream))
    assert isinstance(buffered, io.BufferedReader)
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        return cast("BinaryIO", gzip.GzipFile(fileobj=buffered))
    return buffered


@contextmanager
def reject_bad_gzip() -> Iterator[None]:
    """Raise BadBody where the compressed file breaks off or is damaged."""
    try:
        yield
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidBody("bad_gzip", f"the compressed file is damaged: {error}") from error


class RowIds:
    """Message ids for rows without one, the same ones whenever the same file is read.

    An id is what the row says and which of its exact repeats it is, so a repeated row is an event
    of its own, and reading the file again, even with its rows in another order, adds nothing.
    Remembers about 80 bytes a row.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._seen: set[bytes] = set()
        self._repeats: dict[bytes, int] = {}

    def next_id(self, row: bytes) -> str:
        """Return the id of the next row that says this."""
        digest = blake2b(row, digest_size=16).digest()
        number = 1
        if digest in self._seen:
            number = self._repeats[digest] = self._repeats.get(digest, 1) + 1
        else:
            self._seen.add(digest)
        return f"{self._prefix}-{digest.hex()}-{number}"
