"""Worker loop: keeps read models up to date while the service runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from threading import Event
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

ACTIVE_SECONDS = 10.0
"""Seconds for which a workspace counts as active after it had new events."""

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
    """State of the worker loop between two polls.  Nothing here is needed for correctness."""

    projector: Projector
    caught_up_to: dict[int, int] = field(default_factory=dict)
    """Position of each workspace up to which every read model has applied events."""

    backoffs: dict[tuple[int, Projection], Backoff] = field(default_factory=dict)

    batch_sizes: defaultdict[int, AdaptiveBatchSize] = field(
        default_factory=partial(defaultdict, AdaptiveBatchSize)
    )
    """Of each workspace: one of which events take long must not hold up the others."""

    active_at: dict[int, float] = field(default_factory=dict)
    """Monotonic time when each workspace last had new events."""

    timers_checked_at: float = -inf
    """Monotonic time of the last check of due timers."""

    def poll(self) -> float | None:
        """Applies a batch in every workspace that has new events.

        Returns the seconds until the next poll, or None if there were no new events.
        """
        started_at, heads = monotonic(), self.projector.feed.heads()
        behind = [w for w, head in heads.items() if head > self._position_of(w)]
        shared = self._is_shared(behind, started_at)
        applied = [self._apply_next(w, heads[w], shared=shared) for w in behind]
        self._advance_time([w for w, head in heads.items() if head == self._position_of(w)])
        if not any(applied):
            return None
        is_behind = any(head > self._position_of(w) for w, head in heads.items())
        return 0.0 if is_behind else max(0.0, started_at + BUSY_POLL_SECONDS - monotonic())

    def _position_of(self, workspace: int) -> int:
        return self.caught_up_to.get(workspace, 0)

    def _is_shared(self, behind: Sequence[int], now: float) -> bool:
        """Returns whether several workspaces are active: those behind, and those that were lately."""
        self.active_at.update(dict.fromkeys(behind, now))
        return sum(now - at < ACTIVE_SECONDS for at in self.active_at.values()) > 1

    def _apply_next(self, workspace: int, head: int, *, shared: bool) -> bool:
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
    follower, backoff, pause = Follower(projector), Backoff(), IDLE_POLL_SECONDS
    while not stop.is_set():
        try:
            due = follower.poll()
            pause = (
                min(max(pause, BUSY_POLL_SECONDS) * 1.5, IDLE_POLL_SECONDS) if due is None else due
            )
            backoff = Backoff()
        except Exception:  # e.g. the database restarted: nothing is lost, the ledger has all events
            backoff.record_failure()
            pause = max(BUSY_POLL_SECONDS, backoff.retry_at - monotonic())
            log.exception("projector_failed", failures=backoff.failures, retry_in_seconds=pause)
        stop.wait(pause)
