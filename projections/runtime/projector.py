"""Feeds the ledger to read models: a batch and its checkpoint commit together, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from threading import Event

from sqlalchemy import Connection, Engine, select

from domain.core.errors import FoldlineError, HoleInLedger
from domain.core.time import to_micros
from domain.events.recorded import Recorded
from projections.rebuild import builds
from projections.runtime import checkpoint, parallel_apply
from projections.runtime.batch import Batch
from projections.runtime.batch_size import BATCH, Pace
from projections.runtime.erasure import Forgetting
from projections.runtime.parallel_apply import Lane
from projections.runtime.projection import Feed, Projection
from projections.runtime.worker import work


class Overtaken(FoldlineError):
    """Another worker has moved the checkpoint; what this one did was rolled back."""

    code = "overtaken"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A read model that could not take a batch."""

    projection: Projection
    error: Exception


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one round over a workspace came to."""

    applied: int = 0
    """Events taken, counted once for each group of read models that stood together."""

    reached: int = 0
    """Position that all of them have taken, as far as this worker knows."""

    overtaken: bool = False
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where one read model stands in one workspace."""

    workspace: int
    name: str
    version: int
    head: int
    position: int = 0
    recorded_at: datetime | None = None
    """When the ledger took the last event that the read model has."""

    updated_at: datetime | None = None
    """When the read model last moved; None if it has never seen the workspace."""

    failure: str | None = None
    """Why it does not take the next event, if it has tried."""

    failed_at: datetime | None = None

    @property
    def lag(self) -> int:
        """Events that the ledger has and the read model has not."""
        return max(0, self.head - self.position)


class Projector:
    """Brings read models up to the head of the ledger, in batches.

    With two ``lanes`` the read models of a large batch are written by two threads on two connections: while
    the database works for one, the other one goes on.  Each lane is a transaction.
    """

    def __init__(
        self, feed: Feed, engine: Engine, projections: Sequence[Projection], *, lanes: int = 1
    ) -> None:
        self.feed = feed
        self.projections = tuple(projections)
        self._engine, self._lanes = engine, lanes
        self._timed = [(it, it.time) for it in self.projections if it.time is not None]

    @property
    def engine(self) -> Engine:
        """The connections that read models are written with."""
        return self._engine

    def prepare(self) -> None:
        """Create the schemas and tables that are missing; safe to call at every start."""
        with self._engine.begin() as tx:
            checkpoint.prepare(tx, self.projections)
            builds.prepare(tx)

    def advance(self, workspace: int, limit: int = BATCH) -> int:
        """Apply one batch to each read model and return how many events were taken.

        0 means that nothing was left, or that another worker was quicker.  Each read model has had
        its turn before the first error, if there was one, is raised.
        """
        return self._advance(workspace, limit).applied

    def catch_up(self, workspace: int | None = None, limit: int | None = None) -> int:
        """Apply batches until nothing is left, and return how many events were taken."""
        applied, pace, heads = 0, Pace(), self.feed.heads()
        for each in [workspace] if workspace is not None else sorted(heads):
            step = Step(overtaken=True)
            while step.applied or step.overtaken:
                with pace.limit(heads.get(each, 0) - step.reached) as some:
                    step = self._advance(each, limit or some)
                applied += step.applied
        return applied

    def run(self, stop: Event) -> None:
        """Follow the ledger until told to stop.  Errors are logged, marked and tried again."""
        work(self, stop)

    @contextmanager
    def erasing(self, workspace: int) -> Iterator[Forgetting]:
        """Give the transaction in which a person is erased; meanwhile no read model moves."""
        with self._engine.begin() as tx:
            checkpoint.keep_out_projectors(tx, workspace)
            builds.keep_out_switches(tx)
            checkpoint.forget_failures(tx, workspace)
            yield Forgetting(tx, workspace, self.projections, partial(self._batch, workspace))

    def status(self) -> list[Standing]:
        """Return where every read model of this registry stands in every workspace."""
        heads = self.feed.heads()
        with self._engine.connect() as tx:
            rows = tx.execute(select(checkpoint.checkpoint)).mappings().all()
        found = {(row["workspace"], row["name"], row["version"]): row for row in rows}
        standings = []
        for workspace, head in sorted(heads.items()):
            for it in self.projections:
                key = {"workspace": workspace, "name": it.name, "version": it.version}
                row = found.get((workspace, it.name, it.version), key)
                standings.append(Standing(**row, head=head))
        return standings

    def step(self, workspace: int, projections: Sequence[Projection], limit: int = BATCH) -> Step:
        """Apply one batch to each of these read models; those at one position share its decode."""
        applied, overtaken = 0, False
        reached: list[int] = []
        failures: list[Failure] = []
        for position, group in self._standing(workspace, projections).items():
            turn = self._take(workspace, position, group, limit)
            applied += turn.applied
            overtaken = overtaken or turn.overtaken
            reached.append(turn.reached)
            failures += turn.failures
        return Step(
            applied=applied,
            reached=min(reached, default=0),
            overtaken=overtaken,
            failures=tuple(failures),
        )

    def due(self, workspaces: Sequence[int]) -> Sequence[int]:
        """Return those of the workspaces in which a read model changes by itself by now."""
        now, found = datetime.now(UTC).timestamp() * 1e6, set[int]()
        with self._engine.connect() as tx:
            for _, time in self._timed:
                instants = time.due(tx, workspaces)
                found |= {it for it, at in instants.items() if at is not None and at <= now}
        return sorted(found)

    def pass_time(self, workspace: int) -> bool:
        """Let the time go by for read models that stand at the head; say whether any was due."""
        if not self.due([workspace]):
            return False
        clock = self.feed.clock(workspace)
        with self._engine.begin() as tx:
            checkpoint.keep_out_erasures(tx, workspace)
            checkpoint.plan_anew(tx)
            for projection, time in self._timed:
                if checkpoint.hold(tx, workspace, projection) == clock.position:
                    time.passes(tx, workspace, to_micros(clock.recorded_at))
        return True

    def read(self, workspace: int, after: int, limit: int) -> Batch | None:
        """Return the events that follow a position; None if there are none.  Raises HoleInLedger."""
        records = self.feed.read(workspace, after, limit)
        _refuse_holes(workspace, after, records)
        return self._batch(workspace, records) if records else None

    def mark_failed(self, workspace: int, failure: Failure) -> None:
        """Write the failure where the status of every process shows it."""
        error = failure.error
        with self._engine.begin() as tx:
            text = f"{type(error).__name__}: {error}".replace("\0", "\ufffd")[:1000]
            checkpoint.mark_failed(tx, workspace, failure.projection, text)

    def _advance(self, workspace: int, limit: int) -> Step:
        step = self.step(workspace, self.projections, limit)
        if step.failures:
            raise step.failures[0].error
        return step

    def _standing(
        self, workspace: int, projections: Sequence[Projection]
    ) -> dict[int, list[Projection]]:
        with self._engine.begin() as tx:
            found = checkpoint.positions(tx, workspace, projections)
            new = [it for it, position in found.items() if position is None]
            if new:
                checkpoint.enter(tx, workspace, new)
        groups: dict[int, list[Projection]] = {}
        for projection, position in found.items():
            groups.setdefault(position or 0, []).append(projection)
        return dict(sorted(groups.items()))

    def _take(self, workspace: int, position: int, group: Sequence[Projection], limit: int) -> Step:
        """Take one batch for all; if that fails, for each alone, so that one does not hold the rest."""
        try:
            with ExitStack() as stack:
                tx = self._begun(stack, workspace)
                batch = self.read(workspace, position, limit)
                if batch is None:
                    return Step(reached=position)
                shares = parallel_apply.shares(group, batch, self._lanes)
                # Each keeps erasures out by itself, from a time on at which the first one does.
                txs = [tx, *(self._begun(stack, workspace) for _ in shares[1:])]
                abreast = list(zip(txs, shares, strict=True))
                self._move(abreast, batch, group)
                parallel_apply.apply(abreast, batch)
        except (Overtaken, checkpoint.ErasureUnderWay):
            return Step(reached=position, overtaken=True)
        except HoleInLedger as hole:
            failures = tuple(Failure(projection=it, error=hole) for it in group)
            return Step(reached=position, failures=failures)
        except Exception as error:  # noqa: BLE001 - whatever a fold raises, the others go on
            if len(group) == 1:
                return Step(reached=position, failures=(Failure(projection=group[0], error=error),))
            return _together([self._take(workspace, position, [it], limit) for it in group])
        return Step(applied=len(batch.records), reached=batch.position)

    def _batch(self, workspace: int, records: Sequence[Recorded]) -> Batch:
        stream_of = partial(self.feed.stream_of, workspace)
        return Batch(workspace, records, stream_of, partial(self.feed.attested, workspace))

    def _begun(self, stack: ExitStack, workspace: int) -> Connection:
        tx = stack.enter_context(self._engine.begin())
        checkpoint.keep_out_erasures(tx, workspace)
        return tx

    def _move(self, abreast: Sequence[Lane], batch: Batch, group: Sequence[Projection]) -> None:
        """Move each checkpoint in the transaction of its lane.  Raises Overtaken."""
        tx_of = {projection: tx for tx, share in abreast for projection in share}
        recorded_at = batch.records[-1].recorded_at
        # In the order of the registry, whatever the lane: workers who lock in one order never wait in a circle.
        for tx, each in groupby(group, tx_of.__getitem__):
            share = list(each)
            moved = checkpoint.move(
                tx, batch.workspace, share, batch.after, batch.position, recorded_at
            )
            for projection in share:
                if projection not in moved:
                    raise Overtaken(
                        f"{projection} has moved on from position {batch.after}",
                        workspace=batch.workspace,
                        projection=str(projection),
                    )


def _together(steps: Sequence[Step]) -> Step:
    """Return what the turns of read models that stood together came to."""
    return Step(
        applied=max(it.applied for it in steps),
        reached=min(it.reached for it in steps),
        overtaken=any(it.overtaken for it in steps),
        failures=tuple(failure for it in steps for failure in it.failures),
    )


def _refuse_holes(workspace: int, after: int, records: Sequence[Recorded]) -> None:
    for expected, recorded in enumerate(records, after + 1):
        if recorded.position != expected:
            raise HoleInLedger(
                f"position {expected} is missing from workspace {workspace}; {recorded.position} came",
                workspace=workspace,
                expected=expected,
                found=recorded.position,
            )
