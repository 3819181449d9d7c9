"""Looks for words in a whole database: every column of every table, as text and byte by byte."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1, 2
"""


def places(dsn: str, words: Iterable[str]) -> dict[str, list[str]]:
    """Return the tables that hold any of the words, each with the words found there."""
    wanted = {word: (word.lower(), word.encode().hex()) for word in words}
    found: dict[str, list[str]] = {}
    with psycopg.connect(dsn) as connection:
        for schema, table in connection.execute(_TABLES).fetchall():
            name = sql.Identifier(schema, table)
            rows = connection.execute(sql.SQL("SELECT t::text FROM {} AS t").format(name))
            text = "\n".join(row for (row,) in rows).lower()
            seen = [word for word, forms in wanted.items() if any(it in text for it in forms)]
            if seen:
                found[f"{schema}.{table}"] = seen
    return found


def rows(dsn: str, table: str, workspace: int) -> list[str]:
    """Return a workspace's rows of a read model's table, in an order that depends on them alone."""
    query = f"SELECT to_jsonb(t)::text FROM {table} AS t WHERE workspace = %s"
    with psycopg.connect(dsn) as connection:
        return sorted(row for (row,) in connection.execute(query, (workspace,)))
