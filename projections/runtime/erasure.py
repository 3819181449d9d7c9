"""Erasure of a profile's rows from the tables of one read model."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ARRAY, Connection, Table, Uuid, any_, delete, literal

from domain.profiles.erasure import ErasureScope


def erase_by_stream(*tables: Table) -> Callable[[Connection, ErasureScope], None]:
    """Returns the `Projection.erase` of tables with the columns workspace and stream."""

    def erase(tx: Connection, scope: ErasureScope) -> None:
        streams = any_(literal(scope.cleared_streams, ARRAY(Uuid)))
        for table in tables:
            of_workspace = table.c.workspace == scope.workspace
            tx.execute(delete(table).where(of_workspace, table.c.stream == streams))

    return erase
