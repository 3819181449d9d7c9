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

from domain.core.errors import HoleInLedger
from projections.rebuild import builds, shadow_schema
from projections.rebuild.builds import Claim, Withdrawn
from projections.runtime import analyze, batch_size, checkpoint, gc
from projections.runtime.checkpoint import ErasureUnderWay
from projections.runtime.projector import Projector

log = structlog.get_logger(__name__)


class Turn(NamedTuple):
    """A place in a ledger, the builds that stand there, and how far they may go together."""

    workspace: int
    after: int
    until: int
    claims: Sequence[Claim]


class Together:
    """Brings builds near to the tables that answer, in transactions that each check every claim."""

    def __init__(
        self,
        projector: Projector,
        claims: Sequence[Claim],
        stop: Event,
        told: Callable[[], None],
    ) -> None:
        self._projector, self._engine = projector, projector.engine
        self._claims, self._stop, self._told = claims, stop, told

    def run(self) -> None:
        """Return once little is left, ``stop`` is set, or one of them fails.

        Each then goes on alone, so that it is known which.
        """
        self._claims = [it for it in self._claims if self._holds(it)]
        tempo = batch_size.Pace()
        while not self._stop.is_set() and (turn := self._next()) is not None:
            try:
                left = turn.until - turn.after
                with tempo.limit(left) as some:
                    take(self._projector, turn.claims, turn.workspace, turn.after, min(some, left))
            except ErasureUnderWay:  # it has the right of way
                self._stop.wait(0.05)
            except Withdrawn:
                self._claims = [it for it in self._claims if self._holds(it)]
            except (OperationalError, PoolTimeout):
                raise
            except Exception:  # whatever a fold raises
                log.exception(
                    "not_built_together", builds=[str(it.projection) for it in turn.claims]
                )
                return
            self._told()

    def _next(self) -> Turn | None:
        """Return where those stand that are furthest behind, in the first workspace of any that is."""
        standing: dict[tuple[int, int], list[tuple[Claim, int]]] = defaultdict(list)
        with self._engine.begin() as tx:
            for claim in self._claims:
                behind = builds.behind(tx, claim.projection)
                if builds.events(behind) > batch_size.BATCH:
                    for it in behind:
                        if it.built < it.live:
                            standing[it.workspace, it.built].append((claim, it.live))
        if not standing:
            return None
        (workspace, after), *others = sorted(standing)
        here = standing[workspace, after]
        # Not past others who stand further on: from there all go on together.
        ends = [live for _, live in here] + [at for its, at in others if its == workspace]
        return Turn(workspace, after, min(ends), [claim for claim, _ in here])

    def _holds(self, claim: Claim) -> bool:
        """Begin or go on; say whether that is ours to do."""
        try:
            begin(self._engine, claim)
        except Withdrawn:
            return False
        return True


def begin(engine: Engine, claim: Claim) -> None:
    """Make the tables aside, unless there are some to go on with.  Raises Withdrawn."""
    with engine.begin() as tx:
        builds.keep_out_erasures(tx)
        if builds.begin(tx, claim):
            shadow_schema.create(tx, claim.projection)


def take(
    projector: Projector, claims: Sequence[Claim], workspace: int, after: int, limit: int
) -> int:
    """Apply the batch that follows a position to the tables aside, and return the position after it.

    Raises Withdrawn, ErasureUnderWay.
    """
    with projector.engine.begin() as tx:
        checkpoint.keep_out_erasures(tx, workspace)
        for claim in claims:
            builds.renew(tx, claim)
        batch = projector.read(workspace, after, limit)
        if batch is None:
            raise HoleInLedger(
                f"workspace {workspace} ends at {after}; a read model is further on",
                workspace=workspace,
                expected=after + 1,
            )
        for claim in claims:
            builds.move(tx, claim, workspace, after=after, to=batch.position)
        checkpoint.plan_anew(tx)
        for claim in claims:
            with shadow_schema.written(tx, claim.projection), gc.unsearched():
                claim.projection.apply(tx, batch)
        for claim in claims if analyze.are_due(batch) else ():
            with shadow_schema.written(tx, claim.projection):
                analyze.gather(tx, claim.projection)
    return batch.position
