"""The end of a build: the last batches into the tables aside, then the switch or the comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread

import structlog
from sqlalchemy import Engine

from domain.core.time import to_micros
from projections.rebuild import builds, shadow_schema, switch
from projections.rebuild.builds import Behind, Claim, Withdrawn
from projections.rebuild.comparison import compare
from projections.rebuild.shared_build import begin, take
from projections.runtime import batch_size
from projections.runtime.checkpoint import ErasureUnderWay
from projections.runtime.projector import Projector

RENEW_SECONDS = 5.0
"""How often a claim is renewed while one step takes long."""

FIRST_PATIENCE, LAST_PATIENCE = 0.25, 8.0
"""Seconds for which read models are held back for questions to end: from the first to the last attempt.
Twice that goes by before the next."""

log = structlog.get_logger(__name__)


@contextmanager
def kept(engine: Engine, claims: Sequence[Claim]) -> Iterator[None]:
    """Renew claims now and then while inside, for what takes long in one piece."""
    over = Event()

    def renew() -> None:
        while not over.wait(RENEW_SECONDS):
            for claim in claims:
                try:
                    with suppress(Withdrawn), engine.begin() as tx:
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
        self, projector: Projector, claim: Claim, stop: Event, told: Callable[[], None]
    ) -> None:
        self._projector, self._engine = projector, projector.engine
        self._claim, self._stop, self._told = claim, stop, told
        self._close, self._patience, self._pace = (
            batch_size.BATCH,
            FIRST_PATIENCE,
            batch_size.Pace(),
        )

    def run(self) -> bool:
        """Work until it is done or ``stop`` is set; say which.  Raises Withdrawn."""
        begin(self._engine, self._claim)
        ready, before = False, 0
        while not self._stop.is_set():
            behind = self._behind()
            left = builds.events(behind)
            if left > self._close:
                # Where events come in as fast as they are built, the last of them are built in the hold.
                self._close *= 2 if left >= before > 0 else 1
                before = left
                self._catch_up(behind)
                continue
            if not ready:
                self._make_ready()
                ready = True  # meanwhile more may have come in
            elif self._ended():
                return True
        return False

    def _behind(self) -> list[Behind]:
        with self._engine.begin() as tx:
            return builds.behind(tx, self._claim.projection)

    def _catch_up(self, behind: list[Behind]) -> None:
        """Take a batch in every workspace that is behind; an erasure has the right of way."""
        for it in behind:
            if it.built < it.live and not self._stop.is_set():
                try:
                    self._take(it)
                except ErasureUnderWay:
                    self._stop.wait(0.05)
                self._told()

    def _take(self, at: Behind) -> int:
        """Take a batch up to where the live tables are, and return the position after it."""
        left = at.live - at.built
        with self._pace.limit(left) as some:
            return take(self._projector, [self._claim], at.workspace, at.built, min(some, left))

    def _make_ready(self) -> None:
        """Make the indexes that questions need, and tell the planner what is there."""
        projection = self._claim.projection
        for it in shadow_schema.to_index(projection) if self._claim.kind == "rebuild" else ():
            with self._engine.begin() as tx:
                builds.renew(tx, self._claim)
            # One after the other: who is erased waits for one at most.
            with self._engine.begin() as tx:
                shadow_schema.index(tx, projection, it)
        with self._engine.begin() as tx:
            shadow_schema.analyze(tx, projection)

    def _ended(self) -> bool:
        """Bring it to its end while no read model moves; False if that must be tried again."""
        with self._engine.connect() as holder, holder.begin() as held:
            if not switch.hold(holder) or not self._caught_up():
                held.rollback()
                self._stop.wait(0.05)
                return False
            if self._claim.kind == "verify":
                self._verify(held.rollback)
                return True
            if not switch.readers_gone(holder, switch.now(holder), self._patience):
                held.rollback()
                self._stop.wait(2 * self._patience)
                self._patience = min(2 * self._patience, LAST_PATIENCE)
                return False
            shadow_schema.switch(holder, self._claim.projection)
            builds.finish(holder, self._claim)
        if not switch.drop_old(self._engine, self._claim.projection.schema):
            log.warning("old_tables_stay", projection=str(self._claim.projection))
        return True

    def _caught_up(self) -> bool:
        """Take what little is left, while the live tables are held; say whether that is all."""
        behind = self._behind()
        if builds.events(behind) > 2 * self._close or any(it.built > it.live for it in behind):
            return False
        try:
            for it in behind:
                at = it
                while at.built < at.live:
                    at = at._replace(built=self._take(at))
        except ErasureUnderWay:  # it waits for us
            return False
        self._pass_time()
        return True

    def _pass_time(self) -> None:
        """Let the same time go by in both, up to the next event: an idle ledger moves only the live one."""
        projection = self._claim.projection
        for it in self._behind() if projection.time is not None else ():
            assert projection.time is not None
            following = self._projector.feed.read(it.workspace, it.live, 1)
            place = following[0] if following else self._projector.feed.clock(it.workspace)
            clock = to_micros(place.recorded_at)
            with self._engine.begin() as tx:
                projection.time.passes(tx, it.workspace, clock)
            with self._engine.begin() as tx, shadow_schema.written(tx, projection):
                projection.time.passes(tx, it.workspace, clock)

    def _verify(self, go_on: Callable[[], None]) -> None:
        """Compare at leisure what both were at one moment; ``go_on`` lets the read models move again."""
        projection = self._claim.projection
        one_moment = self._engine.execution_options(isolation_level="REPEATABLE READ")
        with one_moment.connect() as tx:
            switch.now(tx)  # from here on it sees this moment
            go_on()
            result = compare(tx, projection)
        with self._engine.begin() as tx:
            builds.keep_out_erasures(tx)
            builds.finish(tx, self._claim, result)
            shadow_schema.drop(tx, shadow_schema.next_schema(projection.schema))
