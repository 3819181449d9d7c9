"""The end of a build: the last batches into the tables aside, then the switch or the comparison."""

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
"""How often a claim is renewed while one step takes long."""

MIN_DRAIN_SECONDS, MAX_DRAIN_SECONDS = 0.25, 8.0
"""Seconds for which read models are held back for questions to end: from the first to the last attempt.
Twice that goes by before the next."""

log = structlog.get_logger(__name__)


@contextmanager
def renewing_leases(engine: Engine, leases: Sequence[BuildLease]) -> Iterator[None]:
    """Renew claims now and then while inside, for what takes long in one piece."""
    over = Event()

    def renew() -> None:
        while not over.wait(RENEW_SECONDS):
            for claim in leases:
                try:
                    with suppress(BuildWithdrawn), engine.begin() as tx:
                        builds.renew(tx, claim)
                except Exception:  # it is tried again; should the claim lapse, the fence holds
                    log.exception("claim_not_renewed")

    renewing = Thread(target=renew, name="claims", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()


class Builder:
    """Brings one build to its end from where it stands, in transactions that each check the claim."""

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
        """Work until it is done or ``stop`` is set; say which.  Raises Withdrawn."""
        begin(self._engine, self._lease)
        ready, before = False, 0
        while not self._stop.is_set():
            behind = self._lag()
            left = builds.events_left(behind)
            if left > self._catch_up_threshold:
                # Where events come in as fast as they are built, the last of them are built in the hold.
                self._catch_up_threshold *= 2 if left >= before > 0 else 1
                before = left
                self._catch_up(behind)
                continue
            if not ready:
                self._create_indexes()
                ready = True  # meanwhile more may have come in
            elif self._try_finish():
                return True
        return False

    def _lag(self) -> list[BuildLag]:
        with self._engine.begin() as tx:
            return builds.lag_by_workspace(tx, self._lease.projection)

    def _catch_up(self, behind: list[BuildLag]) -> None:
        """Take a batch in every workspace that is behind; an erasure has the right of way."""
        for it in behind:
            if it.built < it.live and not self._stop.is_set():
                try:
                    self._apply_batch(it)
                except ErasureInProgress:
                    self._stop.wait(0.05)
                self._on_progress()

    def _apply_batch(self, lag: BuildLag) -> int:
        """Take a batch up to where the live tables are, and return the position after it."""
        left = lag.live - lag.built
        with self._batch_size.limit(left) as some:
            return apply_batch(
                self._projector, [self._lease], lag.workspace, lag.built, min(some, left)
            )

    def _create_indexes(self) -> None:
        """Make the indexes that questions need, and tell the planner what is there."""
        projection = self._lease.projection
        for it in (
            shadow_schema.deferred_indexes(projection) if self._lease.kind == "rebuild" else ()
        ):
            with self._engine.begin() as tx:
                builds.renew(tx, self._lease)
            # One after the other: who is erased waits for one at most.
            with self._engine.begin() as tx:
                shadow_schema.create_index(tx, projection, it)
        with self._engine.begin() as tx:
            shadow_schema.analyze(tx, projection)

    def _try_finish(self) -> bool:
        """Bring it to its end while no read model moves; False if that must be tried again."""
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
            log.warning("old_tables_stay", projection=str(self._lease.projection))
        return True

    def _apply_remaining(self) -> bool:
        """Take what little is left, while the live tables are held; say whether that is all."""
        behind = self._lag()
        if builds.events_left(behind) > 2 * self._catch_up_threshold or any(
            it.built > it.live for it in behind
        ):
            return False
        try:
            for it in behind:
                at = it
                while at.built < at.live:
                    at = at._replace(built=self._apply_batch(at))
        except ErasureInProgress:  # it waits for us
            return False
        self._advance_time()
        return True

    def _advance_time(self) -> None:
        """Let the same time go by in both, up to the next event: an idle ledger moves only the live one."""
        projection = self._lease.projection
        for it in self._lag() if projection.timers is not None else ():
            assert projection.timers is not None
            following = self._projector.feed.read(it.workspace, it.live, 1)
            place = following[0] if following else self._projector.feed.clock(it.workspace)
            clock = to_micros(place.recorded_at)
            with self._engine.begin() as tx:
                projection.timers.advance_to(tx, it.workspace, clock)
            with self._engine.begin() as tx, shadow_schema.redirect_writes(tx, projection):
                projection.timers.advance_to(tx, it.workspace, clock)

    def _verify(self, unblock: Callable[[], None]) -> None:
        """Compare at leisure what both were at one moment; ``go_on`` lets the read models move again."""
        projection = self._lease.projection
        one_moment = self._engine.execution_options(isolation_level="REPEATABLE READ")
        with one_moment.connect() as tx:
            switch.database_time(tx)  # from here on it sees this moment
            unblock()
            result = compare(tx, projection)
        with self._engine.begin() as tx:
            builds.block_erasures(tx)
            builds.finish(tx, self._lease, result)
            shadow_schema.drop(tx, shadow_schema.next_schema(projection.schema))
