"""Computed attributes: which there are, and what their names stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection, Row, select, text

from domain.conditions import Value
from domain.core.errors import NotFound
from domain.core.time import to_micros
from domain.events.events import AttributeArchived, AttributeDefined
from domain.events.recorded import Recorded
from domain.segments.computed_attribute import all_resolved, value_of
from projections.kit import cursors
from projections.runtime.projection import Query, Reader
from projections.segments.queries import answers
from projections.segments.tables import attribute

_a = attribute.c

_IN_EFFECT = f"SELECT attribute, computation FROM {attribute} WHERE workspace = %s AND NOT archived"

_DEFINE = text(f"""
INSERT INTO {attribute} AS known VALUES (:workspace, :attribute, :position, 1, :at, false, :name,
    :description, :computation, :actor, :reason)
ON CONFLICT (workspace, attribute) DO UPDATE SET position = :position, version = known.version + 1,
    at = :at, archived = false, name = :name, description = :description, computation = :computation,
    actor = :actor, reason = :reason
""")

_ARCHIVE = text(f"""
UPDATE {attribute} SET position = :position, version = version + 1, at = :at, archived = true,
    actor = :actor, reason = :reason
WHERE workspace = :workspace AND attribute = :attribute
""")


class AttributesParams(BaseModel):
    """Which computed attributes."""

    archived: bool = Field(False, description="Those that were archived, too")
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class AttributeParams(BaseModel):
    """Which computed attribute."""

    id: str = Field(description="Id of the computed attribute")


class Attribute(BaseModel):
    """A computed attribute as it was last decided."""

    id: str
    name: str
    description: str
    computed: dict[str, Any] | None = Field(None, description="The computation over events")
    score: list[Any] | None = Field(None, description="Or the conditions and their points")
    version: int = Field(description="How many decisions that took")
    archived: bool
    decided: answers.Since
    actor: str
    reason: str


class AttributeDetail(Attribute):
    """A computed attribute by itself."""

    projected_to: int


class Attributes(BaseModel):
    """A page of computed attributes."""

    computed_attributes: list[Attribute]
    next: str | None
    projected_to: int


def keep(
    tx: Connection, workspace: int, recorded: Recorded, event: AttributeDefined | AttributeArchived
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
    if isinstance(event, AttributeDefined):
        said = {it: getattr(event, it) for it in ("name", "description", "computation")}
        tx.execute(_DEFINE, row | said)
    else:
        tx.execute(_ARCHIVE, row)


def in_effect(tx: Connection, workspace: int) -> Mapping[str, Value]:
    """Return what the name of each computed attribute in effect stands for."""
    rows = tx.exec_driver_sql(_IN_EFFECT, (workspace,))
    return all_resolved({name: value_of(said) for name, said in rows})


def answer_attributes(reader: Reader, params: AttributesParams) -> dict[str, Any]:
    """Answer a page of computed attributes, by their ids."""
    wanted = select(attribute).where(_a.workspace == reader.workspace)
    if not params.archived:
        wanted = wanted.where(~_a.archived)
    if params.cursor is not None:
        wanted = wanted.where(_a.attribute > cursors.text(params.cursor))
    rows = reader.tx.execute(wanted.order_by(_a.attribute).limit(params.limit + 1)).all()
    page = rows[: params.limit]
    return {
        "computed_attributes": [_shown(it) for it in page],
        "next": cursors.after_text(page[-1].attribute) if len(rows) > len(page) else None,
        "projected_to": reader.projected_to,
    }


def answer_attribute(reader: Reader, params: AttributeParams) -> dict[str, Any]:
    """Answer one computed attribute.  Raises NotFound."""
    row = reader.tx.execute(
        select(attribute).where(_a.workspace == reader.workspace, _a.attribute == params.id)
    ).first()
    if row is None:
        raise NotFound(f"there is no computed attribute {params.id!r}", attribute=params.id)
    return {**_shown(row), "projected_to": reader.projected_to}


def _shown(row: Row[Any]) -> dict[str, Any]:
    [(key, said)] = answers.members(row.computation).items()
    return {
        "id": row.attribute,
        "name": row.name,
        "description": row.description,
        key: said,
        "version": row.version,
        "archived": row.archived,
        "decided": answers.since(row.at, row.position),
        "actor": row.actor,
        "reason": row.reason,
    }


QUERIES = (
    Query(
        path="/computed-attributes",
        params=AttributesParams,
        answers=Attributes,
        answer=answer_attributes,
        summary="List computed attributes",
    ),
    Query(
        path="/computed-attributes/{id}",
        params=AttributeParams,
        answers=AttributeDetail,
        answer=answer_attribute,
        summary="Show a computed attribute",
    ),
)
