"""Questions about profiles: one person, or those that a search finds."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from domain.core.errors import NotFound
from domain.profiles import state as profile_state
from projections.kit import cursors, instants, references, shown_profile
from projections.profile import answers
from projections.profile.listing import RowPosition, all_profiles, load_page, profiles_matching
from projections.profile.search_terms import fold_text, search_pattern
from projections.profile.states import load_states
from projections.runtime.projection import Query, Reader


class ProfileListParams(BaseModel):
    """Which persons."""

    q: str | None = Field(
        None,
        description="Part of a name, e-mail address, phone number or identifier, in any case; one"
        " or two letters are the beginning of one",
    )
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class ProfileParams(BaseModel):
    """Which person."""

    ref: str = Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")
    as_of: str | None = Field(
        None,
        max_length=100,
        description="As the ledger knew it at this position or instant (a date or time without"
        " offset is UTC)",
    )


def list_profiles(reader: Reader, params: ProfileListParams) -> dict[str, Any]:
    """Answer a page of persons: those last seen first, or of a search those first seen last."""
    after = None if params.cursor is None else RowPosition(*cursors.decode_stream(params.cursor))
    asked = fold_text(params.q or "")
    found, rest = load_page(
        reader,
        profiles_matching(search_pattern(asked)) if asked else all_profiles(),
        after,
        params.limit,
    )
    return {
        "profiles": [answers.summary_json(it.profile, it.state) for it in found],
        "next": cursors.encode_stream(*found[-1].position) if rest else None,
        "projected_to": reader.projected_to,
    }


def get_profile(reader: Reader, params: ProfileParams) -> dict[str, Any]:
    """Answer what is known of one person, or was.  Raises NotFound for one not heard of by then."""
    stream = references.resolve_stream(params.ref, reader.stream_of)
    if params.as_of is None:
        found = _current_profile(reader, stream)
    else:
        found = _profile_as_of(
            reader, stream, instants.parse_position_or_instant(params.as_of, "as_of")
        )
    if found is None:
        then = "is" if params.as_of is None else f"was as of {params.as_of}"
        raise NotFound(
            f"no profile {params.ref!r} {then} known in this workspace", profile=params.ref
        )
    return found | {"projected_to": reader.projected_to}


def _current_profile(reader: Reader, stream: UUID) -> dict[str, Any] | None:
    person = reader.profile(stream)
    known = load_states(reader.tx, reader.workspace, person.streams)
    if not known and not person.identifiers:
        return None
    state = profile_state.merge(known, person)
    shown = shown_profile.profile_json(person, state)
    return shown | {"computed": reader.computed_attributes(stream), "as_of": None}


def _profile_as_of(reader: Reader, stream: UUID, when: int | datetime) -> dict[str, Any] | None:
    past = reader.profile_as_of(stream, when)
    if past is None:
        return None
    shown = shown_profile.profile_json(past.profile, past.state)
    return shown | {"computed": None, "as_of": shown_profile.point_json(past.point)}


profiles = Query(
    path="/profiles",
    params=ProfileListParams,
    response_model=answers.ProfileList,
    handler=list_profiles,
    summary="List persons, or search them by name, e-mail address, phone number or identifier",
)

profile = Query(
    path="/profiles/{ref}",
    params=ProfileParams,
    response_model=answers.Profile,
    handler=get_profile,
    summary="Show what is known of a person",
)
