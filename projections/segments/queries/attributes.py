"""Queries of computed attributes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Row, select

from domain.core.errors import NotFound
from projections.kit import pages
from projections.runtime.ports import Reader
from projections.runtime.projection import Query
from projections.segments.queries import schemas
from projections.segments.tables import computed_attribute

_a = computed_attribute.c


class ComputedAttributeParams(BaseModel):
    """One computed attribute."""

    id: str = Field(description="Id of the computed attribute")


class ComputedAttributeSummary(BaseModel):
    """The current version of a computed attribute: `computed` or `score` is set."""

    id: str
    name: str
    description: str
    computed: dict[str, Any] | None = Field(None, description="The computation over events")
    score: list[Any] | None = Field(None, description="The conditions and their points")
    version: int = Field(description="Version: 1 for the first definition")
    archived: bool
    decided: schemas.CausedAt = Field(description="When this version was recorded")
    actor: str
    reason: str


class ComputedAttributeDetail(ComputedAttributeSummary):
    """A computed attribute."""

    projected_to: int


class ComputedAttributeList(BaseModel):
    """A page of computed attributes."""

    computed_attributes: list[ComputedAttributeSummary]
    next: str | None
    projected_to: int


def list_computed_attributes(reader: Reader, params: pages.DefinitionListParams) -> dict[str, Any]:
    """Returns a page of computed attributes in the order of their ids."""
    query = select(computed_attribute).where(_a.workspace == reader.workspace)
    if not params.archived:
        query = query.where(~_a.archived)
    page, next_cursor = pages.load_page(reader.tx, query, _a.attribute, params)
    return {
        "computed_attributes": [_attribute_json(row) for row in page],
        "next": next_cursor,
        "projected_to": reader.projected_to,
    }


def get_computed_attribute(reader: Reader, params: ComputedAttributeParams) -> dict[str, Any]:
    """Returns one computed attribute.  Raises NotFound."""
    row = reader.tx.execute(
        select(computed_attribute).where(
            _a.workspace == reader.workspace, _a.attribute == params.id
        )
    ).first()
    if row is None:
        raise NotFound(f"computed attribute {params.id!r} does not exist", attribute=params.id)
    return {**_attribute_json(row), "projected_to": reader.projected_to}


def _attribute_json(row: Row[Any]) -> dict[str, Any]:
    [(kind, computation)] = schemas.raw_members(row.computation).items()
    return {
        "id": row.attribute,
        "name": row.name,
        "description": row.description,
        kind: computation,
        "version": row.version,
        "archived": row.archived,
        "decided": schemas.caused_at_json(row.at, row.position),
        "actor": row.actor,
        "reason": row.reason,
    }


QUERIES = (
    Query(
        "/computed-attributes",
        pages.DefinitionListParams,
        ComputedAttributeList,
        list_computed_attributes,
        "List computed attributes",
    ),
    Query(
        "/computed-attributes/{id}",
        ComputedAttributeParams,
        ComputedAttributeDetail,
        get_computed_attribute,
        "Get a computed attribute",
    ),
)
