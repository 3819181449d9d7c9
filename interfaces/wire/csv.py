"""CSV files of events, one per row, as exports and spreadsheets produce them."""

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
    WireLimits,
    content_fingerprint,
    fingerprint_text,
    is_valid_identifier,
    normalise_event_name,
)
from interfaces.wire.contract import WireFormat
from interfaces.wire.files import RowIds, open_decompressed, reject_bad_gzip
from interfaces.wire.times import correct_clock_skew, parse_time

_MAX_LINE_CHARACTERS = 1 << 20
"""In characters; a cell has at most 131,072 (the limit of the csv module)."""

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class CsvColumns:
    """Names of the columns of an event's fields; every other column is a property of the event.

    Without ``user``, ``anonymous`` and ``email``, the rows are system events.
    """

    name: str
    user: str | None = None
    anonymous: str | None = None
    email: str | None = None
    time: str | None = None
    """If None, the time of the import is the time of all events."""

    session: str | None = None
    channel: str | None = None
    message_id: str | None = None
    numbers: tuple[str, ...] = ()
    """Property columns that hold numbers; the others hold strings."""


def read(
    stream: BinaryIO,
    *,
    columns: CsvColumns,
    received_at: datetime,
    limits: WireLimits | None = None,
) -> FileRows:
    """Read the events of a file with a header row, which may be gzipped.

    A time without a zone is UTC; an empty cell is an absent property.  A row without a message id gets an id that is
    the same in every import.  An invalid row is rejected with its line and the reason; the others are returned.
    Raises InvalidBody if a column is missing.
    """
    with reject_bad_gzip():
        rows = _rows(open_decompressed(stream))
        header = next(rows, None)
        if header is None or isinstance(header.cells, str):
            raise InvalidBody(
                "no_heading", "the first line of the file must be a header with the column names"
            )
        table = _Table(header.cells, columns, received_at, limits or WireLimits())
        for row in rows:
            yield row.line, table.read(row)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    """Number of its first line, from 1."""

    raw: bytes
    cells: list[str] | str
    """The cells, or the error message if the row cannot be split."""


def _rows(stream: BinaryIO) -> Iterator[_Row]:
    # Bytes that are not UTF-8 become lone surrogates, so that only their own row is rejected.
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    row_lines: list[str] = []

    def lines() -> Iterator[str]:
        while line := text.readline(_MAX_LINE_CHARACTERS):
            row_lines.append(line)
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
        raw = "".join(row_lines).rstrip("\r\n").encode("utf-8", "surrogateescape")
        row_lines.clear()
        if cells:
            yield _Row(first, raw, cells)


class _Table:
    """A file's header, and the conversion of its rows to messages."""

    def __init__(
        self, header: list[str], columns: CsvColumns, received_at: datetime, limits: WireLimits
    ) -> None:
        names = [name.strip() or f"column_{number}" for number, name in enumerate(header, 1)]
        self.column_index = _index_columns(names, columns)
        self.columns = columns
        self.width = len(names)
        self.received_at = received_at
        self.limits = limits
        self.ids = RowIds("csv")
        reserved = {getattr(columns, field) for field in _RESERVED_COLUMNS}
        self.properties = [
            (index, name, name in columns.numbers)
            for name, index in self.column_index.items()
            if name not in reserved
        ]

    def read(self, row: _Row) -> Message | ParseRejection:
        try:
            return self._to_message(row)
        except InvalidMessage as error:
            return ParseRejection(index=row.line, code=error.code, message=str(error), raw=row.raw)

    def _to_message(self, row: _Row) -> Message:
        cells = row.cells
        if isinstance(cells, str):
            raise InvalidMessage("invalid_csv", cells)
        json_scan.check_utf8(row.raw)
        if len(cells) != self.width:
            raise InvalidMessage(
                "wrong_cell_count", f"{len(cells)} cells, but the header has {self.width} columns"
            )
        columns = self.columns
        name = normalise_event_name(self._cell(cells, columns.name))
        identifiers = self._identifiers(cells)
        timestamp = self._time(cells)
        payload = msgspec.json.encode(self._payload(cells, name, timestamp))
        if len(payload) > self.limits.message_bytes:
            raise InvalidMessage(
                "message_too_large", f"the message exceeds {self.limits.message_bytes} bytes"
            )
        message_id = self._cell(cells, columns.message_id)
        if message_id is not None and not is_valid_identifier(message_id):
            raise InvalidMessage(
                "invalid_message_id",
                "a message id has at most 1024 bytes and no control characters",
            )
        return Message(
            kind="track",
            name=name,
            message_id=message_id or self.ids.next_id(payload),
            identifiers=identifiers,
            occurred_at=correct_clock_skew(self.received_at, None, timestamp or self.received_at),
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
        """Return all identifiers of the row, which belong to one profile."""
        columns = self.columns
        cells_by_kind = [
            (kind, self._cell(cells, column))
            for kind, column in (
                ("user_id", columns.user),
                ("anonymous_id", columns.anonymous),
                ("email", columns.email),
            )
            if column is not None
        ]
        identifiers = [(kind, value) for kind, value in cells_by_kind if value is not None]
        if cells_by_kind and not identifiers:
            raise InvalidMessage(
                "no_user_anon_id", "the row has no user id, anonymous id or e-mail address"
            )
        for kind, value in identifiers:
            if not is_valid_identifier(value):
                raise InvalidMessage(
                    "invalid_id", f"{kind} has at most 1024 bytes and no control characters"
                )
        return tuple(normalise(kind, value) for kind, value in identifiers)

    def _time(self, cells: list[str]) -> datetime | None:
        if self.columns.time is None:
            return None
        cell = self._cell(cells, self.columns.time)
        timestamp = parse_time(cell)
        if timestamp is None:
            raise InvalidMessage(
                "invalid_time", f"{ascii(cell or '')[:60]} is not a time from 1970 to 2100"
            )
        return timestamp

    def _payload(self, cells: list[str], name: str, timestamp: datetime | None) -> dict[str, Any]:
        """Return the row as a message in Segment's layout."""
        columns = self.columns
        payload: dict[str, Any] = {
            "type": "track",
            "event": name,
            "messageId": self._cell(cells, columns.message_id),
            "userId": self._cell(cells, columns.user),
            "anonymousId": self._cell(cells, columns.anonymous),
            "channel": self._cell(cells, columns.channel),
            "timestamp": timestamp,
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
    """Return the index of each column.  Raises InvalidBody for missing or duplicate columns."""
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise InvalidBody("duplicate_column", f"duplicate column: {', '.join(duplicates)}")
    fields = [getattr(columns, field) for field in _RESERVED_COLUMNS]
    required = [name for name in fields if name is not None]
    missing = [name for name in (*required, *columns.numbers) if name not in names]
    if missing:
        raise InvalidBody(
            "unknown_column",
            f"unknown column {', '.join(missing)}; the file has {', '.join(names)}",
        )
    if len(names) > json_scan.MAX_KEYS:
        raise InvalidBody("too_many_keys", f"a file has at most {json_scan.MAX_KEYS} columns")
    return {name: index for index, name in enumerate(names)}


def _parse_number(cell: str, column: str) -> msgspec.Raw:
    """Return the number as written, so that no digit is lost."""
    text = cell.strip()
    if not _NUMBER.fullmatch(text):
        raise InvalidMessage("invalid_number", f"{column}: {ascii(cell)[:60]} is not a number")
    return msgspec.Raw(text.encode())


FORMAT = WireFormat(
    name="csv",
    summary="a table of events, one per row, with a header row",
    read=read,
)
