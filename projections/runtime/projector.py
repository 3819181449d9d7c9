"""Feeds the ledger to read models: a batch and its checkpoint commit together, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

from sqlalchemy import Connection, Engine, select

from domain.core.errors import FoldlineError, LedgerGap
from domain.core.time import to_micros
from domain.events.recorded import RecordedEvent
from projections.runtime import checkpoint, parallel_apply
from projections.runtime.batch import Batch
from projections.runtime.batch_size import BATCH_SIZE, AdaptiveBatchSize
from projections.runtime.parallel_apply import ApplyTask
from projections.runtime.projection import LedgerFeed, Projection


class CheckpointConflict(FoldlineError):
    """Another worker has moved the checkpoint; what this one did was rolled back."""

    code = "overtaken"


@dataclass(frozen=True, kw_only=True)
class ProjectionFailure:
    """A read model that could not take a batch."""

    projection: Projection
    error: Exception


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """What one round over a workspace came to."""

    applied: int = 0
    """Events taken, counted once for each group of read models that stood together."""

    position: int = 0
    """Position that all of them have taken, as far as this worker knows."""

    conflict: bool = False
    failures: tuple[ProjectionFailure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ProjectionStatus:
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
        self,
        feed: LedgerFeed,
        engine: Engine,
        projections: Sequence[Projection],
        *,
        parallelism: int = 1,
    ) -> None:
        self.feed = feed
        self.projections = tuple(projections)
        self._engine, self._parallelism = engine, parallelism
        self._with_timers = [(it, it.timers) for it in self.projections if it.timers is not None]

    @property
    def engine(self) -> Engine:
        """The connections that read models are written with."""
        return self._engine

    def prepare(self) -> None:
        """Create the schemas and tables that are missing; safe to call at every start."""
        with self._engine.begin() as tx:
            checkpoint.create_tables(tx, self.projections)

    def advance(self, workspace: int, limit: int = BATCH_SIZE) -> int:
        """Apply one batch to each read model and return how many events were taken.

        0 means that nothing was left, or that another worker was quicker.  Each read model has had
        its turn before the first error, if there was one, is raised.
        """
        return self._advance(workspace, limit).applied

    def catch_up(self, workspace: int | None = None, limit: int | None = None) -> int:
        """Apply batches until nothing is left, and return how many events were taken."""
        applied, pace, heads = 0, AdaptiveBatchSize(), self.feed.heads()
        for each in [workspace] if workspace is not None else sorted(heads):
            step = BatchResult(conflict=True)
            while step.applied or step.conflict:
                with pace.limit(heads.get(each, 0) - step.position) as some:
                    step = self._advance(each, limit or some)
                applied += step.applied
        return applied

    def status(self) -> list[ProjectionStatus]:
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
                standings.append(ProjectionStatus(**row, head=head))
        return standings

    def apply_batch(
        self, workspace: int, projections: Sequence[Projection], limit: int = BATCH_SIZE
    ) -> BatchResult:
        """Apply one batch to each of these read models; those at one position share its decode."""
        applied, overtaken = 0, False
        reached: list[int] = []
        failures: list[ProjectionFailure] = []
        for position, group in self._group_by_position(workspace, projections).items():
            turn = self._apply_group(workspace, position, group, limit)
            applied += turn.applied
            overtaken = overtaken or turn.conflict
            reached.append(turn.position)
            failures += turn.failures
        return BatchResult(
            applied=applied,
            position=min(reached, default=0),
            conflict=overtaken,
            failures=tuple(failures),
        )

    def due_workspaces(self, workspaces: Sequence[int]) -> Sequence[int]:
        """Return those of the workspaces in which a read model changes by itself by now."""
        now, found = datetime.now(UTC).timestamp() * 1e6, set[int]()
        with self._engine.connect() as tx:
            for _, time in self._with_timers:
                instants = time.next_due(tx, workspaces)
                found |= {it for it, at in instants.items() if at is not None and at <= now}
        return sorted(found)

    def advance_time(self, workspace: int) -> bool:
        """Let the time go by for read models that stand at the head; say whether any was due."""
        if not self.due_workspaces([workspace]):
            return False
        clock = self.feed.clock(workspace)
        with self._engine.begin() as tx:
            checkpoint.block_erasures(tx, workspace)
            checkpoint.force_custom_plans(tx)
            for projection, time in self._with_timers:
                if checkpoint.lock_position(tx, workspace, projection) == clock.position:
                    time.advance_to(tx, workspace, to_micros(clock.recorded_at))
        return True

    def read_batch(self, workspace: int, after: int, limit: int) -> Batch | None:
        """Return the events that follow a position; None if there are none.  Raises HoleInLedger."""
        records = self.feed.read(workspace, after, limit)
        _require_dense(workspace, after, records)
        return self.make_batch(workspace, records) if records else None

    def mark_failed(self, workspace: int, failure: ProjectionFailure) -> None:
        """Write the failure where the status of every process shows it."""
        error = failure.error
        with self._engine.begin() as tx:
            text = f"{type(error).__name__}: {error}".replace("\0", "\ufffd")[:1000]
            checkpoint.mark_failed(tx, workspace, failure.projection, text)

    def _advance(self, workspace: int, limit: int) -> BatchResult:
        step = self.apply_batch(workspace, self.projections, limit)
        if step.failures:
            raise step.failures[0].error
        return step

    def _group_by_position(
        self, workspace: int, projections: Sequence[Projection]
    ) -> dict[int, list[Projection]]:
        with self._engine.begin() as tx:
            found = checkpoint.positions(tx, workspace, projections)
            new = [it for it, position in found.items() if position is None]
            if new:
                checkpoint.initialise(tx, workspace, new)
        groups: dict[int, list[Projection]] = {}
        for projection, position in found.items():
            groups.setdefault(position or 0, []).append(projection)
        return dict(sorted(groups.items()))

    def _apply_group(
        self, workspace: int, position: int, group: Sequence[Projection], limit: int
    ) -> BatchResult:
        """Take one batch for all; if that fails, for each alone, so that one does not hold the rest."""
        try:
            with ExitStack() as stack:
                tx = self._begin(stack, workspace)
                batch = self.read_batch(workspace, position, limit)
                if batch is None:
                    return BatchResult(position=position)
                shares = parallel_apply.partition(group, batch, self._parallelism)
                # Each keeps erasures out by itself, from a time on at which the first one does.
                txs = [tx, *(self._begin(stack, workspace) for _ in shares[1:])]
                abreast = list(zip(txs, shares, strict=True))
                self._advance_checkpoints(abreast, batch, group)
                parallel_apply.apply(abreast, batch)
        except (CheckpointConflict, checkpoint.ErasureInProgress):
            return BatchResult(position=position, conflict=True)
        except LedgerGap as hole:
            failures = tuple(ProjectionFailure(projection=it, error=hole) for it in group)
            return BatchResult(position=position, failures=failures)
        except Exception as error:  # noqa: BLE001 - whatever a fold raises, the others go on
            if len(group) == 1:
                return BatchResult(
                    position=position,
                    failures=(ProjectionFailure(projection=group[0], error=error),),
                )
            return _merge_results(
                [self._apply_group(workspace, position, [it], limit) for it in group]
            )
        return BatchResult(applied=len(batch.records), position=batch.position)

    def make_batch(self, workspace: int, records: Sequence[RecordedEvent]) -> Batch:
        """Return events of one workspace as a batch that read models can apply."""
        stream_of = partial(self.feed.stream_of, workspace)
        return Batch(
            workspace, records, stream_of, partial(self.feed.identity_events_for, workspace)
        )

    def _begin(self, stack: ExitStack, workspace: int) -> Connection:
        tx = stack.enter_context(self._engine.begin())
        checkpoint.block_erasures(tx, workspace)
        return tx

    def _advance_checkpoints(
        self, tasks: Sequence[ApplyTask], batch: Batch, group: Sequence[Projection]
    ) -> None:
        """Move each checkpoint in the transaction of its lane.  Raises Overtaken."""
        tx_of = {projection: tx for tx, share in tasks for projection in share}
        recorded_at = batch.records[-1].recorded_at
        # In the order of the registry, whatever the lane: workers who lock in one order never wait in a circle.
        for tx, each in groupby(group, tx_of.__getitem__):
            share = list(each)
            moved = checkpoint.advance(
                tx, batch.workspace, share, batch.after, batch.position, recorded_at
            )
            for projection in share:
                if projection not in moved:
                    raise CheckpointConflict(
                        f"{projection} has moved on from position {batch.after}",
                        workspace=batch.workspace,
                        projection=str(projection),
                    )


def _merge_results(steps: Sequence[BatchResult]) -> BatchResult:
    """Return what the turns of read models that stood together came to."""
    return BatchResult(
        applied=max(it.applied for it in steps),
        position=min(it.position for it in steps),
        conflict=any(it.conflict for it in steps),
        failures=tuple(failure for it in steps for failure in it.failures),
    )


def _require_dense(workspace: int, after: int, records: Sequence[RecordedEvent]) -> None:
    for expected, recorded in enumerate(records, after + 1):
        if recorded.position != expected:
            raise LedgerGap(
                f"position {expected} is missing from workspace {workspace}; {recorded.position} came",
                workspace=workspace,
                expected=expected,
                found=recorded.position,
            )
