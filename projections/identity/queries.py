"""Query of profiles with unusually many identifiers: a shared device, or a client's mistake."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import select, tuple_

from projections.identity.tables import large_profile, member
from projections.kit import cursors
from projections.kit.pages import split_page
from projections.runtime.ports import Reader
from projections.runtime.projection import Query

SAMPLE_SIZE = 10
"""Identifiers shown of each profile."""


class LargeProfileListParams(BaseModel):
    """A page of large profiles."""

    cursor: str | None = Field(None, description="`next` of the previous page")
    limit: int = Field(50, ge=1, le=100)


class SampleIdentifier(BaseModel):
    """An identifier of a profile."""

    kind: str
    value: str


class LargeProfile(BaseModel):
    """A profile that most likely mixes several customers."""

    id: UUID
    identifiers: int = Field(description="Number of identifiers")
    sample: list[SampleIdentifier]


class LargeProfileList(BaseModel):
    """A page of large profiles, the largest first."""

    profiles: list[LargeProfile]
    next: str | None
    projected_to: int


def list_large_profiles(reader: Reader, params: LargeProfileListParams) -> dict[str, Any]:
    """Returns a page of large profiles.  Raises InvalidRequest for an invalid cursor."""
    sort_columns = (large_profile.c.identifiers, large_profile.c.profile_id)
    query = select(*sort_columns).where(large_profile.c.workspace == reader.workspace)
    if params.cursor is not None:
        query = query.where(tuple_(*sort_columns) < tuple_(*cursors.decode_sized(params.cursor)))
    largest_first = query.order_by(*(column.desc() for column in sort_columns)).limit(
        params.limit + 1
    )
    rows = reader.tx.execute(largest_first).all()
    page, next_page = split_page(rows, params.limit, lambda row: cursors.encode_sized(*row))
    return {
        "profiles": [
            {"id": id_, "identifiers": count, "sample": _sample(reader, id_)} for count, id_ in page
        ],
        "next": next_page,
        "projected_to": reader.projected_to,
    }


def _sample(reader: Reader, profile_id: UUID) -> list[dict[str, str]]:
    query = (
        select(member.c.kind, member.c.value)
        .where(member.c.workspace == reader.workspace, member.c.profile_id == profile_id)
        .limit(SAMPLE_SIZE)
    )
    return [{"kind": row.kind, "value": row.value} for row in reader.tx.execute(query)]


large_profiles = Query(
    "/profiles/large",
    LargeProfileListParams,
    LargeProfileList,
    list_large_profiles,
    "List profiles with unusually many identifiers",
)
