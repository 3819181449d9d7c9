"""The loop that keeps read models up to date while the service runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from projections.runtime.batch_size import Pace
from projections.runtime.checkpoint import ErasureUnderWay

if TYPE_CHECKING:  # the projector starts this loop
    from projections.runtime.projection import Projection
    from projections.runtime.projector import Failure, Projector

BUSY = 0.025
"""Seconds at least from the beginning of a look at the ledger to the next while events come in: they gather."""

IDLE = 0.1
"""Seconds between two looks at an idle ledger."""

DUE = 0.05
"""Seconds at least between two questions whether anything is due."""

FIRST_RETRY, LAST_RETRY = 0.5, 2.0
"""Seconds to wait after a failure: doubled each time, from the first to the last."""

log = structlog.get_logger(__name__)


@dataclass
class Hold:
    """How long something that failed is left alone."""

    failures: int = 0
    until: float = 0.0

    def failed(self) -> None:
        """Wait twice as long as the last time."""
        self.until = monotonic() + min(FIRST_RETRY * 2 ** min(self.failures, 16), LAST_RETRY)
        self.failures += 1


@dataclass
class Follower:
    """What the loop remembers between two looks.  Nothing here is needed for correctness."""

    projector: Projector
    reached: dict[int, int] = field(default_factory=dict)
    """Head of each workspace up to which every read model has been brought."""

    holds: dict[tuple[int, Projection], Hold] = field(default_factory=dict)

    pace: Pace = field(default_factory=Pace)
    asked_at: float = -inf
    """When it was last asked what is due."""

    def look(self) -> float | None:
        """Take a batch of what is new in every workspace.

        Returns the seconds after which another look is due, or None if nothing was new.
        """
        began, heads = monotonic(), self.projector.feed.heads()
        moved = [self._follow(it, head) for it, head in heads.items() if head > self._reached(it)]
        self._pass_time([it for it, head in heads.items() if head == self._reached(it)])
        if not any(moved):
            return None
        behind = any(head > self._reached(it) for it, head in heads.items())
        return 0.0 if behind else max(0.0, began + BUSY - monotonic())

    def _reached(self, workspace: int) -> int:
        return self.reached.get(workspace, 0)

    def _follow(self, workspace: int, head: int) -> bool:
        """Take one batch; say whether there was anything to take."""
        now = monotonic()
        free = [
            it
            for it in self.projector.projections
            if (workspace, it) not in self.holds or self.holds[workspace, it].until <= now
        ]
        if not free:
            return False
        with self.pace.limit(head - self._reached(workspace)) as some:
            step = self.projector.step(workspace, free, some)
        failed = {failure.projection for failure in step.failures}
        for failure in step.failures:
            self._hold(workspace, failure)
        for projection in free:
            if projection not in failed:
                self.holds.pop((workspace, projection), None)
        if len(free) == len(self.projector.projections) and not (failed or step.overtaken):
            self.reached[workspace] = step.reached
        return bool(step.applied or step.overtaken)

    def _pass_time(self, workspaces: Sequence[int]) -> None:
        """Let time go by where something is due."""
        if monotonic() - self.asked_at < DUE:
            return
        self.asked_at = monotonic()
        for workspace in self.projector.due(workspaces):
            with suppress(ErasureUnderWay):  # the next look will do
                self.projector.pass_time(workspace)

    def _hold(self, workspace: int, failure: Failure) -> None:
        hold = self.holds.setdefault((workspace, failure.projection), Hold())
        hold.failed()
        log.error(
            "projection_failed",
            workspace=workspace,
            projection=str(failure.projection),
            failures=hold.failures,
            retry_in_seconds=round(hold.until - monotonic(), 1),
            exc_info=failure.error,
        )
        self.projector.mark_failed(workspace, failure)


def work(projector: Projector, stop: Event) -> None:
    """Follow the ledger until ``stop`` is set."""
    follower, whole, pause = Follower(projector), Hold(), IDLE
    while not stop.is_set():
        try:
            due = follower.look()
            pause = min(max(pause, BUSY) * 1.5, IDLE) if due is None else due
            whole = Hold()
        except Exception:  # the server went away, say: nothing is lost, the ledger is still there
            whole.failed()
            pause = max(BUSY, whole.until - monotonic())
            log.exception("projector_failed", failures=whole.failures, retry_in_seconds=pause)
        stop.wait(pause)
