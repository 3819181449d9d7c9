"""Searches a whole database for words: every column of every table, as text and as bytes."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1, 2
"""


def tables_containing(dsn: str, words: Iterable[str]) -> dict[str, list[str]]:
    """Returns the tables that contain any of the words, each with those words."""
    forms_of_word = {word: (word.lower(), word.encode().hex()) for word in words}
    words_by_table: dict[str, list[str]] = {}
    with psycopg.connect(dsn) as connection:
        for schema, table in connection.execute(_TABLES).fetchall():
            name = sql.Identifier(schema, table)
            rows = connection.execute(sql.SQL("SELECT t::text FROM {} AS t").format(name))
            text = "\n".join(row for (row,) in rows).lower()
            present = [
                word for word, forms in forms_of_word.items() if any(form in text for form in forms)
            ]
            if present:
                words_by_table[f"{schema}.{table}"] = present
    return words_by_table


def table_rows(dsn: str, table: str, workspace: int) -> list[str]:
    """Returns a workspace's rows of a read model's table as JSON, sorted."""
    query = f"SELECT to_jsonb(t)::text FROM {table} AS t WHERE workspace = %s"
    with psycopg.connect(dsn) as connection:
        return sorted(row for (row,) in connection.execute(query, (workspace,)))
