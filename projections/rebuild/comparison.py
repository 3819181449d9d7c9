"""Compares shadow tables with the live tables, row by row, in any order."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, text

from projections.rebuild.shadow_schema import next_schema
from projections.runtime.projection import Projection


class TableDigest(NamedTuple):
    """Number of a table's rows and the sum of their hashes, which does not depend on the order."""

    rows: int
    sum: int


def compare(tx: Connection, projection: Projection) -> dict[str, Any]:
    """Returns which tables differ, and how; the transaction must be of one snapshot."""
    tables = [_compare_table(tx, projection, t) for t in projection.metadata.sorted_tables]
    return {"same": not any("differs" in table for table in tables), "tables": tables}


def table_digest(tx: Connection, table: str) -> TableDigest:
    """Returns a table's digest: 128 bits of hash for each row, over all columns."""
    # Numeric, because the sum of a million hashes exceeds any integer type.
    rows, total = tx.execute(
        text(f"""
        SELECT count(*), coalesce(sum(hashtextextended(line, 0)::numeric * 18446744073709551616
            + hashtextextended(line, 1)), 0)
        FROM (SELECT t::text AS line FROM {table} AS t) AS lines
        """)
    ).one()
    return TableDigest(rows, int(total))


def _compare_table(tx: Connection, projection: Projection, table: Table) -> dict[str, Any]:
    live, rebuilt = str(table), f"{next_schema(projection.schema)}.{table.name}"
    live_digest, rebuilt_digest = table_digest(tx, live), table_digest(tx, rebuilt)
    result: dict[str, Any] = {"table": live.rpartition(".")[2], "rows": live_digest.rows}
    if live_digest == rebuilt_digest:
        return result
    return result | {
        "differs": True,
        "rebuilt_rows": rebuilt_digest.rows,
        "only_live": _count_missing(tx, live, rebuilt),
        "only_rebuilt": _count_missing(tx, rebuilt, live),
    }


def _count_missing(tx: Connection, left: str, right: str) -> int:
    count: int = tx.execute(
        text(f"""
        SELECT count(*) FROM (
            SELECT t::text FROM {left} AS t EXCEPT ALL SELECT t::text FROM {right} AS t
        ) AS missing
        """)
    ).scalar_one()
    return count
