"""Computed attributes: which there are, and what their names stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection, Row, select, text

from domain.conditions import ReferencedValue
from domain.core.errors import NotFound
from domain.core.time import to_micros
from domain.events.events import ComputedAttributeArchived, ComputedAttributeDefined
from domain.events.recorded import RecordedEvent
from domain.segments.computed_attribute import parse_computation, resolve_all
from projections.kit import cursors
from projections.runtime.projection import Query, Reader
from projections.segments.queries import schemas
from projections.segments.tables import computed_attribute

_a = computed_attribute.c

_IN_EFFECT = (
    f"SELECT attribute, computation FROM {computed_attribute} WHERE workspace = %s AND NOT archived"
)

_DEFINE = text(f"""
INSERT INTO {computed_attribute} AS known VALUES (:workspace, :attribute, :position, 1, :at, false, :name,
    :description, :computation, :actor, :reason)
ON CONFLICT (workspace, attribute) DO UPDATE SET position = :position, version = known.version + 1,
    at = :at, archived = false, name = :name, description = :description, computation = :computation,
    actor = :actor, reason = :reason
""")

_ARCHIVE = text(f"""
UPDATE {computed_attribute} SET position = :position, version = version + 1, at = :at, archived = true,
    actor = :actor, reason = :reason
WHERE workspace = :workspace AND attribute = :attribute
""")


class ComputedAttributeListParams(BaseModel):
    """Which computed attributes."""

    archived: bool = Field(False, description="Those that were archived, too")
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class ComputedAttributeParams(BaseModel):
    """Which computed attribute."""

    id: str = Field(description="Id of the computed attribute")


class ComputedAttributeSummary(BaseModel):
    """A computed attribute as it was last decided."""

    id: str
    name: str
    description: str
    computed: dict[str, Any] | None = Field(None, description="The computation over events")
    score: list[Any] | None = Field(None, description="Or the conditions and their points")
    version: int = Field(description="How many decisions that took")
    archived: bool
    decided: schemas.CausedAt
    actor: str
    reason: str


class ComputedAttributeDetail(ComputedAttributeSummary):
    """A computed attribute by itself."""

    projected_to: int


class ComputedAttributeList(BaseModel):
    """A page of computed attributes."""

    computed_attributes: list[ComputedAttributeSummary]
    next: str | None
    projected_to: int


def save_attribute_definition(
    tx: Connection,
    workspace: int,
    recorded: RecordedEvent,
    event: ComputedAttributeDefined | ComputedAttributeArchived,
) -> None:
    """Keep a decision in the place of the one before."""
    row = {
        "workspace": workspace,
        "attribute": event.attribute,
        "position": recorded.position,
        "at": to_micros(recorded.recorded_at),
        "actor": event.actor,
        "reason": event.reason,
    }
    if isinstance(event, ComputedAttributeDefined):
        said = {it: getattr(event, it) for it in ("name", "description", "computation")}
        tx.execute(_DEFINE, row | said)
    else:
        tx.execute(_ARCHIVE, row)


def load_active_attributes(tx: Connection, workspace: int) -> Mapping[str, ReferencedValue]:
    """Return what the name of each computed attribute in effect stands for."""
    rows = tx.exec_driver_sql(_IN_EFFECT, (workspace,))
    return resolve_all({name: parse_computation(said) for name, said in rows})


def list_computed_attributes(reader: Reader, params: ComputedAttributeListParams) -> dict[str, Any]:
    """Answer a page of computed attributes, by their ids."""
    wanted = select(computed_attribute).where(_a.workspace == reader.workspace)
    if not params.archived:
        wanted = wanted.where(~_a.archived)
    if params.cursor is not None:
        wanted = wanted.where(_a.attribute > cursors.decode_text(params.cursor))
    rows = reader.tx.execute(wanted.order_by(_a.attribute).limit(params.limit + 1)).all()
    page = rows[: params.limit]
    return {
        "computed_attributes": [_attribute_json(it) for it in page],
        "next": cursors.encode_text(page[-1].attribute) if len(rows) > len(page) else None,
        "projected_to": reader.projected_to,
    }


def get_computed_attribute(reader: Reader, params: ComputedAttributeParams) -> dict[str, Any]:
    """Answer one computed attribute.  Raises NotFound."""
    row = reader.tx.execute(
        select(computed_attribute).where(
            _a.workspace == reader.workspace, _a.attribute == params.id
        )
    ).first()
    if row is None:
        raise NotFound(f"there is no computed attribute {params.id!r}", attribute=params.id)
    return {**_attribute_json(row), "projected_to": reader.projected_to}


def _attribute_json(row: Row[Any]) -> dict[str, Any]:
    [(key, said)] = schemas.raw_members(row.computation).items()
    return {
        "id": row.attribute,
        "name": row.name,
        "description": row.description,
        key: said,
        "version": row.version,
        "archived": row.archived,
        "decided": schemas.caused_at_json(row.at, row.position),
        "actor": row.actor,
        "reason": row.reason,
    }


QUERIES = (
    Query(
        path="/computed-attributes",
        params=ComputedAttributeListParams,
        response_model=ComputedAttributeList,
        handler=list_computed_attributes,
        summary="List computed attributes",
    ),
    Query(
        path="/computed-attributes/{id}",
        params=ComputedAttributeParams,
        response_model=ComputedAttributeDetail,
        handler=get_computed_attribute,
        summary="Show a computed attribute",
    ),
)
