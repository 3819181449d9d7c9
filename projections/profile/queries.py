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
from projections.profile.listing import Place, everybody, matching, page
from projections.profile.search_terms import folded, pattern
from projections.profile.states import states
from projections.runtime.projection import Query, Reader


class ProfilesParams(BaseModel):
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


def answer_profiles(reader: Reader, params: ProfilesParams) -> dict[str, Any]:
    """Answer a page of persons: those last seen first, or of a search those first seen last."""
    after = None if params.cursor is None else Place(*cursors.stream(params.cursor))
    asked = folded(params.q or "")
    found, rest = page(
        reader, matching(pattern(asked)) if asked else everybody(), after, params.limit
    )
    return {
        "profiles": [answers.listed(it.person, it.state) for it in found],
        "next": cursors.after_stream(*found[-1].place) if rest else None,
        "projected_to": reader.projected_to,
    }


def answer_profile(reader: Reader, params: ProfileParams) -> dict[str, Any]:
    """Answer what is known of one person, or was.  Raises NotFound for one not heard of by then."""
    stream = references.stream(params.ref, reader.stream_of)
    if params.as_of is None:
        found = _as_it_is(reader, stream)
    else:
        found = _as_it_was(reader, stream, instants.place(params.as_of, "as_of"))
    if found is None:
        then = "is" if params.as_of is None else f"was as of {params.as_of}"
        raise NotFound(
            f"no profile {params.ref!r} {then} known in this workspace", profile=params.ref
        )
    return found | {"projected_to": reader.projected_to}


def _as_it_is(reader: Reader, stream: UUID) -> dict[str, Any] | None:
    person = reader.person(stream)
    known = states(reader.tx, reader.workspace, person.streams)
    if not known and not person.identifiers:
        return None
    state = profile_state.join(known, person)
    shown = shown_profile.profile(person, state)
    return shown | {"computed": reader.computed(stream), "as_of": None}


def _as_it_was(reader: Reader, stream: UUID, when: int | datetime) -> dict[str, Any] | None:
    past = reader.past(stream, when)
    if past is None:
        return None
    shown = shown_profile.profile(past.person, past.state)
    return shown | {"computed": None, "as_of": shown_profile.place(past.place)}


profiles = Query(
    path="/profiles",
    params=ProfilesParams,
    answers=answers.Profiles,
    answer=answer_profiles,
    summary="List persons, or search them by name, e-mail address, phone number or identifier",
)

profile = Query(
    path="/profiles/{ref}",
    params=ProfileParams,
    answers=answers.Profile,
    answer=answer_profile,
    summary="Show what is known of a person",
)
