"""Queries of profiles: one profile, now or in the past, and the list and search."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel, Field

from domain.core.errors import NotFound
from domain.profiles import state as profile_state
from projections.kit import cursors, instants, pages, references, shown_profile
from projections.profile import answers
from projections.profile.listing import RowPosition, all_profiles, load_page, profiles_matching
from projections.profile.search_terms import fold_text, search_pattern
from projections.profile.states import load_states
from projections.runtime.ports import ComputedAttributesPort, IdentityPort, LedgerPort
from projections.runtime.projection import Query


class _Ports(IdentityPort, LedgerPort, ComputedAttributesPort, Protocol): ...


class ProfileListParams(pages.PageParams):
    """A search text, and a page of profiles."""

    q: str | None = Field(
        None,
        description="Part of a name, e-mail address, phone number or identifier, in any case; one"
        " or two letters match the beginning of one",
    )


class ProfileParams(BaseModel):
    """A profile, and the position or instant of which it is shown."""

    ref: str = Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")
    as_of: str | None = Field(
        None,
        max_length=100,
        description="Show the profile as of this position or instant (a date or time without an offset"
        " is UTC)",
    )


def list_profiles(reader: IdentityPort, params: ProfileListParams) -> dict[str, Any]:
    """Returns a page of profiles: those seen last first, or of a search the newest first."""
    after = None if params.cursor is None else RowPosition(*cursors.decode_stream(params.cursor))
    text = fold_text(params.q or "")
    entries, has_more = load_page(
        reader,
        profiles_matching(search_pattern(text)) if text else all_profiles(),
        after,
        params.limit,
    )
    return {
        "profiles": [answers.summary_json(entry.profile, entry.state) for entry in entries],
        "next": cursors.encode_stream(*entries[-1].position) if has_more else None,
        "projected_to": reader.projected_to,
    }


def get_profile(reader: _Ports, params: ProfileParams) -> dict[str, Any]:
    """Returns one profile, now or as of a point.  Raises NotFound if it was not known then."""
    stream = references.resolve_stream(params.ref, reader.stream_of)
    if params.as_of is None:
        shown = _current_profile(reader, stream)
    else:
        shown = _profile_as_of(
            reader, stream, instants.parse_position_or_instant(params.as_of, "as_of")
        )
    if shown is None:
        as_of = "" if params.as_of is None else f" as of {params.as_of}"
        raise NotFound(
            f"no profile {params.ref!r} is known in this workspace{as_of}", profile=params.ref
        )
    return shown | {"projected_to": reader.projected_to}


def _current_profile(reader: _Ports, stream: UUID) -> dict[str, Any] | None:
    profile = reader.profile(stream)
    states = load_states(reader.tx, reader.workspace, profile.streams)
    if not states and not profile.identifiers:
        return None
    state = profile_state.merge(states, profile)
    shown = shown_profile.profile_json(profile, state)
    return shown | {"computed": reader.computed_attributes(stream), "as_of": None}


def _profile_as_of(reader: LedgerPort, stream: UUID, when: int | datetime) -> dict[str, Any] | None:
    past = reader.profile_as_of(stream, when)
    if past is None:
        return None
    shown = shown_profile.profile_json(past.profile, past.state)
    return shown | {"computed": None, "as_of": shown_profile.point_json(past.point)}


profiles = Query(
    "/profiles",
    ProfileListParams,
    answers.ProfileList,
    list_profiles,
    "List profiles, or search them by name, e-mail address, phone number or identifier",
)

profile = Query("/profiles/{ref}", ProfileParams, answers.Profile, get_profile, "Get a profile")
