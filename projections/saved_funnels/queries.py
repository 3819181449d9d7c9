"""The funnels that are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Raw
from pydantic import BaseModel, Field
from sqlalchemy import Row, select

from domain.core.errors import NotFound
from domain.core.time import format_utc
from projections.kit import cursors
from projections.runtime.projection import Query, Reader
from projections.saved_funnels.tables import funnel as table

_c = table.c


class SavedFunnelListParams(BaseModel):
    """A page of funnels, by their ids."""

    archived: bool = Field(False, description="Those that were archived instead")
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class SavedFunnelPath(BaseModel):
    """Which funnel."""

    id: str = Field(description="Its id, such as `checkout`")


class SavedFunnel(BaseModel):
    """A funnel as it was last decided."""

    id: str
    name: str
    description: str
    funnel: dict[str, Any] = Field(description="As in `POST /v1/funnels/query`")
    version: int = Field(description="How many decisions that took")
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
    """One funnel."""

    projected_to: int


def list_saved_funnels(reader: Reader, params: SavedFunnelListParams) -> dict[str, Any]:
    """Answer a page of the funnels that are there."""
    wanted = select(table).where(_c.workspace == reader.workspace, _c.archived == params.archived)
    if params.cursor is not None:
        wanted = wanted.where(_c.id > cursors.decode_text(params.cursor))
    rows = reader.tx.execute(wanted.order_by(_c.id).limit(params.limit + 1)).all()
    page = rows[: params.limit]
    return {
        "funnels": [_funnel_json(it) for it in page],
        "next": cursors.encode_text(page[-1].id) if len(rows) > len(page) else None,
        "projected_to": reader.projected_to,
    }


def get_saved_funnel(reader: Reader, params: SavedFunnelPath) -> dict[str, Any]:
    """Answer one funnel, archived or not.  Raises NotFound."""
    mine = select(table).where(_c.workspace == reader.workspace, _c.id == params.id)
    row = reader.tx.execute(mine).first()
    if row is None:
        raise NotFound(f"there is no funnel {params.id[:100]!r}", funnel=params.id[:100])
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
    path="/funnels",
    params=SavedFunnelListParams,
    response_model=SavedFunnelList,
    handler=list_saved_funnels,
    summary="List saved funnels",
)

funnel = Query(
    path="/funnels/{id}",
    params=SavedFunnelPath,
    response_model=SavedFunnelDetail,
    handler=get_saved_funnel,
    summary="Show a saved funnel",
)
