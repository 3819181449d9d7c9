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
from interfaces.cli.output import progress
from interfaces.service import Service
from interfaces.wire import FORMATS
from interfaces.wire.base import BadBody, FileRows, Limits, Rejected
from interfaces.wire.csv import CsvColumns

BATCH = 1_000
"""Lines that are recorded together."""

ON_THEIR_WAY = 4
"""Batches that wait for the disk while the next is read."""

REMEMBERED = 100
"""Refused lines that are remembered for the report; all of them are kept in the ledger's `rejected`."""

_ENDINGS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file and how to read it."""

    path: Path
    format: str
    read: Callable[..., FileRows]


class Refused(NamedTuple):
    """A line that could not be an event."""

    line: int
    code: str
    message: str


@dataclass
class Summary:
    """What became of a file's lines."""

    recorded: int = 0
    duplicates: int = 0
    rejected: int = 0
    position: int = 0
    refused: list[Refused] = field(default_factory=list)
    """The first of those that were rejected."""

    broken: BadBody | None = None
    """Why the file could not be read to its end, if it could not."""

    def add(self, receipt: Receipt) -> None:
        """Count a batch that is durable."""
        self.recorded += receipt.recorded
        self.duplicates += receipt.duplicates
        self.rejected += receipt.rejected
        self.position = max(self.position, receipt.position)


def source_of(path: Path, name: str | None, columns: Mapping[str, Any]) -> Source:
    """Return how the file is to be read.  Raises InvalidRequest, with what to say instead."""
    if not path.is_file():
        raise InvalidRequest(f"there is no file {path}")
    readable = {it.name: it.read for it in FORMATS.values() if it.read is not None}
    endings = path.suffixes[-2:]
    name = name or next((_ENDINGS[it] for it in endings if it in _ENDINGS), "")
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
    return Source(path=path, format=name, read=read)


def run(svc: Service, workspace: int, source: Source) -> Summary:
    """Record the file's events, with a progress bar over its bytes.

    Raises InvalidRequest if it cannot be opened, LedgerUnavailable if the database goes away.
    """
    from rich.progress import DownloadColumn, TransferSpeedColumn

    try:
        stream = source.path.open("rb")
    except OSError as error:
        raise InvalidRequest(f"{source.path} cannot be read: {error.strerror}") from error
    summary = Summary()
    with stream, progress(DownloadColumn(), TransferSpeedColumn()) as bar:
        size = source.path.stat().st_size
        task = bar.add_task(f"Importing {source.path.name}", total=size)
        on_their_way: deque[Future[Receipt]] = deque()
        window = min(ON_THEIR_WAY, max(1, svc.settings.queue_events // BATCH))
        for messages, rejections in _batches(svc, source, stream, summary):
            if len(on_their_way) == window:
                summary.add(on_their_way.popleft().result())
            on_their_way.append(svc.ledger.record(workspace, messages, rejections))
            bar.update(task, completed=stream.tell() if not stream.closed else size)
        for future in on_their_way:
            summary.add(future.result())
        if summary.broken is None:
            bar.update(task, completed=size)
    return summary


def _batches(
    svc: Service, source: Source, stream: BinaryIO, summary: Summary
) -> Iterator[tuple[list[Message], list[Rejection]]]:
    now = datetime.now(UTC)
    limits = Limits(message_bytes=svc.settings.max_message_bytes)
    messages: list[Message] = []
    rejections: list[Rejection] = []
    for line, said in _to_the_end(source.read(stream, received_at=now, limits=limits), summary):
        if isinstance(said, Message):
            messages.append(said)
        else:
            rejections.append(_kept(line, said, source.format, now))
            if len(summary.refused) < REMEMBERED:
                summary.refused.append(Refused(line, said.code, said.message))
        if len(messages) + len(rejections) == BATCH:
            yield messages, rejections
            messages, rejections = [], []
    if messages or rejections:
        yield messages, rejections


def _to_the_end(rows: FileRows, summary: Summary) -> Iterable[tuple[int, Message | Rejected]]:
    """Give the lines up to where the file breaks off; those before are as good as any."""
    read = False
    try:
        for row in rows:
            read = True
            yield row
    except BadBody as broken:
        if not read:
            raise
        summary.broken = broken


def _kept(line: int, said: Rejected, source: str, now: datetime) -> Rejection:
    return Rejection(
        code=said.code,
        message=f"line {line}: {said.message}",
        raw=said.raw,
        source=source,
        received_at=now,
        message_id=said.message_id,
    )
