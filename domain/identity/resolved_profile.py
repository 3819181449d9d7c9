"""A resolved profile: the streams that are one person, and the names that show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.core.identifiers import KINDS_BY_STRENGTH, Identifier
from domain.identity.resolution import Component, IdentityFact, resolve_components


class ResolvedProfile(NamedTuple):
    """One person, seen from any of their streams."""

    id: UUID
    """The canonical stream."""

    identifiers: tuple[Identifier, ...]
    """The names that facts attest, strongest kind first.

    Not complete: a stream's own messages attest the name that it is of.
    """

    streams: tuple[UUID, ...]
    """The streams of all names, the canonical one first, then in the order of their ids."""

    demoted: Mapping[UUID, datetime]
    """Streams whose word, up to that instant, only fills gaps: see `domain.identity.resolution.Component`."""

    @property
    def absorbed(self) -> tuple[UUID, ...]:
        """The streams other than the canonical one."""
        return self.streams[1:]


def single_stream_profile(stream: UUID) -> ResolvedProfile:
    """Return the person of a stream that no fact joins to another."""
    return ResolvedProfile(stream, (), (stream,), {})


def profile_of_component(
    component: Component, stream_of: Callable[[Identifier], UUID]
) -> ResolvedProfile:
    """Return the person that a component of identifiers is."""
    canonical = stream_of(component.canonical)
    others = sorted(stream_of(it) for it in component.members if it != component.canonical)
    return ResolvedProfile(
        canonical,
        strongest_first(component.members - component.guessed),
        (canonical, *others),
        {stream_of(it): at for it, at in component.demoted.items()},
    )


def find_profile(
    stream: UUID, facts: Iterable[IdentityFact], stream_of: Callable[[Identifier], UUID]
) -> ResolvedProfile:
    """Return the person whose stream it is, by the facts of all that it may be joined to."""
    for identifier, component in resolve_components(facts).items():
        if stream_of(identifier) == stream:
            return profile_of_component(component, stream_of)
    return single_stream_profile(stream)


def strongest_first(identifiers: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """Return identifiers in the order in which a person's are shown."""
    return tuple(sorted(identifiers, key=lambda it: (KINDS_BY_STRENGTH.index(it.kind), it.value)))
