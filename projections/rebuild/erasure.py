"""Erasure of a profile from all read models, live and shadow, in the ledger's transaction."""

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
    """The transaction of an erasure, in which all projectors of the workspace are blocked."""

    def __init__(
        self,
        tx: Connection,
        workspace: int,
        projections: Sequence[Projection],
        batch: Callable[[Sequence[RecordedEvent]], Batch],
    ) -> None:
        self._tx, self._workspace, self._batch = tx, workspace, batch
        self._projections = {(p.name, p.version): p for p in projections}

    @property
    def connection(self) -> Driver[Any]:
        """The driver's connection: writes on it commit with this transaction."""
        driver = self._tx.connection.driver_connection
        assert isinstance(driver, Driver)
        return driver

    def erase(self, scope: ErasureScope, remaining: Iterable[Sequence[RecordedEvent]]) -> None:
        """Removes the profile from every read model, live and shadow.

        ``remaining`` are the events left in streams of which some events were erased: they are applied
        again.  A read model without an `erase` is emptied, as is one of a version that this process does
        not know: its worker fills it again from the ledger, which no longer has the profile.  Shadow
        tables are emptied, too.
        """
        positions = checkpoint.all_positions(self._tx, self._workspace)
        known = [(self._projections.get(key), position) for key, position in positions.items()]
        erasable = [(p, position) for p, position in known if p is not None and p.erase is not None]
        for projection, _ in erasable:
            assert projection.erase is not None
            projection.erase(self._tx, scope)
        for records in remaining:
            for projection, position in erasable:
                applied = [recorded for recorded in records if recorded.position <= position]
                if applied:
                    projection.apply(self._tx, self._batch(applied))
        for name, version in positions.keys() - {(p.name, p.version) for p, _ in erasable}:
            self._empty(name, version)
        builds.reset_workspace(self._tx, self._workspace)

    def _empty(self, name: str, version: int) -> None:
        shadow_schema.delete_workspace(self._tx, schema_name(name, version), self._workspace)
        checkpoint.reset(self._tx, self._workspace, name, version)


@contextmanager
def begin_erasure(projector: Projector, workspace: int) -> Iterator[ProjectionErasure]:
    """Opens the transaction of an erasure; it blocks the projectors of the workspace.

    Shadow schemas neither appear nor disappear meanwhile, so that all of them are emptied.
    """
    with projector.engine.begin() as tx:
        checkpoint.block_projectors(tx, workspace)
        tx.execute(select(func.pg_advisory_xact_lock_shared(checkpoint.SCHEMA_LOCK)))
        checkpoint.clear_failures(tx, workspace)
        batch = partial(projector.make_batch, workspace)
        yield ProjectionErasure(tx, workspace, projector.projections, batch)
