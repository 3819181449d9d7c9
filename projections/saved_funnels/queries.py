"""Queries of saved funnels."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Raw
from pydantic import BaseModel, Field
from sqlalchemy import Row, select

from domain.core.errors import NotFound
from domain.core.time import format_utc
from projections.kit import pages
from projections.runtime.ports import Reader
from projections.runtime.projection import Query
from projections.saved_funnels.tables import funnel as table

_c = table.c


class SavedFunnelListParams(pages.PageParams):
    """A page of funnels, by id."""

    archived: bool = Field(False, description="True: archived funnels instead of those in effect")


class SavedFunnelPath(BaseModel):
    """Id of a funnel."""

    id: str = Field(description="Funnel id, such as `checkout`")


class SavedFunnel(BaseModel):
    """The latest definition of a funnel, or its archival."""

    id: str
    name: str
    description: str
    funnel: dict[str, Any] = Field(description="As in `POST /v1/funnels/query`")
    version: int = Field(description="Number of decisions about the funnel so far")
    archived: bool
    decided_at: datetime
    position: int
    actor: str
    reason: str


class SavedFunnelList(BaseModel):
    """A page of funnels."""

    funnels: list[SavedFunnel]
    next: str | None
    projected_to: int


class SavedFunnelDetail(SavedFunnel):
    """One funnel, and the position up to which the answer is complete."""

    projected_to: int


def list_saved_funnels(reader: Reader, params: SavedFunnelListParams) -> dict[str, Any]:
    """Returns a page of saved funnels."""
    query = select(table).where(_c.workspace == reader.workspace, _c.archived == params.archived)
    page, next_cursor = pages.load_page(reader.tx, query, _c.id, params)
    return {
        "funnels": [_funnel_json(row) for row in page],
        "next": next_cursor,
        "projected_to": reader.projected_to,
    }


def get_saved_funnel(reader: Reader, params: SavedFunnelPath) -> dict[str, Any]:
    """Returns one funnel, archived or not.  Raises NotFound."""
    query = select(table).where(_c.workspace == reader.workspace, _c.id == params.id)
    row = reader.tx.execute(query).first()
    if row is None:
        raise NotFound(f"no funnel {params.id[:100]!r} in this workspace", funnel=params.id[:100])
    return _funnel_json(row) | {"projected_to": reader.projected_to}


def _funnel_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "funnel": Raw(row.document),
        "version": row.version,
        "archived": row.archived,
        "decided_at": format_utc(row.decided_at),
        "position": row.position,
        "actor": row.actor,
        "reason": row.reason,
    }


funnels = Query(
    "/funnels", SavedFunnelListParams, SavedFunnelList, list_saved_funnels, "List saved funnels"
)

funnel = Query(
    "/funnels/{id}", SavedFunnelPath, SavedFunnelDetail, get_saved_funnel, "Get a saved funnel"
)
