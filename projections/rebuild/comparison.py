"""Whether the tables aside are those that answer, row for row, in whatever order they are."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, text

from projections.rebuild.shadow_schema import next_schema
from projections.runtime.projection import Projection


class TableDigest(NamedTuple):
    """A table's rows: how many, and the sum of their hashes, which no order changes."""

    rows: int
    sum: int


def compare(tx: Connection, projection: Projection) -> dict[str, Any]:
    """Return which tables differ, and how; the transaction is of one snapshot."""
    tables = [_compare_table(tx, projection, it) for it in projection.metadata.sorted_tables]
    return {"same": not any("differs" in it for it in tables), "tables": tables}


def table_digest(tx: Connection, table: str) -> TableDigest:
    """Return a table's digest: 128 bits of hash a row, every column in it."""
    # Numeric, for the sum of a million hashes is beyond any integer.
    found = tx.execute(
        text(f"""
        SELECT count(*), coalesce(sum(hashtextextended(it, 0)::numeric * 18446744073709551616
            + hashtextextended(it, 1)), 0)
        FROM (SELECT t::text AS it FROM {table} AS t) AS lines
        """)
    ).one()
    return TableDigest(found[0], int(found[1]))


def _compare_table(tx: Connection, projection: Projection, table: Table) -> dict[str, Any]:
    live, rebuilt = str(table), f"{next_schema(projection.schema)}.{table.name}"
    one, other = table_digest(tx, live), table_digest(tx, rebuilt)
    told: dict[str, Any] = {"table": live.rpartition(".")[2], "rows": one.rows}
    if one == other:
        return told
    return told | {
        "differs": True,
        "rebuilt_rows": other.rows,
        "only_live": _count_missing(tx, live, rebuilt),
        "only_rebuilt": _count_missing(tx, rebuilt, live),
    }


def _count_missing(tx: Connection, left: str, right: str) -> int:
    found: int = tx.execute(
        text(f"""
        SELECT count(*) FROM (
            SELECT t::text FROM {left} AS t EXCEPT ALL SELECT t::text FROM {right} AS t
        ) AS more
        """)
    ).scalar_one()
    return found
