"""A file of Segment messages, one a line, each with its ``type``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

from interfaces.wire.base import FileRows, ParseRejection, WireFormat, WireLimits
from interfaces.wire.files import RowIds, open_decompressed, reject_bad_gzip
from interfaces.wire.segment import MessageReader


def read(stream: BinaryIO, *, received_at: datetime, limits: WireLimits | None = None) -> FileRows:
    """Read the messages of a file, which may be gzipped.

    The rules are those of a batch, with two differences.  A message without ``messageId`` gets one
    that is the same at the next reading.  Times are taken as they are, ``timestamp`` first: a file
    has lain about, so ``sentAt`` says nothing about the clock of whoever wrote it.
    """
    limits = limits or WireLimits()
    ids = RowIds("ndjson")
    line = b""
    reading = MessageReader(
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
                    message=f"a message has at most {limits.message_bytes} bytes; only these were kept",
                    raw=line[: limits.message_bytes],
                ),
            )
        elif line:
            yield number, reading.read(line, number)


def _number_lines(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Number the lines, without the whitespace around them; of a too long one, only the start."""
    number = 0
    with reject_bad_gzip():
        while line := stream.readline(max_bytes + 2):
            number += 1
            kept = line.strip(b" \t\r\n")
            while not line.endswith(b"\n") and (line := stream.readline(max_bytes + 2)):
                kept = (kept + line)[: max_bytes + 1]
            yield number, kept


FORMAT = WireFormat(
    name="ndjson",
    summary="a file of Segment messages, one JSON object a line",
    read=read,
)
