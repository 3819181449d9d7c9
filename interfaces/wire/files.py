"""Helpers of the file formats: decompression, and ids for rows without one."""

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
    """Return a stream of the content, decompressed if it is gzip.  Takes ownership of it."""
    buffered = stream
    if not isinstance(stream, io.BufferedReader):
        buffered = io.BufferedReader(cast("io.RawIOBase", stream))
    assert isinstance(buffered, io.BufferedReader)
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        return cast("BinaryIO", gzip.GzipFile(fileobj=buffered))
    return buffered


@contextmanager
def reject_bad_gzip() -> Iterator[None]:
    """Raise InvalidBody if the compressed file is truncated or damaged."""
    try:
        yield
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidBody("bad_gzip", f"the compressed file is damaged: {error}") from error


class RowIds:
    """Message ids for rows without one, the same in every import of the same file.

    An id is a hash of the row plus its ordinal among identical rows, so a repeated row is a separate event, and
    importing the file again, even with its rows in another order, adds nothing.  Uses about 80 bytes of memory per row.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._seen: set[bytes] = set()
        self._repeats: dict[bytes, int] = {}

    def next_id(self, row: bytes) -> str:
        """Return the id of the next row with this content."""
        digest = blake2b(row, digest_size=16).digest()
        number = 1
        if digest in self._seen:
            number = self._repeats[digest] = self._repeats.get(digest, 1) + 1
        else:
            self._seen.add(digest)
        return f"{self._prefix}-{digest.hex()}-{number}"
