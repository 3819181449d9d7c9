"""Parameters of lists, and pages of rows in the order of a text, such as definitions by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Column, Connection, Row, Select

from projections.kit import cursors


class PageParams(BaseModel):
    """A page of a list."""

    cursor: str | None = Field(None, description="`next` of the previous page")
    limit: int = Field(50, ge=1, le=500)


class DefinitionListParams(PageParams):
    """A page of definitions."""

    archived: bool = Field(False, description="Include archived ones")


def load_page(
    tx: Connection, query: Select[Any], key: Column[str], params: PageParams
) -> tuple[Sequence[Row[Any]], str | None]:
    """Returns a page of the rows in the order of a text, and the cursor of the next page."""
    if params.cursor is not None:
        query = query.where(key > cursors.decode_text(params.cursor))
    rows = tx.execute(query.order_by(key).limit(params.limit + 1)).all()
    if len(rows) <= params.limit:
        return rows, None
    page = rows[: params.limit]
    return page, cursors.encode_text(getattr(page[-1], key.key))
