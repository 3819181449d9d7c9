"""A resolved profile: its streams and identifiers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.core.identifiers import KINDS_BY_STRENGTH, Identifier
from domain.identity.facts import IdentityFact
from domain.identity.resolution import Component, resolve_components


class ResolvedProfile(NamedTuple):
    """The profile that a stream belongs to."""

    id: UUID
    """The canonical stream."""

    identifiers: tuple[Identifier, ...]
    """The identifiers that facts confirm, strongest kind first.

    May lack an identifier that only its own stream's messages confirm.
    """

    streams: tuple[UUID, ...]
    """The streams of all identifiers: the canonical one, then the others by id."""

    demoted: Mapping[UUID, datetime]
    """Streams whose values up to an instant only fill gaps: see `domain.identity.resolution.Component`."""

    is_capped: bool = False
    """Whether one of its identifiers has more links than count: see `domain.identity.claims`."""

    @property
    def absorbed(self) -> tuple[UUID, ...]:
        """The streams other than the canonical one."""
        return self.streams[1:]


def single_stream_profile(stream: UUID) -> ResolvedProfile:
    """Returns the profile of a stream that no fact joins to another."""
    return ResolvedProfile(stream, (), (stream,), {})


def profile_of_component(
    component: Component, stream_of: Callable[[Identifier], UUID]
) -> ResolvedProfile:
    """Returns the profile of a component of identifiers."""
    canonical = stream_of(component.canonical)
    others = sorted(
        stream_of(member) for member in component.members if member != component.canonical
    )
    return ResolvedProfile(
        canonical,
        strongest_first(component.members - component.guessed),
        (canonical, *others),
        {stream_of(member): until for member, until in component.demoted.items()},
        component.is_capped,
    )


def find_profile(
    stream: UUID, facts: Iterable[IdentityFact], stream_of: Callable[[Identifier], UUID]
) -> ResolvedProfile:
    """Returns the profile of a stream, given the facts of all streams that it may be joined to."""
    for identifier, component in resolve_components(facts).items():
        if stream_of(identifier) == stream:
            return profile_of_component(component, stream_of)
    return single_stream_profile(stream)


def strongest_first(identifiers: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """Returns identifiers, strongest kind first, then by value."""
    return tuple(
        sorted(
            identifiers,
            key=lambda identifier: (KINDS_BY_STRENGTH.index(identifier.kind), identifier.value),
        )
    )
