"""Shared builds: a batch is read and decoded once for all builds at the same position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Event
from typing import NamedTuple

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.core.errors import LedgerGap
from projections.rebuild import builds, shadow_schema
from projections.rebuild.builds import BuildLease, BuildWithdrawn
from projections.runtime import analyze, batch_size, checkpoint, gc
from projections.runtime.checkpoint import ErasureInProgress
from projections.runtime.projector import Projector

log = structlog.get_logger(__name__)


class BuildBatch(NamedTuple):
    """A position, the builds at it, and the position up to which they continue together."""

    workspace: int
    after: int
    until: int
    leases: Sequence[BuildLease]


class SharedBuild:
    """Brings builds close to the live tables, in transactions that each check every lease."""

    def __init__(
        self,
        projector: Projector,
        leases: Sequence[BuildLease],
        stop: Event,
        on_progress: Callable[[], None],
    ) -> None:
        self._projector, self._engine = projector, projector.engine
        self._leases, self._stop, self._on_progress = leases, stop, on_progress

    def run(self) -> None:
        """Returns when few events are left, ``stop`` is set, or a fold fails.

        Each build then continues alone, which shows the one that fails.
        """
        self._leases = [lease for lease in self._leases if self._begin(lease)]
        adaptive_size = batch_size.AdaptiveBatchSize()
        while not self._stop.is_set() and (step := self._next_batch()) is not None:
            try:
                left = step.until - step.after
                with adaptive_size.limit(left) as size:
                    apply_batch(
                        self._projector, step.leases, step.workspace, step.after, min(size, left)
                    )
            except ErasureInProgress:  # erasures go first
                self._stop.wait(0.05)
            except BuildWithdrawn:
                self._leases = [lease for lease in self._leases if self._begin(lease)]
            except (OperationalError, PoolTimeout):
                raise
            except Exception:  # whatever a fold raises
                log.exception(
                    "shared_build_failed", builds=[str(lease.projection) for lease in step.leases]
                )
                return
            self._on_progress()

    def _next_batch(self) -> BuildBatch | None:
        """Returns the earliest position of a build that is behind, in the first such workspace."""
        leases_at: dict[tuple[int, int], list[tuple[BuildLease, int]]] = defaultdict(list)
        with self._engine.begin() as tx:
            for lease in self._leases:
                behind = builds.lag_by_workspace(tx, lease.projection)
                if builds.events_left(behind) > batch_size.BATCH_SIZE:
                    for lag in behind:
                        if lag.built < lag.live:
                            leases_at[lag.workspace, lag.built].append((lease, lag.live))
        if not leases_at:
            return None
        (workspace, after), *others = sorted(leases_at)
        leases = leases_at[workspace, after]
        # Not past builds that are further on: from their position all continue together.
        ends = [live for _, live in leases]
        ends += [position for other, position in others if other == workspace]
        return BuildBatch(workspace, after, min(ends), [lease for lease, _ in leases])

    def _begin(self, lease: BuildLease) -> bool:
        """Begins or resumes a build; returns whether its lease still holds."""
        try:
            begin(self._engine, lease)
        except BuildWithdrawn:
            return False
        return True


def begin(engine: Engine, lease: BuildLease) -> None:
    """Creates the shadow tables, unless there are some to resume from.  Raises BuildWithdrawn."""
    with engine.begin() as tx:
        builds.block_erasures(tx)
        if builds.begin(tx, lease):
            shadow_schema.create(tx, lease.projection)


def apply_batch(
    projector: Projector, leases: Sequence[BuildLease], workspace: int, after: int, limit: int
) -> int:
    """Applies the batch after a position to the shadow tables, and returns its end.

    Raises BuildWithdrawn, ErasureInProgress.
    """
    with projector.engine.begin() as tx:
        checkpoint.block_erasures(tx, workspace)
        for lease in leases:
            builds.renew(tx, lease)
        batch = projector.read_batch(workspace, after, limit)
        if batch is None:
            raise LedgerGap(
                f"workspace {workspace} ends at position {after}, but a read model is further on",
                workspace=workspace,
                expected=after + 1,
            )
        for lease in leases:
            builds.advance(tx, lease, workspace, after=after, to=batch.position)
        checkpoint.force_custom_plans(tx)
        for lease in leases:
            with shadow_schema.redirect_writes(tx, lease.projection), gc.gc_paused():
                lease.projection.apply(tx, batch)
        for lease in leases if analyze.should_analyze(batch) else ():
            with shadow_schema.redirect_writes(tx, lease.projection):
                analyze.analyze_tables(tx, lease.projection)
    return batch.position
