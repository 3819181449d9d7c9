"""Applies the ledger to read models: a batch and its checkpoint commit together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

from sqlalchemy import Connection, Engine

from domain.core.errors import FoldlineError, LedgerGap
from domain.core.time import to_micros
from domain.events.recorded import RecordedEvent
from projections.runtime import checkpoint, parallel_apply
from projections.runtime.batch import Batch
from projections.runtime.batch_size import BATCH_SIZE, AdaptiveBatchSize
from projections.runtime.parallel_apply import ApplyTask
from projections.runtime.projection import LedgerFeed, Projection
from projections.runtime.status import ProjectionStatus, read_status


class CheckpointConflict(FoldlineError):
    """Another worker has moved the checkpoint; what this one did was rolled back."""

    code = "overtaken"


@dataclass(frozen=True, kw_only=True)
class ProjectionFailure:
    """A read model that failed to apply a batch, and the error."""

    projection: Projection
    error: Exception


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """Result of a batch in one workspace."""

    applied: int = 0
    """Events applied, counted once for each group of read models at the same position."""

    position: int = 0
    """Position up to which all of them have applied events, as far as this worker knows."""

    conflict: bool = False
    failures: tuple[ProjectionFailure, ...] = ()


class Projector:
    """Brings read models up to the head of the ledger, in batches.

    With a ``parallelism`` of two the read models of a large batch are written by two threads on two connections:
    while the database works for one, the other one continues.  Each task is a transaction.
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
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        """The same connections, for single statements: without a round trip to begin, and one to end."""

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
        """Applies batches until no events are left, and returns the number of events applied."""
        applied, batch_size, heads = 0, AdaptiveBatchSize(), self.feed.heads()
        for workspace_ in [workspace] if workspace is not None else sorted(heads):
            result = BatchResult(conflict=True)
            while result.applied or result.conflict:
                with batch_size.limit(heads.get(workspace_, 0) - result.position) as size:
                    result = self._advance(workspace_, limit or size)
                applied += result.applied
        return applied

    def status(self) -> list[ProjectionStatus]:
        """Returns the status of every read model of this registry in every workspace."""
        return read_status(self._engine, self.feed.heads(), self.projections)

    def apply_batch(
        self, workspace: int, projections: Sequence[Projection], limit: int = BATCH_SIZE
    ) -> BatchResult:
        """Applies one batch to each of these read models; those at one position share its decoding."""
        applied, conflict = 0, False
        positions: list[int] = []
        failures: list[ProjectionFailure] = []
        for position, group in self._group_by_position(workspace, projections).items():
            result = self._apply_group(workspace, position, group, limit)
            applied += result.applied
            conflict = conflict or result.conflict
            positions.append(result.position)
            failures += result.failures
        return BatchResult(
            applied=applied,
            position=min(positions, default=0),
            conflict=conflict,
            failures=tuple(failures),
        )

    def due_workspaces(self, workspaces: Sequence[int]) -> Sequence[int]:
        """Returns those of the workspaces in which a timer is due."""
        now, due = datetime.now(UTC).timestamp() * 1e6, set[int]()
        with self._autocommit.connect() as tx:
            for _, timers in self._with_timers:
                instants = timers.next_due(tx, workspaces)
                due |= {
                    w for w, instant in instants.items() if instant is not None and instant <= now
                }
        return sorted(due)

    def advance_time(self, workspace: int) -> bool:
        """Fires due timers of read models that are at the head; returns whether any were due."""
        if not self.due_workspaces([workspace]):
            return False
        clock = self.feed.clock(workspace)
        with self._engine.begin() as tx:
            checkpoint.block_erasures(tx, workspace)
            checkpoint.force_custom_plans(tx)
            for projection, timers in self._with_timers:
                if checkpoint.lock_position(tx, workspace, projection) == clock.position:
                    timers.advance_to(tx, workspace, to_micros(clock.recorded_at))
        return True

    def read_batch(self, workspace: int, after: int, limit: int) -> Batch | None:
        """Returns the events that follow a position; None if there are none.  Raises LedgerGap."""
        records = self.feed.read(workspace, after, limit)
        _require_dense(workspace, after, records)
        return self.make_batch(workspace, records) if records else None

    def mark_failed(self, workspace: int, failure: ProjectionFailure) -> None:
        """Records the failure in the checkpoint, for the status that every process shows."""
        error = failure.error
        with self._engine.begin() as tx:
            text = f"{type(error).__name__}: {error}".replace("\0", "\ufffd")[:1000]
            checkpoint.mark_failed(tx, workspace, failure.projection, text)

    def _advance(self, workspace: int, limit: int) -> BatchResult:
        result = self.apply_batch(workspace, self.projections, limit)
        if result.failures:
            raise result.failures[0].error
        return result

    def _group_by_position(
        self, workspace: int, projections: Sequence[Projection]
    ) -> dict[int, list[Projection]]:
        with self._autocommit.connect() as tx:
            positions = checkpoint.positions(tx, workspace, projections)
            new = [p for p, position in positions.items() if position is None]
            if new:
                checkpoint.initialise(tx, workspace, new)
        groups: dict[int, list[Projection]] = {}
        for projection, position in positions.items():
            groups.setdefault(position or 0, []).append(projection)
        return dict(sorted(groups.items()))

    def _apply_group(
        self, workspace: int, position: int, group: Sequence[Projection], limit: int
    ) -> BatchResult:
        """Applies one batch to all; if that fails, to each alone, so that one blocks no other."""
        try:
            with ExitStack() as stack:
                tx = self._begin(stack, workspace)
                batch = self.read_batch(workspace, position, limit)
                if batch is None:
                    return BatchResult(position=position)
                shares = parallel_apply.partition(group, batch, self._parallelism)
                # Each transaction blocks erasures itself, starting while the first one blocks them.
                txs = [tx, *(self._begin(stack, workspace) for _ in shares[1:])]
                tasks = list(zip(txs, shares, strict=True))
                self._advance_checkpoints(tasks, batch, group)
                parallel_apply.apply(tasks, batch)
        except (CheckpointConflict, checkpoint.ErasureInProgress):
            return BatchResult(position=position, conflict=True)
        except LedgerGap as gap:
            failures = tuple(ProjectionFailure(projection=p, error=gap) for p in group)
            return BatchResult(position=position, failures=failures)
        except Exception as error:  # noqa: BLE001 - whatever a fold raises, the others continue
            if len(group) == 1:
                return BatchResult(
                    position=position,
                    failures=(ProjectionFailure(projection=group[0], error=error),),
                )
            return _merge_results(
                [self._apply_group(workspace, position, [p], limit) for p in group]
            )
        return BatchResult(applied=len(batch.records), position=batch.position)

    def make_batch(self, workspace: int, records: Sequence[RecordedEvent]) -> Batch:
        """Returns events of one workspace as a batch that read models can apply."""
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
        """Advances each checkpoint in the transaction of its task.  Raises CheckpointConflict."""
        tx_of = {projection: tx for tx, share in tasks for projection in share}
        recorded_at = batch.records[-1].recorded_at
        # In the order of the registry, whatever the task: workers that lock in one order never deadlock.
        for tx, projections in groupby(group, tx_of.__getitem__):
            share = list(projections)
            advanced = checkpoint.advance(
                tx, batch.workspace, share, batch.after, batch.position, recorded_at
            )
            for projection in share:
                if projection not in advanced:
                    raise CheckpointConflict(
                        f"{projection} is no longer at position {batch.after}",
                        workspace=batch.workspace,
                        projection=str(projection),
                    )


def _merge_results(results: Sequence[BatchResult]) -> BatchResult:
    """Returns the common result of read models that were at the same position."""
    return BatchResult(
        applied=max(result.applied for result in results),
        position=min(result.position for result in results),
        conflict=any(result.conflict for result in results),
        failures=tuple(failure for result in results for failure in result.failures),
    )


def _require_dense(workspace: int, after: int, records: Sequence[RecordedEvent]) -> None:
    for expected, recorded in enumerate(records, after + 1):
        if recorded.position != expected:
            raise LedgerGap(
                f"position {expected} is missing from workspace {workspace}; the next is {recorded.position}",
                workspace=workspace,
                expected=expected,
                found=recorded.position,
            )
