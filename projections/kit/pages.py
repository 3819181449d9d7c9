"""Parameters of lists, and pages of rows in the order of a text, such as definitions by id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, Field
from sqlalchemy import Column, Connection, Row, Select

from projections.kit import cursors

Item = TypeVar("Item")


class PageParams(BaseModel):
    """A page of a list."""

    cursor: str | None = Field(None, description="`next` of the previous page")
    limit: int = Field(50, ge=1, le=500)


class DefinitionListParams(PageParams):
    """A page of definitions."""

    archived: bool = Field(False, description="Include archived ones")


def split_page(
    rows: Sequence[Item], limit: int, cursor_of: Callable[[Item], str]
) -> tuple[Sequence[Item], str | None]:
    """Returns a page of ``limit + 1`` rows that were loaded, and the cursor of the next page."""
    page = rows[:limit]
    return page, cursor_of(page[-1]) if len(rows) > len(page) else None


def load_page(
    tx: Connection, query: Select[Any], key: Column[str], params: PageParams
) -> tuple[Sequence[Row[Any]], str | None]:
    """Returns a page of the rows in the order of a text, and the cursor of the next page."""
    if params.cursor is not None:
        query = query.where(key > cursors.decode_text(params.cursor))
    rows = tx.execute(query.order_by(key).limit(params.limit + 1)).all()
    return split_page(rows, params.limit, lambda row: cursors.encode_text(getattr(row, key.key)))
