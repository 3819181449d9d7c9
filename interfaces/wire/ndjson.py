"""NDJSON files of Segment messages: one per line, each with its ``type``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

from interfaces.wire.base import FileRows, ParseRejection, WireLimits
from interfaces.wire.contract import WireFormat
from interfaces.wire.files import RowIds, open_decompressed, reject_bad_gzip
from interfaces.wire.segment.messages import MessageReader


def read(stream: BinaryIO, *, received_at: datetime, limits: WireLimits | None = None) -> FileRows:
    """Read the messages of a file, which may be gzipped.

    The rules are those of a batch, with two differences.  A message without ``messageId`` gets an id that is the same
    in every import.  Times are not corrected, and ``timestamp`` has priority: a file is imported long after ``sentAt``,
    so their difference says nothing about the client's clock.
    """
    limits = limits or WireLimits()
    ids = RowIds("ndjson")
    line = b""
    reader = MessageReader(
        received_at=received_at,
        limits=limits,
        default_id=lambda: ids.next_id(line),
        source="ndjson",
        live=False,
    )
    for number, line in _number_lines(open_decompressed(stream), limits.message_bytes):
        if len(line) > limits.message_bytes:
            yield (
                number,
                ParseRejection(
                    index=number,
                    code="message_too_large",
                    message=f"the message exceeds {limits.message_bytes} bytes; only the first {limits.message_bytes} are stored",
                    raw=line[: limits.message_bytes],
                ),
            )
        elif line:
            yield number, reader.read(line, number)


def _number_lines(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines without surrounding whitespace; a line that is too long is truncated."""
    number = 0
    with reject_bad_gzip():
        while line := stream.readline(max_bytes + 2):
            number += 1
            text = line.strip(b" \t\r\n")
            while not line.endswith(b"\n") and (line := stream.readline(max_bytes + 2)):
                text = (text + line)[: max_bytes + 1]
            yield number, text


FORMAT = WireFormat(
    name="ndjson",
    summary="a file of Segment messages, one JSON object per line",
    read=read,
)
