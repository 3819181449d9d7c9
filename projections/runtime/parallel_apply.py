"""Parallel tasks of a batch: one goes on while the database works for another."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection

from projections.runtime import analyze, checkpoint, gc
from projections.runtime.batch import Batch
from projections.runtime.projection import Projection, partition_by_weight

MIN_PARALLEL_EVENTS = 2_000
"""Events from which on a batch is applied by several tasks: for fewer it is not worth a thread."""

ApplyTask = tuple[Connection, Sequence[Projection]]
"""A transaction, and the read models that are written in it."""


def partition(group: Sequence[Projection], batch: Batch, max_tasks: int) -> list[list[Projection]]:
    """Distributes the read models of a batch over at most so many tasks."""
    return partition_by_weight(group, max_tasks if len(batch.records) >= MIN_PARALLEL_EVENTS else 1)


def apply(tasks: Sequence[ApplyTask], batch: Batch) -> None:
    """Applies the batch in all tasks at once; raises the error of a task when all have ended."""
    own, *others = tasks
    with gc.gc_paused():
        if not others:
            _apply(*own, batch)
            return
        batch.by_stream()  # decoded here, for all
        with ThreadPoolExecutor(len(others), thread_name_prefix="apply") as pool:
            futures = [pool.submit(_apply, *task, batch) for task in others]
            _apply(*own, batch)
        for future in futures:
            future.result()


def _apply(tx: Connection, projections: Sequence[Projection], batch: Batch) -> None:
    checkpoint.prepare_for_batch(tx)
    for projection in projections:
        projection.apply(tx, batch)
    for projection in projections if analyze.should_analyze(batch) else ():
        analyze.analyze_tables(tx, projection)
