"""Several builds brought along at once: a batch is read and decoded one time for all that stand before it."""

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
    """A place in a ledger, the builds that stand there, and how far they may go together."""

    workspace: int
    after: int
    until: int
    leases: Sequence[BuildLease]


class SharedBuild:
    """Brings builds near to the tables that answer, in transactions that each check every claim."""

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
        """Return once little is left, ``stop`` is set, or one of them fails.

        Each then goes on alone, so that it is known which.
        """
        self._leases = [it for it in self._leases if self._begin(it)]
        tempo = batch_size.AdaptiveBatchSize()
        while not self._stop.is_set() and (turn := self._next_batch()) is not None:
            try:
                left = turn.until - turn.after
                with tempo.limit(left) as some:
                    apply_batch(
                        self._projector, turn.leases, turn.workspace, turn.after, min(some, left)
                    )
            except ErasureInProgress:  # it has the right of way
                self._stop.wait(0.05)
            except BuildWithdrawn:
                self._leases = [it for it in self._leases if self._begin(it)]
            except (OperationalError, PoolTimeout):
                raise
            except Exception:  # whatever a fold raises
                log.exception(
                    "not_built_together", builds=[str(it.projection) for it in turn.leases]
                )
                return
            self._on_progress()

    def _next_batch(self) -> BuildBatch | None:
        """Return where those stand that are furthest behind, in the first workspace of any that is."""
        standing: dict[tuple[int, int], list[tuple[BuildLease, int]]] = defaultdict(list)
        with self._engine.begin() as tx:
            for claim in self._leases:
                behind = builds.lag_by_workspace(tx, claim.projection)
                if builds.events_left(behind) > batch_size.BATCH_SIZE:
                    for it in behind:
                        if it.built < it.live:
                            standing[it.workspace, it.built].append((claim, it.live))
        if not standing:
            return None
        (workspace, after), *others = sorted(standing)
        here = standing[workspace, after]
        # Not past others who stand further on: from there all go on together.
        ends = [live for _, live in here] + [at for its, at in others if its == workspace]
        return BuildBatch(workspace, after, min(ends), [claim for claim, _ in here])

    def _begin(self, lease: BuildLease) -> bool:
        """Begin or go on; say whether that is ours to do."""
        try:
            begin(self._engine, lease)
        except BuildWithdrawn:
            return False
        return True


def begin(engine: Engine, lease: BuildLease) -> None:
    """Make the tables aside, unless there are some to go on with.  Raises Withdrawn."""
    with engine.begin() as tx:
        builds.block_erasures(tx)
        if builds.begin(tx, lease):
            shadow_schema.create(tx, lease.projection)


def apply_batch(
    projector: Projector, leases: Sequence[BuildLease], workspace: int, after: int, limit: int
) -> int:
    """Apply the batch that follows a position to the tables aside, and return the position after it.

    Raises Withdrawn, ErasureUnderWay.
    """
    with projector.engine.begin() as tx:
        checkpoint.block_erasures(tx, workspace)
        for claim in leases:
            builds.renew(tx, claim)
        batch = projector.read_batch(workspace, after, limit)
        if batch is None:
            raise LedgerGap(
                f"workspace {workspace} ends at {after}; a read model is further on",
                workspace=workspace,
                expected=after + 1,
            )
        for claim in leases:
            builds.advance(tx, claim, workspace, after=after, to=batch.position)
        checkpoint.force_custom_plans(tx)
        for claim in leases:
            with shadow_schema.redirect_writes(tx, claim.projection), gc.gc_paused():
                claim.projection.apply(tx, batch)
        for claim in leases if analyze.should_analyze(batch) else ():
            with shadow_schema.redirect_writes(tx, claim.projection):
                analyze.analyze_tables(tx, claim.projection)
    return batch.position
