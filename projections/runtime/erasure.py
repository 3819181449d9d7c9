"""Erasure of a profile's rows from the tables of one read model."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ARRAY, Connection, Table, Uuid, any_, delete, literal

from domain.profiles.erasure import ErasureScope


def erase_by_stream(*tables: Table) -> Callable[[Connection, ErasureScope], None]:
    """Return the `forget` of a read model whose tables have the columns workspace and stream."""

    def forget(tx: Connection, forgotten: ErasureScope) -> None:
        streams = any_(literal(forgotten.cleared_streams, ARRAY(Uuid)))
        for table in tables:
            mine = table.c.workspace == forgotten.workspace
            tx.execute(delete(table).where(mine, table.c.stream == streams))

    return forget
