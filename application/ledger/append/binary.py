"""PostgreSQL's binary forms of what every flush sends: arrays of uuid, and rows for COPY.

psycopg can write both, at 2 to 3 µs a row; a flush writes thousands, and writes the rows while it
holds the head of the ledger, so the forms are packed here at a third of that (measured).
Source: PostgreSQL manual, "COPY, Binary Format"; array_send in arrayfuncs.c.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

from application.ledger.append.evidence import leaf_hash
from application.ledger.append.prepared import EventRow

UNIX_TO_PG_US = 946_684_800_000_000
"""Microseconds from 1970-01-01 to PostgreSQL's own epoch, 2000-01-01."""

_ARRAY = struct.Struct(">iiIii")
_LEN16 = struct.pack(">i", 16)
_INT8 = struct.Struct(">iq")


class UuidArray(list[bytes]):
    """Sixteen-byte values that go to the server as ``uuid[]``."""


class BigintArray(list[int]):
    """Integers that go to the server as ``bigint[]``."""


class TimestampArray(list[int]):
    """Microseconds since 1970 that go to the server as ``timestamptz[]``."""


class _UuidArrayDumper(Dumper):
    format = Format.BINARY
    oid = 2951

    def dump(self, obj: UuidArray) -> bytes:
        body = b"".join([_LEN16 + value for value in obj])
        return _ARRAY.pack(1, 0, 2950, len(obj), 1) + body


class _BigintArrayDumper(Dumper):
    format = Format.BINARY
    oid = 1016

    def dump(self, obj: BigintArray) -> bytes:
        body = b"".join([_INT8.pack(8, value) for value in obj])
        return _ARRAY.pack(1, 0, 20, len(obj), 1) + body


class _TimestampArrayDumper(Dumper):
    format = Format.BINARY
    oid = 1185

    def dump(self, obj: TimestampArray) -> bytes:
        body = b"".join([_INT8.pack(8, value - UNIX_TO_PG_US) for value in obj])
        return _ARRAY.pack(1, 0, 1184, len(obj), 1) + body


def register_dumpers(context: AdaptContext) -> None:
    """Teach a connection to send the arrays of this module."""
    adapters = context.adapters
    assert adapters is not None
    adapters.register_dumper(UuidArray, _UuidArrayDumper)
    adapters.register_dumper(BigintArray, _BigintArrayDumper)
    adapters.register_dumper(TimestampArray, _TimestampArrayDumper)


EVENT_COLUMNS = (
    "topic, workspace, position, originator_id, originator_version, recorded_at,"
    " salt, commitment, leaf, state"
)
_ROW = struct.Struct(">ii iq i16s iq iq i32s i32s i32s i")
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"


def encode_copy(
    workspace: int, after: int, recorded_us: int, rows: Sequence[EventRow], versions: Sequence[int]
) -> bytes:
    """Return the COPY stream of events, each with its leaf.

    They take the positions that follow ``after``; ``recorded_us`` counts microseconds since 1970.
    """
    parts = [_COPY_HEADER]
    add, pack = parts.append, _ROW.pack
    prefixes: dict[bytes, bytes] = {}
    recorded = recorded_us - UNIX_TO_PG_US
    for position, (row, version) in enumerate(zip(rows, versions, strict=True), after + 1):
        topic, stream, committed = row.topic, row.stream, row.commitment
        prefix = prefixes.get(topic)
        if prefix is None:
            prefix = prefixes[topic] = struct.pack(">hi", 10, len(topic)) + topic
        add(prefix)
        its_leaf = leaf_hash(workspace, stream, version, recorded_us, topic, committed)
        state = row.state
        add(
            pack(
                *(4, workspace, 8, position, 16, stream, 8, version, 8, recorded),
                *(32, row.salt, 32, committed, 32, its_leaf, len(state)),
            )
        )
        add(state)
    add(_COPY_TRAILER)
    return b"".join(parts)
