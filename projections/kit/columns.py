"""Columns that tables of several read models have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Integer, LargeBinary, Text, Uuid


def workspace_key() -> Column[int]:
    """The first column of every primary key."""
    return Column("workspace", Integer, primary_key=True)


def stream_key() -> tuple[Column[Any], ...]:
    """The first columns of the primary key of a table with rows for each stream."""
    return workspace_key(), Column("stream", Uuid, primary_key=True)


def definition_columns(document: str) -> tuple[Column[Any], ...]:
    """What a definition says: ``document`` is the column of its JSON form."""
    return (
        Column("name", Text, nullable=False),
        Column("description", Text, nullable=False),
        Column(document, LargeBinary, nullable=False),
        Column("actor", Text, nullable=False),
        Column("reason", Text, nullable=False),
    )
