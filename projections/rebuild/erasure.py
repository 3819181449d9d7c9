"""Erasure of a profile from all read models, live and shadow, in the transaction of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from psycopg import Connection as Driver
from sqlalchemy import Connection, func, select

from domain.events.recorded import RecordedEvent
from domain.profiles.erasure import ErasureScope
from projections.rebuild import builds, shadow_schema
from projections.runtime import checkpoint
from projections.runtime.batch import Batch
from projections.runtime.projection import Projection, schema_name
from projections.runtime.projector import Projector


class ProjectionErasure:
    """The transaction of an erasure, in which no projector moves in the workspace."""

    def __init__(
        self,
        tx: Connection,
        workspace: int,
        projections: Sequence[Projection],
        batch: Callable[[Sequence[RecordedEvent]], Batch],
    ) -> None:
        self._tx, self._workspace, self._batch = tx, workspace, batch
        self._projections = {(it.name, it.version): it for it in projections}

    @property
    def connection(self) -> Driver[Any]:
        """The driver's own connection: what is written on it commits with the rest."""
        driver = self._tx.connection.driver_connection
        assert isinstance(driver, Driver)
        return driver

    def erase(self, forgotten: ErasureScope, remaining: Iterable[Sequence[RecordedEvent]]) -> None:
        """Remove the person from every read model that there is.

        ``remaining`` are the events that are left of the streams that were mended.  A read model
        that cannot forget is emptied, as is one of another version than this process knows: the
        worker that keeps it fills it again, from a ledger that no longer has the person.  So is what
        is being built aside.
        """
        moved = checkpoint.all_positions(self._tx, self._workspace)
        known = [(self._projections.get(key), at) for key, at in moved.items()]
        able = [(it, at) for it, at in known if it is not None and it.erase is not None]
        for projection, _ in able:
            assert projection.erase is not None
            projection.erase(self._tx, forgotten)
        for records in remaining:
            for projection, position in able:
                taken = [it for it in records if it.position <= position]
                if taken:
                    projection.apply(self._tx, self._batch(taken))
        for name, version in moved.keys() - {(it.name, it.version) for it, _ in able}:
            self._empty(name, version)
        builds.reset_workspace(self._tx, self._workspace)

    def _empty(self, name: str, version: int) -> None:
        shadow_schema.delete_workspace(self._tx, schema_name(name, version), self._workspace)
        checkpoint.reset(self._tx, self._workspace, name, version)


@contextmanager
def begin_erasure(projector: Projector, workspace: int) -> Iterator[ProjectionErasure]:
    """Open the transaction of an erasure; no read model of the workspace moves until it ends.

    Shadow schemas neither appear nor disappear meanwhile, so that all of them are emptied.
    """
    with projector.engine.begin() as tx:
        checkpoint.block_projectors(tx, workspace)
        tx.execute(select(func.pg_advisory_xact_lock_shared(checkpoint.SCHEMA_LOCK)))
        checkpoint.clear_failures(tx, workspace)
        batch = partial(projector.make_batch, workspace)
        yield ProjectionErasure(tx, workspace, projector.projections, batch)
