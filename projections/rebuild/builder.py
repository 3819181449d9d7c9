"""Finishes a build: the last batches into the shadow tables, then the switch or comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread

import structlog
from sqlalchemy import Engine

from domain.core.time import to_micros
from projections.rebuild import builds, shadow_schema, switch
from projections.rebuild.builds import BuildLag, BuildLease, BuildWithdrawn
from projections.rebuild.comparison import compare
from projections.rebuild.shared_build import apply_batch, begin
from projections.runtime import batch_size
from projections.runtime.checkpoint import ErasureInProgress
from projections.runtime.projector import Projector

RENEW_SECONDS = 5.0
"""Seconds between renewals of a lease during a long step."""

MIN_DRAIN_SECONDS, MAX_DRAIN_SECONDS = 0.25, 8.0
"""Seconds for which read models are locked while queries end: from the first to the last attempt.  After a
failed attempt the builder waits twice as long."""

log = structlog.get_logger(__name__)


@contextmanager
def renewing_leases(engine: Engine, leases: Sequence[BuildLease]) -> Iterator[None]:
    """Renews leases regularly during the block, for long steps."""
    ended = Event()

    def renew() -> None:
        while not ended.wait(RENEW_SECONDS):
            for lease in leases:
                try:
                    with suppress(BuildWithdrawn), engine.begin() as tx:
                        builds.renew(tx, lease)
                except (
                    Exception
                ):  # it is tried again; if the lease expires, the fence protects the build
                    log.exception("build_lease_not_renewed")

    renewal = Thread(target=renew, name="build-leases", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        ended.set()
        renewal.join()


class Builder:
    """Finishes one build from where it is, in transactions that each check the lease."""

    def __init__(
        self, projector: Projector, lease: BuildLease, stop: Event, on_progress: Callable[[], None]
    ) -> None:
        self._projector, self._engine = projector, projector.engine
        self._lease, self._stop, self._on_progress = lease, stop, on_progress
        self._catch_up_threshold, self._drain_seconds, self._batch_size = (
            batch_size.BATCH_SIZE,
            MIN_DRAIN_SECONDS,
            batch_size.AdaptiveBatchSize(),
        )

    def run(self) -> bool:
        """Works until the build is done or ``stop`` is set; returns whether it is done.

        Raises BuildWithdrawn.
        """
        begin(self._engine, self._lease)
        ready, previously_left = False, 0
        while not self._stop.is_set():
            behind = self._lag()
            left = builds.events_left(behind)
            if left > self._catch_up_threshold:
                # If events arrive as fast as they are applied, the last of them are applied under the lock.
                self._catch_up_threshold *= 2 if left >= previously_left > 0 else 1
                previously_left = left
                self._catch_up(behind)
                continue
            if not ready:
                self._create_indexes()
                ready = True  # meanwhile more events may have arrived
            elif self._try_finish():
                return True
        return False

    def _lag(self) -> list[BuildLag]:
        with self._engine.begin() as tx:
            return builds.lag_by_workspace(tx, self._lease.projection)

    def _catch_up(self, behind: list[BuildLag]) -> None:
        """Applies a batch in every workspace that is behind; erasures go first."""
        for lag in behind:
            if lag.built < lag.live and not self._stop.is_set():
                try:
                    self._apply_batch(lag)
                except ErasureInProgress:
                    self._stop.wait(0.05)
                self._on_progress()

    def _apply_batch(self, lag: BuildLag) -> int:
        """Applies a batch up to the position of the live tables, and returns the position after it."""
        left = lag.live - lag.built
        with self._batch_size.limit(left) as size:
            return apply_batch(
                self._projector, [self._lease], lag.workspace, lag.built, min(size, left)
            )

    def _create_indexes(self) -> None:
        """Creates the indexes that queries need, and analyzes the tables."""
        projection = self._lease.projection
        for index in (
            shadow_schema.deferred_indexes(projection) if self._lease.kind == "rebuild" else ()
        ):
            with self._engine.begin() as tx:
                builds.renew(tx, self._lease)
            # One after the other, so that an erasure waits for one at most.
            with self._engine.begin() as tx:
                shadow_schema.create_index(tx, projection, index)
        with self._engine.begin() as tx:
            shadow_schema.analyze(tx, projection)

    def _try_finish(self) -> bool:
        """Finishes the build while all read models are locked; returns whether that succeeded."""
        with self._engine.connect() as holder, holder.begin() as held:
            if not switch.lock_read_models(holder) or not self._apply_remaining():
                held.rollback()
                self._stop.wait(0.05)
                return False
            if self._lease.kind == "verify":
                self._verify(held.rollback)
                return True
            if not switch.wait_for_queries(
                holder, switch.database_time(holder), self._drain_seconds
            ):
                held.rollback()
                self._stop.wait(2 * self._drain_seconds)
                self._drain_seconds = min(2 * self._drain_seconds, MAX_DRAIN_SECONDS)
                return False
            shadow_schema.switch(holder, self._lease.projection)
            builds.finish(holder, self._lease)
        if not switch.drop_old(self._engine, self._lease.projection.schema):
            log.warning("old_schema_not_dropped", projection=str(self._lease.projection))
        return True

    def _apply_remaining(self) -> bool:
        """Applies the last events while the live tables are locked; returns whether none are left."""
        behind = self._lag()
        if builds.events_left(behind) > 2 * self._catch_up_threshold or any(
            lag.built > lag.live for lag in behind
        ):
            return False
        try:
            for initial in behind:
                lag = initial
                while lag.built < lag.live:
                    lag = lag._replace(built=self._apply_batch(lag))
        except ErasureInProgress:  # it waits for the locks of this transaction
            return False
        self._advance_time()
        return True

    def _advance_time(self) -> None:
        """Fires timers in both schemas up to the next event: until now only live ones fired."""
        projection = self._lease.projection
        for lag in self._lag() if projection.timers is not None else ():
            assert projection.timers is not None
            following = self._projector.feed.read(lag.workspace, lag.live, 1)
            point = following[0] if following else self._projector.feed.clock(lag.workspace)
            clock = to_micros(point.recorded_at)
            with self._engine.begin() as tx:
                projection.timers.advance_to(tx, lag.workspace, clock)
            with self._engine.begin() as tx, shadow_schema.redirect_writes(tx, projection):
                projection.timers.advance_to(tx, lag.workspace, clock)

    def _verify(self, unblock: Callable[[], None]) -> None:
        """Compares both schemas in one snapshot; ``unblock`` is called once the snapshot is taken."""
        projection = self._lease.projection
        snapshot = self._engine.execution_options(isolation_level="REPEATABLE READ")
        with snapshot.connect() as tx:
            switch.database_time(tx)  # the first statement takes the snapshot
            unblock()
            result = compare(tx, projection)
        with self._engine.begin() as tx:
            builds.block_erasures(tx)
            builds.finish(tx, self._lease, result)
            shadow_schema.drop(tx, shadow_schema.next_schema(projection.schema))
