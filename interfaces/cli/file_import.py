"""Records a file of events in the ledger, in batches, with a few batches in flight."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from application.ledger.append.prepared import Receipt
from application.ledger.tables.rejected import Rejection
from domain.core.errors import InvalidRequest
from domain.events.message import Message
from interfaces.cli.output import progress_bar
from interfaces.service import Service
from interfaces.wire import FORMATS
from interfaces.wire.base import FileRows, InvalidBody, ParseRejection, WireLimits
from interfaces.wire.csv import CsvColumns

BATCH_LINES = 1_000
"""Lines recorded in one batch."""

MAX_IN_FLIGHT = 4
"""Batches that wait for their commit while the next is read."""

MAX_REPORTED = 100
"""Rejected lines listed in the summary; all of them are stored in `ledger.rejected`."""

_FORMAT_BY_SUFFIX = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


@dataclass(frozen=True, kw_only=True)
class ImportSource:
    """A file, its format and the function that reads it."""

    path: Path
    format: str
    read: Callable[..., FileRows]


class RejectedLine(NamedTuple):
    """A line that is not a valid event."""

    line: int
    code: str
    message: str


@dataclass
class ImportSummary:
    """Result of an import: counts of lines, and the last ledger position."""

    recorded: int = 0
    duplicates: int = 0
    rejected: int = 0
    position: int = 0
    rejected_lines: list[RejectedLine] = field(default_factory=list)
    """The first ``MAX_REPORTED`` of the rejected lines."""

    read_error: InvalidBody | None = None
    """The error that ended reading before the end of the file, if any."""

    def add(self, receipt: Receipt) -> None:
        """Add the counts of a committed batch."""
        self.recorded += receipt.recorded
        self.duplicates += receipt.duplicates
        self.rejected += receipt.rejected
        self.position = max(self.position, receipt.position)


def resolve_source(path: Path, name: str | None, columns: Mapping[str, Any]) -> ImportSource:
    """Choose the reader for a file by format name or file suffix.  Raises InvalidRequest."""
    if not path.is_file():
        raise InvalidRequest(f"file not found: {path}")
    readers = {wire.name: wire.read for wire in FORMATS.values() if wire.read is not None}
    suffixes = path.suffixes[-2:]
    name = name or next(
        (_FORMAT_BY_SUFFIX[suffix] for suffix in suffixes if suffix in _FORMAT_BY_SUFFIX), ""
    )
    read = readers.get(name)
    if read is None:
        raise InvalidRequest(f"--format must be one of {', '.join(sorted(readers))}")
    options = {key: value for key, value in columns.items() if value}
    if "columns" in inspect.signature(read).parameters:
        if "name" not in options:
            raise InvalidRequest("--name is missing: the column with the event's name")
        read = partial(read, columns=CsvColumns(**options))
    elif options:
        raise InvalidRequest(f"a {name} file defines its own fields; omit the column options")
    return ImportSource(path=path, format=name, read=read)


def import_events(svc: Service, workspace: int, source: ImportSource) -> ImportSummary:
    """Record the file's events, with a progress bar over its bytes.

    Raises InvalidRequest if it cannot be opened, LedgerUnavailable if the database connection is lost.
    """
    from rich.progress import DownloadColumn, TransferSpeedColumn

    try:
        stream = source.path.open("rb")
    except OSError as error:
        raise InvalidRequest(f"cannot read {source.path}: {error.strerror}") from error
    summary = ImportSummary()
    with stream, progress_bar(DownloadColumn(), TransferSpeedColumn()) as bar:
        size = source.path.stat().st_size
        task = bar.add_task(f"Importing {source.path.name}", total=size)
        in_flight: deque[Future[Receipt]] = deque()
        window = min(MAX_IN_FLIGHT, max(1, svc.settings.queue_events // BATCH_LINES))
        for messages, rejections in _batches(svc, source, stream, summary):
            if len(in_flight) == window:
                summary.add(in_flight.popleft().result())
            in_flight.append(svc.ledger.record(workspace, messages, rejections))
            bar.update(task, completed=stream.tell() if not stream.closed else size)
        for future in in_flight:
            summary.add(future.result())
        if summary.read_error is None:
            bar.update(task, completed=size)
    return summary


def _batches(
    svc: Service, source: ImportSource, stream: BinaryIO, summary: ImportSummary
) -> Iterator[tuple[list[Message], list[Rejection]]]:
    now = datetime.now(UTC)
    limits = WireLimits(message_bytes=svc.settings.max_message_bytes)
    messages: list[Message] = []
    rejections: list[Rejection] = []
    for line, row in _rows_until_error(
        source.read(stream, received_at=now, limits=limits), summary
    ):
        if isinstance(row, Message):
            messages.append(row)
        else:
            rejections.append(_to_rejection(line, row, source.format, now))
            if len(summary.rejected_lines) < MAX_REPORTED:
                summary.rejected_lines.append(RejectedLine(line, row.code, row.message))
        if len(messages) + len(rejections) == BATCH_LINES:
            yield messages, rejections
            messages, rejections = [], []
    if messages or rejections:
        yield messages, rejections


def _rows_until_error(
    rows: FileRows, summary: ImportSummary
) -> Iterable[tuple[int, Message | ParseRejection]]:
    """Yield rows until the end or the first read error, which is stored in the summary.

    Raises InvalidBody if the error comes before the first row.
    """
    has_rows = False
    try:
        for row in rows:
            has_rows = True
            yield row
    except InvalidBody as error:
        if not has_rows:
            raise
        summary.read_error = error


def _to_rejection(line: int, rejection: ParseRejection, source: str, now: datetime) -> Rejection:
    return Rejection(
        code=rejection.code,
        message=f"line {line}: {rejection.message}",
        raw=rejection.raw,
        source=source,
        received_at=now,
        message_id=rejection.message_id,
    )
