"""The loop that keeps read models up to date while the service runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from threading import Event
from time import monotonic

import structlog

from projections.runtime.batch_size import AdaptiveBatchSize
from projections.runtime.checkpoint import ErasureInProgress
from projections.runtime.projection import Projection
from projections.runtime.projector import ProjectionFailure, Projector

BUSY_POLL_SECONDS = 0.025
"""Seconds at least from the beginning of a look at the ledger to the next while events come in: they gather."""

IDLE_POLL_SECONDS = 0.1
"""Seconds between two looks at an idle ledger."""

TIMER_POLL_SECONDS = 0.05
"""Seconds at least between two questions whether anything is due."""

MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.5, 2.0
"""Seconds to wait after a failure: doubled each time, from the first to the last."""

log = structlog.get_logger(__name__)


@dataclass
class Backoff:
    """How long something that failed is left alone."""

    failures: int = 0
    retry_at: float = 0.0

    def record_failure(self) -> None:
        """Wait twice as long as the last time."""
        self.retry_at = monotonic() + min(
            MIN_RETRY_SECONDS * 2 ** min(self.failures, 16), MAX_RETRY_SECONDS
        )
        self.failures += 1


@dataclass
class Follower:
    """What the loop remembers between two looks.  Nothing here is needed for correctness."""

    projector: Projector
    caught_up_to: dict[int, int] = field(default_factory=dict)
    """Head of each workspace up to which every read model has been brought."""

    backoffs: dict[tuple[int, Projection], Backoff] = field(default_factory=dict)

    batch_size: AdaptiveBatchSize = field(default_factory=AdaptiveBatchSize)
    timers_checked_at: float = -inf
    """When it was last asked what is due."""

    def poll(self) -> float | None:
        """Take a batch of what is new in every workspace.

        Returns the seconds after which another look is due, or None if nothing was new.
        """
        began, heads = monotonic(), self.projector.feed.heads()
        moved = [
            self._apply_next(it, head) for it, head in heads.items() if head > self._position_of(it)
        ]
        self._advance_time([it for it, head in heads.items() if head == self._position_of(it)])
        if not any(moved):
            return None
        behind = any(head > self._position_of(it) for it, head in heads.items())
        return 0.0 if behind else max(0.0, began + BUSY_POLL_SECONDS - monotonic())

    def _position_of(self, workspace: int) -> int:
        return self.caught_up_to.get(workspace, 0)

    def _apply_next(self, workspace: int, head: int) -> bool:
        """Take one batch; say whether there was anything to take."""
        now = monotonic()
        free = [
            it
            for it in self.projector.projections
            if (workspace, it) not in self.backoffs or self.backoffs[workspace, it].retry_at <= now
        ]
        if not free:
            return False
        with self.batch_size.limit(head - self._position_of(workspace)) as some:
            step = self.projector.apply_batch(workspace, free, some)
        failed = {failure.projection for failure in step.failures}
        for failure in step.failures:
            self._back_off(workspace, failure)
        for projection in free:
            if projection not in failed:
                self.backoffs.pop((workspace, projection), None)
        if len(free) == len(self.projector.projections) and not (failed or step.conflict):
            self.caught_up_to[workspace] = step.position
        return bool(step.applied or step.conflict)

    def _advance_time(self, workspaces: Sequence[int]) -> None:
        """Let time go by where something is due."""
        if monotonic() - self.timers_checked_at < TIMER_POLL_SECONDS:
            return
        self.timers_checked_at = monotonic()
        for workspace in self.projector.due_workspaces(workspaces):
            with suppress(ErasureInProgress):  # the next look will do
                self.projector.advance_time(workspace)

    def _back_off(self, workspace: int, failure: ProjectionFailure) -> None:
        hold = self.backoffs.setdefault((workspace, failure.projection), Backoff())
        hold.record_failure()
        log.error(
            "projection_failed",
            workspace=workspace,
            projection=str(failure.projection),
            failures=hold.failures,
            retry_in_seconds=round(hold.retry_at - monotonic(), 1),
            exc_info=failure.error,
        )
        self.projector.mark_failed(workspace, failure)


def work(projector: Projector, stop: Event) -> None:
    """Follow the ledger until ``stop`` is set."""
    follower, whole, pause = Follower(projector), Backoff(), IDLE_POLL_SECONDS
    while not stop.is_set():
        try:
            due = follower.poll()
            pause = (
                min(max(pause, BUSY_POLL_SECONDS) * 1.5, IDLE_POLL_SECONDS) if due is None else due
            )
            whole = Backoff()
        except Exception:  # the server went away, say: nothing is lost, the ledger is still there
            whole.record_failure()
            pause = max(BUSY_POLL_SECONDS, whole.retry_at - monotonic())
            log.exception("projector_failed", failures=whole.failures, retry_in_seconds=pause)
        stop.wait(pause)
