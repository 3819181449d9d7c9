"""A table of events, one a row: what exports and spreadsheets give."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

import msgspec

from domain.core.identifiers import Identifier, normalise
from domain.events.message import Message
from interfaces.wire import json_scan
from interfaces.wire.base import (
    FileRows,
    InvalidBody,
    InvalidMessage,
    ParseRejection,
    WireFormat,
    WireLimits,
    content_fingerprint,
    fingerprint_text,
    is_valid_identifier,
    normalise_event_name,
)
from interfaces.wire.files import RowIds, open_decompressed, reject_bad_gzip
from interfaces.wire.times import correct_clock_skew, parse_time

_MAX_LINE_CHARACTERS = 1 << 20
"""In characters; a field has at most 131,072 (the csv module's own limit)."""

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class CsvColumns:
    """Which column holds what; every other column is a property of the event.

    With none of ``user``, ``anonymous`` and ``email``, the rows are system events.
    """

    name: str
    user: str | None = None
    anonymous: str | None = None
    email: str | None = None
    time: str | None = None
    """Without it, everything happened when it was read."""

    session: str | None = None
    channel: str | None = None
    message_id: str | None = None
    numbers: tuple[str, ...] = ()
    """Properties that are numbers; the others are texts."""


def read(
    stream: BinaryIO,
    *,
    columns: CsvColumns,
    received_at: datetime,
    limits: WireLimits | None = None,
) -> FileRows:
    """Read the events of a table with a heading, which may be gzipped.

    A time without a zone is UTC; an empty cell is no property.  A row without a message id gets
    one that is the same at the next reading.  A row that cannot be an event is rejected with its
    line and the reason, and the others go in.  Raises BadBody if a column is missing.
    """
    with reject_bad_gzip():
        rows = _rows(open_decompressed(stream))
        heading = next(rows, None)
        if heading is None or isinstance(heading.cells, str):
            raise InvalidBody("no_heading", "the first line of the file must name its columns")
        table = _Table(heading.cells, columns, received_at, limits or WireLimits())
        for row in rows:
            yield row.line, table.read(row)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    """Its first line, from 1."""

    raw: bytes
    cells: list[str] | str
    """A text says why the row cannot be taken apart."""


def _rows(stream: BinaryIO) -> Iterator[_Row]:
    # What is not UTF-8 comes through as lone surrogates, so that only its own row is refused.
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    taken: list[str] = []

    def lines() -> Iterator[str]:
        while line := text.readline(_MAX_LINE_CHARACTERS):
            taken.append(line)
            yield line

    reader = csv.reader(lines(), strict=True)
    while True:
        first = reader.line_num + 1
        cells: list[str] | str
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = str(error)
        raw = "".join(taken).rstrip("\r\n").encode("utf-8", "surrogateescape")
        taken.clear()
        if cells:
            yield _Row(first, raw, cells)


class _Table:
    """A table's heading, and how a row of it becomes a message."""

    def __init__(
        self, heading: list[str], columns: CsvColumns, received_at: datetime, limits: WireLimits
    ) -> None:
        names = [it.strip() or f"column_{number}" for number, it in enumerate(heading, 1)]
        self.column_index = _index_columns(names, columns)
        self.columns = columns
        self.width = len(names)
        self.received_at = received_at
        self.limits = limits
        self.ids = RowIds("csv")
        special = {getattr(columns, it) for it in _RESERVED_COLUMNS}
        self.properties = [
            (index, name, name in columns.numbers)
            for name, index in self.column_index.items()
            if name not in special
        ]

    def read(self, row: _Row) -> Message | ParseRejection:
        try:
            return self._to_message(row)
        except InvalidMessage as refused:
            return ParseRejection(
                index=row.line, code=refused.code, message=str(refused), raw=row.raw
            )

    def _to_message(self, row: _Row) -> Message:
        cells = row.cells
        if isinstance(cells, str):
            raise InvalidMessage("invalid_csv", cells)
        json_scan.check_utf8(row.raw)
        if len(cells) != self.width:
            raise InvalidMessage(
                "wrong_cell_count", f"{len(cells)} cells under {self.width} columns"
            )
        columns = self.columns
        name = normalise_event_name(self._cell(cells, columns.name))
        identifiers = self._identifiers(cells)
        at = self._time(cells)
        payload = msgspec.json.encode(self._payload(cells, name, at))
        if len(payload) > self.limits.message_bytes:
            raise InvalidMessage(
                "message_too_large", f"a message has at most {self.limits.message_bytes} bytes"
            )
        message_id = self._cell(cells, columns.message_id)
        if message_id is not None and not is_valid_identifier(message_id):
            raise InvalidMessage(
                "invalid_message_id", "a message id has at most 1024 bytes, no control characters"
            )
        return Message(
            kind="track",
            name=name,
            message_id=message_id or self.ids.next_id(payload),
            identifiers=identifiers,
            occurred_at=correct_clock_skew(self.received_at, None, at or self.received_at),
            received_at=self.received_at,
            source="csv",
            payload=payload,
            raw=row.raw,
            fingerprint=content_fingerprint(
                "track", name, fingerprint_text(identifiers), (payload,)
            ),
        )

    def _cell(self, cells: list[str], column: str | None) -> str | None:
        if column is None:
            return None
        cell = cells[self.column_index[column]]
        return cell if cell.strip() else None

    def _identifiers(self, cells: list[str]) -> tuple[Identifier, ...]:
        """Return all the names in the row; the file says that they are one person's."""
        columns = self.columns
        named = [
            (kind, self._cell(cells, column))
            for kind, column in (
                ("user_id", columns.user),
                ("anonymous_id", columns.anonymous),
                ("email", columns.email),
            )
            if column is not None
        ]
        found = [(kind, value) for kind, value in named if value is not None]
        if named and not found:
            raise InvalidMessage("no_user_anon_id", "the row does not say whom it is about")
        for kind, value in found:
            if not is_valid_identifier(value):
                raise InvalidMessage(
                    "invalid_id", f"{kind} has at most 1024 bytes and no control characters"
                )
        return tuple(normalise(kind, value) for kind, value in found)

    def _time(self, cells: list[str]) -> datetime | None:
        if self.columns.time is None:
            return None
        cell = self._cell(cells, self.columns.time)
        at = parse_time(cell)
        if at is None:
            raise InvalidMessage(
                "invalid_time", f"{ascii(cell or '')[:60]} is not a time from 1970 to 2100"
            )
        return at

    def _payload(self, cells: list[str], name: str, at: datetime | None) -> dict[str, Any]:
        """Say the row in Segment's layout."""
        columns = self.columns
        payload: dict[str, Any] = {
            "type": "track",
            "event": name,
            "messageId": self._cell(cells, columns.message_id),
            "userId": self._cell(cells, columns.user),
            "anonymousId": self._cell(cells, columns.anonymous),
            "channel": self._cell(cells, columns.channel),
            "timestamp": at,
            "properties": {
                name: _parse_number(cells[index], name) if is_number else cells[index]
                for index, name, is_number in self.properties
                if cells[index]
            },
        }
        session = self._cell(cells, columns.session)
        email = self._cell(cells, columns.email)
        context = {
            "sessionId": session,
            "traits": {"email": email} if email else None,
        }
        payload["context"] = {key: value for key, value in context.items() if value} or None
        return {key: value for key, value in payload.items() if value is not None}


_RESERVED_COLUMNS = (
    "name",
    "user",
    "anonymous",
    "email",
    "time",
    "session",
    "channel",
    "message_id",
)


def _index_columns(names: list[str], columns: CsvColumns) -> dict[str, int]:
    """Return where each column is; every one that is asked for must be there, and once."""
    twice = sorted({it for it in names if names.count(it) > 1})
    if twice:
        raise InvalidBody("duplicate_column", f"the file names a column twice: {', '.join(twice)}")
    asked = [getattr(columns, it) for it in _RESERVED_COLUMNS if getattr(columns, it) is not None]
    missing = [it for it in (*asked, *columns.numbers) if it not in names]
    if missing:
        raise InvalidBody(
            "unknown_column",
            f"the file has no column {', '.join(missing)}; it has {', '.join(names)}",
        )
    if len(names) > json_scan.MAX_KEYS:
        raise InvalidBody("too_many_keys", f"a table has at most {json_scan.MAX_KEYS} columns")
    return {name: index for index, name in enumerate(names)}


def _parse_number(cell: str, column: str) -> msgspec.Raw:
    """Return the number as it is written, so that no digit of it is lost."""
    text = cell.strip()
    if not _NUMBER.fullmatch(text):
        raise InvalidMessage("invalid_number", f"{column}: {ascii(cell)[:60]} is not a number")
    return msgspec.Raw(text.encode())


FORMAT = WireFormat(
    name="csv",
    summary="a table of events, one a row, with a heading",
    read=read,
)
