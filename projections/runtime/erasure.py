"""What erasing a person does to read models: rows go, in the transaction that blanks the events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from psycopg import Connection as Driver
from sqlalchemy import ARRAY, Connection, Table, Uuid, any_, delete, literal

from domain.events.recorded import Recorded
from domain.profiles.erasure import Forgotten
from projections.rebuild import builds, shadow_schema
from projections.runtime import checkpoint
from projections.runtime.batch import Batch
from projections.runtime.projection import Projection, schema


def rows(*tables: Table) -> Callable[[Connection, Forgotten], None]:
    """Return the `forget` of a read model whose tables have the columns workspace and stream."""

    def forget(tx: Connection, forgotten: Forgotten) -> None:
        streams = any_(literal(forgotten.cleared, ARRAY(Uuid)))
        for table in tables:
            mine = table.c.workspace == forgotten.workspace
            tx.execute(delete(table).where(mine, table.c.stream == streams))

    return forget


class Forgetting:
    """The transaction of an erasure, in which no projector moves in the workspace."""

    def __init__(
        self,
        tx: Connection,
        workspace: int,
        projections: Sequence[Projection],
        batch: Callable[[Sequence[Recorded]], Batch],
    ) -> None:
        self._tx, self._workspace, self._batch = tx, workspace, batch
        self._projections = {(it.name, it.version): it for it in projections}

    @property
    def connection(self) -> Driver[Any]:
        """The driver's own connection: what is written on it commits with the rest."""
        driver = self._tx.connection.driver_connection
        assert isinstance(driver, Driver)
        return driver

    def forget(self, forgotten: Forgotten, remaining: Iterable[Sequence[Recorded]]) -> None:
        """Remove the person from every read model that there is.

        ``remaining`` are the events that are left of the streams that were mended.  A read model
        that cannot forget is emptied, as is one of another version than this process knows: the
        worker that keeps it fills it again, from a ledger that no longer has the person.  So is what
        is being built aside.
        """
        moved = checkpoint.standing(self._tx, self._workspace)
        known = [(self._projections.get(key), at) for key, at in moved.items()]
        able = [(it, at) for it, at in known if it is not None and it.forget is not None]
        for projection, _ in able:
            assert projection.forget is not None
            projection.forget(self._tx, forgotten)
        for records in remaining:
            for projection, position in able:
                taken = [it for it in records if it.position <= position]
                if taken:
                    projection.apply(self._tx, self._batch(taken))
        for name, version in moved.keys() - {(it.name, it.version) for it, _ in able}:
            self._empty(name, version)
        builds.forget(self._tx, self._workspace)

    def _empty(self, name: str, version: int) -> None:
        shadow_schema.empty(self._tx, schema(name, version), self._workspace)
        checkpoint.restart(self._tx, self._workspace, name, version)
