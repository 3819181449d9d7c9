"""Group commit: many requests, one transaction; each is answered once its own flush is durable."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg
import structlog

from application.ledger.append.append import Appended
from application.ledger.append.prepared import Entry, Receipt, Rejection
from domain.core.errors import FoldlineError, LedgerUnavailable, Overloaded

log = structlog.get_logger(__name__)

Append = Callable[[int, Sequence[Entry], Sequence[Rejection]], Appended]
"""Writes one flush of one workspace; raises psycopg's errors, or LedgerUnavailable."""

PATIENCE_SECONDS = 0.5
"""How long a flush is tried again when the connection or a lock was lost, before 503."""


POISON = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.RaiseException,
)
"""Errors that a single message can cause; any other is the server's and concerns the whole flush."""


class Limits(NamedTuple):
    """Bounds of the queue and of one flush, in messages."""

    flush: int = 2000
    waiting: int = 20_000
    second_writer_at: int = 1500
    """Messages waiting before a second writer starts beside a busy one: smaller flushes in parallel
    would only queue for the head of the ledger, each with a disk flush of its own."""


@dataclass
class Submission:
    """One request's messages on their way into the ledger."""

    entries: Sequence[Entry]
    rejections: Sequence[Rejection]
    answer: Future[Receipt] = field(default_factory=Future)

    @property
    def size(self) -> int:
        """How many rows it will write, at least one."""
        return max(1, len(self.entries) + len(self.rejections))


@dataclass
class _Queue:
    waiting: deque[Submission] = field(default_factory=deque)
    size: int = 0
    writers: int = 0


class GroupCommit:
    """Collects submissions by workspace and writes them, whole, in flushes.

    ``on_flush`` is told the messages and seconds of each flush, for metrics.
    """

    def __init__(
        self,
        append: Append,
        *,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        writers: int = 2,
        on_flush: Callable[[int, float], None] = lambda _messages, _seconds: None,
    ) -> None:
        self._append, self._limits, self._on_flush = append, limits, on_flush
        self._queues: dict[int, _Queue] = {}
        self._size = 0
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._write, name=f"ledger-writer-{n}", daemon=True)
            for n in range(writers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Messages that are not yet durable and not yet being written."""
        return self._size

    def submit(
        self, workspace: int, entries: Sequence[Entry], rejections: Sequence[Rejection] = ()
    ) -> Future[Receipt]:
        """Take a request's messages; the future is done when they are durable.

        Raises Overloaded if too many are waiting.
        """
        submission = Submission(entries, rejections)
        with self._changed:
            if self._closed:
                raise LedgerUnavailable("the server is stopping; send it again shortly")
            if self._size and self._size + submission.size > self._limits.waiting:
                raise Overloaded(
                    "more messages are waiting than may wait; send it again shortly",
                    waiting=self._size,
                )
            queue = self._queues.setdefault(workspace, _Queue())
            queue.waiting.append(submission)
            queue.size += submission.size
            self._size += submission.size
            if self._may_be_written(queue):  # else a writer would wake only to sleep again
                self._changed.notify()
        return submission.answer

    def close(self) -> None:
        """Write what is waiting, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        while (taken := self._take()) is not None:
            workspace, batch = taken
            try:
                self._flush(workspace, batch)
            except Exception as error:
                log.exception("flush failed", workspace=workspace)
                for submission in batch:
                    if not submission.answer.done():
                        submission.answer.set_exception(error)
            finally:
                with self._changed:
                    self._queues[workspace].writers -= 1
                    self._changed.notify()

    def _take(self) -> tuple[int, list[Submission]] | None:
        with self._changed:
            while True:
                workspace = self._ready()
                if workspace is not None:
                    break
                if self._closed and not self._size:
                    return None
                self._changed.wait()
            queue = self._queues.pop(workspace)
            self._queues[workspace] = queue  # to the end: workspaces take turns
            batch: list[Submission] = []
            size = 0
            while queue.waiting and (
                not batch or size + queue.waiting[0].size <= self._limits.flush
            ):
                submission = queue.waiting.popleft()
                batch.append(submission)
                size += submission.size
            queue.size -= size
            self._size -= size
            queue.writers += 1
            return workspace, batch

    def _ready(self) -> int | None:
        for workspace, queue in self._queues.items():
            if queue.waiting and self._may_be_written(queue):
                return workspace
        return None

    def _may_be_written(self, queue: _Queue) -> bool:
        return not queue.writers or queue.size >= self._limits.second_writer_at

    def _flush(self, workspace: int, batch: list[Submission]) -> None:
        started = time.monotonic()
        entries = [entry for submission in batch for entry in submission.entries]
        rejections = [it for submission in batch for it in submission.rejections]
        try:
            appended, refused = self._append_or_halve(workspace, entries, rejections)
        except FoldlineError as error:
            for submission in batch:
                submission.answer.set_exception(error)
            return
        fresh = set(appended.fresh)
        for submission in batch:
            submission.answer.set_result(_receipt(submission, appended, fresh, refused))
        self._on_flush(len(entries), time.monotonic() - started)

    def _append_or_halve(
        self, workspace: int, entries: Sequence[Entry], rejections: Sequence[Rejection]
    ) -> tuple[Appended, frozenset[bytes]]:
        """Write the entries; one that the database refuses is kept as rejected, alone.

        Returns what was added, and the digests of refused entries.
        """
        try:
            return self._append_patiently(workspace, entries, rejections), frozenset()
        except POISON as error:
            if len(entries) <= 1:
                log.warning("the database refused a message", workspace=workspace, error=str(error))
                why = f"the database refused it: {error}"
                refused = [*rejections, *(it.rejected("not_storable", why) for it in entries)]
                appended = self._append_patiently(workspace, (), refused)
                return appended, frozenset(entry.digest for entry in entries)
        middle = len(entries) // 2
        left, left_refused = self._append_or_halve(workspace, entries[:middle], rejections)
        right, right_refused = self._append_or_halve(workspace, entries[middle:], ())
        both = Appended(
            right.position,
            left.fresh | right.fresh,
            suppressed=left.suppressed | right.suppressed,
        )
        return both, left_refused | right_refused

    def _append_patiently(
        self, workspace: int, entries: Sequence[Entry], rejections: Sequence[Rejection]
    ) -> Appended:
        """Append, and try again what may be tried again.

        After a connection lost during the commit nobody knows whether it happened.  The same flush
        sent again finds out: its first statement looks every digest up, and waits for a commit that
        is still on its way.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._append(workspace, entries, rejections)
            except POISON:
                raise
            except psycopg.Error as error:
                log.warning("flush is tried again", workspace=workspace, error=str(error))
                if time.monotonic() > until:
                    raise LedgerUnavailable(
                        "the ledger could not be written, so nothing was promised;"
                        " send it again shortly",
                        reason=str(error),
                    ) from error


def _receipt(
    submission: Submission, appended: Appended, fresh: set[bytes], refused: frozenset[bytes]
) -> Receipt:
    recorded = rejected = suppressed = 0
    for entry in submission.entries:
        if entry.digest in refused:
            rejected += 1
        elif entry.digest in appended.suppressed:
            suppressed += 1
        elif entry.digest in fresh:
            fresh.remove(entry.digest)  # the first to send it recorded it; the next repeats it
            recorded += 1
    return Receipt(
        position=appended.position,
        recorded=recorded,
        duplicates=len(submission.entries) - recorded - rejected - suppressed,
        rejected=rejected + len(submission.rejections),
        suppressed=suppressed,
    )
