"""Worker loops: keep read models up to date while the service runs.

Workspaces with few new events and workspaces with a backlog are served by two threads, so that no
workspace waits until another one has caught up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from threading import Event, Thread
from time import monotonic

import structlog

from projections.runtime.batch_size import AdaptiveBatchSize
from projections.runtime.checkpoint import ErasureInProgress
from projections.runtime.projection import Projection
from projections.runtime.projector import ProjectionFailure, Projector

BUSY_POLL_SECONDS = 0.025
"""Minimum seconds from the start of one poll to the next while events arrive, so that they form batches."""

IDLE_POLL_SECONDS = 0.1
"""Seconds between two polls of an idle ledger."""

TIMER_POLL_SECONDS = 0.05
"""Minimum seconds between two checks of due timers."""

MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.5, 2.0
"""Seconds to wait after a failure: doubled each time, from the minimum to the maximum."""

log = structlog.get_logger(__name__)


@dataclass
class Backoff:
    """Exponential backoff after failures."""

    failures: int = 0
    retry_at: float = 0.0

    def record_failure(self) -> None:
        """Doubles the time until the next attempt."""
        self.retry_at = monotonic() + min(
            MIN_RETRY_SECONDS * 2 ** min(self.failures, 16), MAX_RETRY_SECONDS
        )
        self.failures += 1


@dataclass
class Follower:
    """State of the worker loops between two polls.  Nothing here is needed for correctness.

    `poll` and `poll_backlogs` may run at the same time, each in one thread.  They never apply events of the
    same workspace: which of them does follows from the number of events left, and `poll` decides.
    """

    projector: Projector
    caught_up_to: dict[int, int] = field(default_factory=dict)
    """Position of each workspace up to which every read model has applied events."""

    backoffs: dict[tuple[int, Projection], Backoff] = field(default_factory=dict)

    batch_sizes: defaultdict[int, AdaptiveBatchSize] = field(
        default_factory=partial(defaultdict, AdaptiveBatchSize)
    )
    """Of each workspace: one of which events take long must not hold up the others."""

    backlogs: dict[int, int] = field(default_factory=dict)
    """Head of each workspace that has more events left than are applied at once, as of the last `poll`."""

    has_backlogs: Event = field(default_factory=Event)

    timers_checked_at: float = -inf
    """Monotonic time of the last check of due timers."""

    def poll(self) -> float | None:
        """Applies the new events of every workspace that has few, and notes those that have many.

        Returns the seconds until the next poll, or None if there were no new events.
        """
        started_at, heads = monotonic(), self.projector.feed.heads()
        behind = {w: head for w, head in heads.items() if head > self._position_of(w)}
        self.backlogs = {w: head for w, head in behind.items() if self._has_backlog(w, head)}
        if self.backlogs:
            self.has_backlogs.set()
        else:
            self.has_backlogs.clear()
        few = {w: head for w, head in behind.items() if w not in self.backlogs}
        applied = [self._apply_next(w, head) for w, head in few.items()]
        self._advance_time([w for w, head in heads.items() if head == self._position_of(w)])
        if not (any(applied) or self.backlogs):
            return None
        is_behind = any(applied) and any(head > self._position_of(w) for w, head in few.items())
        return 0.0 if is_behind else max(0.0, started_at + BUSY_POLL_SECONDS - monotonic())

    def poll_backlogs(self) -> float:
        """Applies a batch in every workspace that has a backlog, or waits a moment for one.

        Returns the seconds until the next poll.
        """
        if not self.has_backlogs.wait(IDLE_POLL_SECONDS):
            return 0.0
        backlogs = self.backlogs
        applied = [
            self._apply_next(w, head, shared=len(backlogs) > 1)
            for w, head in backlogs.items()
            if self._has_backlog(w, head)
        ]
        return 0.0 if any(applied) else BUSY_POLL_SECONDS

    def _position_of(self, workspace: int) -> int:
        return self.caught_up_to.get(workspace, 0)

    def _has_backlog(self, workspace: int, head: int) -> bool:
        return not self.batch_sizes[workspace].is_short(head - self._position_of(workspace))

    def _apply_next(self, workspace: int, head: int, *, shared: bool = False) -> bool:
        """Applies one batch; returns whether any events were applied or a checkpoint conflicted."""
        now = monotonic()
        ready = [
            p
            for p in self.projector.projections
            if (workspace, p) not in self.backoffs or self.backoffs[workspace, p].retry_at <= now
        ]
        if not ready:
            return False
        left = head - self._position_of(workspace)
        with self.batch_sizes[workspace].limit(left, shared=shared) as size:
            result = self.projector.apply_batch(workspace, ready, size)
        failed = {failure.projection for failure in result.failures}
        for failure in result.failures:
            self._back_off(workspace, failure)
        for projection in ready:
            if projection not in failed:
                self.backoffs.pop((workspace, projection), None)
        if len(ready) == len(self.projector.projections) and not (failed or result.conflict):
            self.caught_up_to[workspace] = result.position
        return bool(result.applied or result.conflict)

    def _advance_time(self, workspaces: Sequence[int]) -> None:
        """Fires due timers."""
        if monotonic() - self.timers_checked_at < TIMER_POLL_SECONDS:
            return
        self.timers_checked_at = monotonic()
        for workspace in self.projector.due_workspaces(workspaces):
            with suppress(ErasureInProgress):  # the next poll will do
                self.projector.advance_time(workspace)

    def _back_off(self, workspace: int, failure: ProjectionFailure) -> None:
        backoff = self.backoffs.setdefault((workspace, failure.projection), Backoff())
        backoff.record_failure()
        log.error(
            "projection_failed",
            workspace=workspace,
            projection=str(failure.projection),
            failures=backoff.failures,
            retry_in_seconds=round(backoff.retry_at - monotonic(), 1),
            exc_info=failure.error,
        )
        self.projector.mark_failed(workspace, failure)


def work(projector: Projector, stop: Event) -> None:
    """Applies new events of the ledger until ``stop`` is set."""
    follower = Follower(projector)
    backlogs = Thread(
        target=_repeat, args=(follower.poll_backlogs, stop), name="backlogs", daemon=True
    )
    backlogs.start()
    _repeat(follower.poll, stop)
    backlogs.join()


def _repeat(poll: Callable[[], float | None], stop: Event) -> None:
    backoff, pause = Backoff(), IDLE_POLL_SECONDS
    while not stop.is_set():
        try:
            due = poll()
            pause = (
                min(max(pause, BUSY_POLL_SECONDS) * 1.5, IDLE_POLL_SECONDS) if due is None else due
            )
            backoff = Backoff()
        except Exception:  # e.g. the database restarted: nothing is lost, the ledger has all events
            backoff.record_failure()
            pause = max(BUSY_POLL_SECONDS, backoff.retry_at - monotonic())
            log.exception("projector_failed", failures=backoff.failures, retry_in_seconds=pause)
        stop.wait(pause)
