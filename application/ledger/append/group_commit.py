"""Group commit: one transaction for many requests, each answered once it is durable."""

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

from application.ledger.append.append import AppendResult
from application.ledger.append.prepared import PreparedMessage, Receipt
from application.ledger.tables.rejected import Rejection
from domain.core.errors import FoldlineError, LedgerUnavailable, Overloaded

log = structlog.get_logger(__name__)

AppendFlush = Callable[[int, Sequence[PreparedMessage], Sequence[Rejection]], AppendResult]
"""Writes one flush of one workspace; raises psycopg's errors, or LedgerUnavailable."""

RETRY_SECONDS = 0.5
"""How long a flush is retried after a lost connection or lock, before its requests fail with 503."""

POISON_ERRORS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.RaiseException,
)
"""Errors that a single message can cause; any other concerns the whole flush."""


class FlushLimits(NamedTuple):
    """Bounds of the queue and of one flush, in messages."""

    max_flush: int = 2000
    max_queued: int = 20_000
    second_writer_at: int = 1500
    """Queued messages from which on a second writer starts beside a busy one.

    Smaller flushes in parallel would only queue for the ledger head, each with its own disk flush.
    """


@dataclass
class Submission:
    """One request's messages and rejections, with the future of their receipt."""

    entries: Sequence[PreparedMessage]
    rejections: Sequence[Rejection]
    receipt: Future[Receipt] = field(default_factory=Future)

    @property
    def size(self) -> int:
        """Number of rows that it writes, at least one."""
        return max(1, len(self.entries) + len(self.rejections))


@dataclass
class _Queue:
    submissions: deque[Submission] = field(default_factory=deque)
    size: int = 0
    writers: int = 0


class GroupCommit:
    """Collects submissions by workspace and writes them in flushes.  Never splits a submission.

    ``on_flush`` is called after each flush with its number of messages and its seconds, for metrics.
    """

    def __init__(
        self,
        append: AppendFlush,
        *,
        limits: FlushLimits = FlushLimits(),  # noqa: B008 - immutable
        writers: int = 2,
        on_flush: Callable[[int, float], None] = lambda _messages, _seconds: None,
    ) -> None:
        self._append, self._limits, self._on_flush = append, limits, on_flush
        self._queues: dict[int, _Queue] = {}
        self._queued = 0
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run_writer, name=f"ledger-writer-{n}", daemon=True)
            for n in range(writers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued_messages(self) -> int:
        """Number of messages that wait for a flush."""
        return self._queued

    def submit(
        self,
        workspace: int,
        entries: Sequence[PreparedMessage],
        rejections: Sequence[Rejection] = (),
    ) -> Future[Receipt]:
        """Queues a request's messages; the future is done when they are durable.

        Raises Overloaded if the queue is full, LedgerUnavailable after `close`.
        """
        submission = Submission(entries, rejections)
        with self._changed:
            if self._closed:
                raise LedgerUnavailable("the server is shutting down; retry shortly")
            if self._queued and self._queued + submission.size > self._limits.max_queued:
                raise Overloaded(
                    "the queue of messages to write is full; retry shortly",
                    waiting=self._queued,
                )
            queue = self._queues.setdefault(workspace, _Queue())
            queue.submissions.append(submission)
            queue.size += submission.size
            self._queued += submission.size
            if self._can_write(queue):  # otherwise the writer would wake for nothing
                self._changed.notify()
        return submission.receipt

    def close(self) -> None:
        """Writes what is queued, then stops the writers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run_writer(self) -> None:
        while (next_batch := self._next_batch()) is not None:
            workspace, batch = next_batch
            try:
                self._flush(workspace, batch)
            except Exception as error:  # each waiting request gets the error; the writer goes on
                log.exception("flush_failed", workspace=workspace)
                for submission in batch:
                    if not submission.receipt.done():
                        submission.receipt.set_exception(error)
            finally:
                with self._changed:
                    self._queues[workspace].writers -= 1
                    self._changed.notify()

    def _next_batch(self) -> tuple[int, list[Submission]] | None:
        with self._changed:
            while True:
                workspace = self._next_workspace()
                if workspace is not None:
                    break
                if self._closed and not self._queued:
                    return None
                self._changed.wait()
            queue = self._queues.pop(workspace)
            self._queues[workspace] = queue  # at the end, so that workspaces take turns
            batch: list[Submission] = []
            size = 0
            while queue.submissions and (
                not batch or size + queue.submissions[0].size <= self._limits.max_flush
            ):
                submission = queue.submissions.popleft()
                batch.append(submission)
                size += submission.size
            queue.size -= size
            self._queued -= size
            queue.writers += 1
            return workspace, batch

    def _next_workspace(self) -> int | None:
        for workspace, queue in self._queues.items():
            if queue.submissions and self._can_write(queue):
                return workspace
        return None

    def _can_write(self, queue: _Queue) -> bool:
        return not queue.writers or queue.size >= self._limits.second_writer_at

    def _flush(self, workspace: int, batch: list[Submission]) -> None:
        started = time.monotonic()
        entries = [entry for submission in batch for entry in submission.entries]
        rejections = [rejection for submission in batch for rejection in submission.rejections]
        try:
            appended, refused = self._append_bisecting(workspace, entries, rejections)
        except FoldlineError as error:
            for submission in batch:
                submission.receipt.set_exception(error)
            return
        fresh = set(appended.recorded)
        for submission in batch:
            submission.receipt.set_result(_receipt(submission, appended, fresh, refused))
        self._on_flush(len(entries), time.monotonic() - started)

    def _append_bisecting(
        self, workspace: int, entries: Sequence[PreparedMessage], rejections: Sequence[Rejection]
    ) -> tuple[AppendResult, frozenset[bytes]]:
        """Writes the entries; bisects them to find one that the database refuses, and rejects it.

        Returns the result, and the digests of refused entries.
        """
        try:
            return self._append_with_retry(workspace, entries, rejections), frozenset()
        except POISON_ERRORS as error:
            if len(entries) <= 1:
                log.warning("message_not_storable", workspace=workspace, error=str(error))
                reason = f"not storable: {error}"
                refused = [
                    *rejections,
                    *(entry.as_rejection("not_storable", reason) for entry in entries),
                ]
                appended = self._append_with_retry(workspace, (), refused)
                return appended, frozenset(entry.digest for entry in entries)
        middle = len(entries) // 2
        left, left_refused = self._append_bisecting(workspace, entries[:middle], rejections)
        right, right_refused = self._append_bisecting(workspace, entries[middle:], ())
        both = AppendResult(
            right.position,
            left.recorded | right.recorded,
            suppressed=left.suppressed | right.suppressed,
        )
        return both, left_refused | right_refused

    def _append_with_retry(
        self, workspace: int, entries: Sequence[PreparedMessage], rejections: Sequence[Rejection]
    ) -> AppendResult:
        """Appends, and retries after errors that do not concern a single message.

        Whether a commit happened is unknown after its connection was lost.  Appending the same flush
        again finds out: its first statement inserts every digest, and waits for a commit that is
        still in progress.
        """
        until = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                return self._append(workspace, entries, rejections)
            except POISON_ERRORS:
                raise
            except psycopg.Error as error:
                log.warning("flush_retried", workspace=workspace, error=str(error))
                if time.monotonic() > until:
                    raise LedgerUnavailable(
                        "ledger write failed and was not acknowledged; retry shortly",
                        reason=str(error),
                    ) from error


def _receipt(
    submission: Submission, appended: AppendResult, fresh: set[bytes], refused: frozenset[bytes]
) -> Receipt:
    recorded = rejected = suppressed = 0
    for entry in submission.entries:
        if entry.digest in refused:
            rejected += 1
        elif entry.digest in appended.suppressed:
            suppressed += 1
        elif entry.digest in fresh:
            fresh.remove(entry.digest)  # a later submission of the same id is a duplicate
            recorded += 1
    return Receipt(
        position=appended.position,
        recorded=recorded,
        duplicates=len(submission.entries) - recorded - rejected - suppressed,
        rejected=rejected + len(submission.rejections),
        suppressed=suppressed,
    )
