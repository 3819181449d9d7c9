"""Reads a file of events into the ledger, in batches, a few of them on their way at a time."""

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

from application.ledger.append.prepared import Receipt, Rejection
from domain.core.errors import InvalidRequest
from domain.events.message import Message
from interfaces.cli.output import progress_bar
from interfaces.service import Service
from interfaces.wire import FORMATS
from interfaces.wire.base import FileRows, InvalidBody, ParseRejection, WireLimits
from interfaces.wire.csv import CsvColumns

BATCH_LINES = 1_000
"""Lines that are recorded together."""

MAX_IN_FLIGHT = 4
"""Batches that wait for the disk while the next is read."""

MAX_REPORTED = 100
"""Refused lines that are remembered for the report; all of them are kept in the ledger's `rejected`."""

_FORMAT_BY_SUFFIX = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


@dataclass(frozen=True, kw_only=True)
class ImportSource:
    """A file and how to read it."""

    path: Path
    format: str
    read: Callable[..., FileRows]


class RejectedLine(NamedTuple):
    """A line that could not be an event."""

    line: int
    code: str
    message: str


@dataclass
class ImportSummary:
    """What became of a file's lines."""

    recorded: int = 0
    duplicates: int = 0
    rejected: int = 0
    position: int = 0
    rejected_lines: list[RejectedLine] = field(default_factory=list)
    """The first of those that were rejected."""

    read_error: InvalidBody | None = None
    """Why the file could not be read to its end, if it could not."""

    def add(self, receipt: Receipt) -> None:
        """Count a batch that is durable."""
        self.recorded += receipt.recorded
        self.duplicates += receipt.duplicates
        self.rejected += receipt.rejected
        self.position = max(self.position, receipt.position)


def resolve_source(path: Path, name: str | None, columns: Mapping[str, Any]) -> ImportSource:
    """Return how the file is to be read.  Raises InvalidRequest, with what to say instead."""
    if not path.is_file():
        raise InvalidRequest(f"there is no file {path}")
    readable = {it.name: it.read for it in FORMATS.values() if it.read is not None}
    endings = path.suffixes[-2:]
    name = name or next((_FORMAT_BY_SUFFIX[it] for it in endings if it in _FORMAT_BY_SUFFIX), "")
    read = readable.get(name)
    if read is None:
        raise InvalidRequest(f"--format is one of {', '.join(sorted(readable))}")
    given = {key: value for key, value in columns.items() if value}
    if "columns" in inspect.signature(read).parameters:
        if "name" not in given:
            raise InvalidRequest("--name is missing: the column with the event's name")
        read = partial(read, columns=CsvColumns(**given))
    elif given:
        raise InvalidRequest(f"a {name} file says by itself what is what; leave the columns out")
    return ImportSource(path=path, format=name, read=read)


def import_events(svc: Service, workspace: int, source: ImportSource) -> ImportSummary:
    """Record the file's events, with a progress bar over its bytes.

    Raises InvalidRequest if it cannot be opened, LedgerUnavailable if the database goes away.
    """
    from rich.progress import DownloadColumn, TransferSpeedColumn

    try:
        stream = source.path.open("rb")
    except OSError as error:
        raise InvalidRequest(f"{source.path} cannot be read: {error.strerror}") from error
    summary = ImportSummary()
    with stream, progress_bar(DownloadColumn(), TransferSpeedColumn()) as bar:
        size = source.path.stat().st_size
        task = bar.add_task(f"Importing {source.path.name}", total=size)
        on_their_way: deque[Future[Receipt]] = deque()
        window = min(MAX_IN_FLIGHT, max(1, svc.settings.queue_events // BATCH_LINES))
        for messages, rejections in _batches(svc, source, stream, summary):
            if len(on_their_way) == window:
                summary.add(on_their_way.popleft().result())
            on_their_way.append(svc.ledger.record(workspace, messages, rejections))
            bar.update(task, completed=stream.tell() if not stream.closed else size)
        for future in on_their_way:
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
    for line, said in _rows_until_error(
        source.read(stream, received_at=now, limits=limits), summary
    ):
        if isinstance(said, Message):
            messages.append(said)
        else:
            rejections.append(_to_rejection(line, said, source.format, now))
            if len(summary.rejected_lines) < MAX_REPORTED:
                summary.rejected_lines.append(RejectedLine(line, said.code, said.message))
        if len(messages) + len(rejections) == BATCH_LINES:
            yield messages, rejections
            messages, rejections = [], []
    if messages or rejections:
        yield messages, rejections


def _rows_until_error(
    rows: FileRows, summary: ImportSummary
) -> Iterable[tuple[int, Message | ParseRejection]]:
    """Give the lines up to where the file breaks off; those before are as good as any."""
    read = False
    try:
        for row in rows:
            read = True
            yield row
    except InvalidBody as broken:
        if not read:
            raise
        summary.read_error = broken


def _to_rejection(line: int, rejection: ParseRejection, source: str, now: datetime) -> Rejection:
    return Rejection(
        code=rejection.code,
        message=f"line {line}: {rejection.message}",
        raw=rejection.raw,
        source=source,
        received_at=now,
        message_id=rejection.message_id,
    )
