"""Read models written abreast: while the database works for one lane, the other one goes on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection

from projections.runtime import analyze, checkpoint, gc
from projections.runtime.batch import Batch
from projections.runtime.projection import Projection, share_out

MANY = 2_000
"""Events from which on a batch is applied in several lanes: for fewer it is not worth a thread."""

Lane = tuple[Connection, Sequence[Projection]]
"""A transaction, and the read models that are written in it."""


def shares(group: Sequence[Projection], batch: Batch, most: int) -> list[list[Projection]]:
    """Share the read models that take a batch out among at most so many lanes."""
    return share_out(group, most if len(batch.records) >= MANY else 1)


def apply(abreast: Sequence[Lane], batch: Batch) -> None:
    """Apply the batch in all lanes at once; return when all are through, or raise what one of them did."""
    own, *others = abreast
    with gc.unsearched():
        if not others:
            _apply(*own, batch)
            return
        batch.by_stream()  # decoded here, for all
        with ThreadPoolExecutor(len(others), thread_name_prefix="lane") as pool:
            beside = [pool.submit(_apply, *it, batch) for it in others]
            _apply(*own, batch)
        for it in beside:
            it.result()


def _apply(tx: Connection, share: Sequence[Projection], batch: Batch) -> None:
    checkpoint.plan_anew(tx)
    checkpoint.commit_at_ease(tx)
    for projection in share:
        projection.apply(tx, batch)
    for projection in share if analyze.are_due(batch) else ():
        analyze.gather(tx, projection)
