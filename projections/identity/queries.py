"""The profiles that have more names than anybody has: a shared device, or a client's mistake."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import select, tuple_

from projections.identity.tables import large, member
from projections.kit import cursors
from projections.runtime.projection import Query, Reader

SAMPLE_SIZE = 10
"""Identifiers that are shown of each."""


class LargeProfileListParams(BaseModel):
    """A page of them."""

    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=100)


class SampleIdentifier(BaseModel):
    """One name of a person."""

    kind: str
    value: str


class LargeProfile(BaseModel):
    """A profile that is more than one person, most likely."""

    id: UUID
    identifiers: int = Field(description="How many it has")
    sample: list[SampleIdentifier]


class LargeProfileList(BaseModel):
    """The largest first."""

    profiles: list[LargeProfile]
    next: str | None
    projected_to: int


def list_large_profiles(reader: Reader, params: LargeProfileListParams) -> dict[str, Any]:
    """Answer a page of large profiles.  Raises InvalidRequest for a cursor that is none of ours."""
    place = (large.c.identifiers, large.c.person)
    wanted = select(*place).where(large.c.workspace == reader.workspace)
    if params.cursor is not None:
        wanted = wanted.where(tuple_(*place) < tuple_(*cursors.decode_sized(params.cursor)))
    largest_first = wanted.order_by(*(it.desc() for it in place)).limit(params.limit + 1)
    rows = reader.tx.execute(largest_first).all()
    page = rows[: params.limit]
    return {
        "profiles": [
            {"id": id_, "identifiers": count, "sample": _sample(reader, id_)} for count, id_ in page
        ],
        "next": cursors.encode_sized(*page[-1]) if len(rows) > len(page) else None,
        "projected_to": reader.projected_to,
    }


def _sample(reader: Reader, profile_id: UUID) -> list[dict[str, str]]:
    names = (
        select(member.c.kind, member.c.value)
        .where(member.c.workspace == reader.workspace, member.c.person == profile_id)
        .limit(SAMPLE_SIZE)
    )
    return [{"kind": it.kind, "value": it.value} for it in reader.tx.execute(names)]


large_profiles = Query(
    path="/profiles/large",
    params=LargeProfileListParams,
    response_model=LargeProfileList,
    handler=list_large_profiles,
    summary="List profiles with more identifiers than a person has: shared devices, broken clients",
)
