"""Merge and unmerge commands: which identity fact carries one out, if any is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

from domain.core.errors import InvalidRequest
from domain.core.identifiers import Identifier, is_blocked
from domain.events.message import MergePolicy
from domain.identity.facts import IdentityFact, LinkFact, MergeFact, UnmergeFact
from domain.identity.resolution import Component, resolve_components
from domain.identity.resolved_profile import strongest_first

_TICK = timedelta(microseconds=1)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def component_of(facts: Iterable[IdentityFact], identifier: Identifier) -> Component:
    """Returns the component of an existing identifier, which need not be named by any fact."""
    return resolve_components([*facts, _existence_fact(identifier)])[identifier]


def split_components(
    facts: Iterable[IdentityFact], whole: Component, identifier: Identifier
) -> list[Component]:
    """Returns the components that the members of ``whole`` form under ``facts``.

    The one with the identifier is last.  A component of identifiers that only an alias guessed is
    left out.
    """
    component_by_member = resolve_components(
        [*facts, *map(_existence_fact, whole.members - whole.guessed)]
    )
    parts = {part.canonical: part for part in map(component_by_member.__getitem__, whole.members)}
    existing = [part for part in parts.values() if part.members - part.guessed]
    ranking = strongest_first(part.canonical for part in existing)
    return sorted(
        existing, key=lambda part: (identifier in part.members, ranking.index(part.canonical))
    )


def plan_merge(
    facts: Collection[IdentityFact],
    primary: Identifier,
    secondary: Identifier,
    policy: MergePolicy,
    now: datetime,
) -> MergeFact | None:
    """Returns the fact that merges two profiles; None if they are one already.

    It names the canonical identifiers of both, so that an unmerge of either undoes it.  Raises
    InvalidRequest if one of these is a placeholder value.
    """
    left, right = component_of(facts, primary), component_of(facts, secondary)
    if left.members == right.members:
        return None
    for identifier in (left.canonical, right.canonical):
        if is_blocked(identifier):
            raise InvalidRequest(
                f"{identifier} is a placeholder that clients send for many profiles;"
                " it cannot be merged"
            )
    return MergeFact(_effective_at(facts, now), left.canonical, right.canonical, policy)


def plan_unmerge(
    facts: Collection[IdentityFact], identifier: Identifier, now: datetime
) -> UnmergeFact | None:
    """Returns the fact that separates an identifier from its profile; None if it is alone.

    If merges of this identifier joined it and undoing them is enough, the identifiers linked to it
    leave with it.  Otherwise it leaves alone.
    """
    whole = component_of(facts, identifier)
    others = whole.members - {identifier}
    if not others:
        return None
    at = _effective_at(facts, now)
    merged = frozenset(other for fact in facts for other in _merged_with(fact, identifier)) & others
    if merged:
        undone = UnmergeFact(at, identifier, merged)
        if not component_of([*facts, undone], identifier).members & merged:
            return undone
    return UnmergeFact(at, identifier, others)


def _merged_with(fact: IdentityFact, identifier: Identifier) -> set[Identifier]:
    if isinstance(fact, MergeFact) and identifier in (fact.primary, fact.secondary):
        return {fact.primary, fact.secondary} - {identifier}
    return set()


def _effective_at(facts: Iterable[IdentityFact], now: datetime) -> datetime:
    """Returns an instant later than all facts, even those of sources with a fast clock."""
    return max((now, *(fact.at + _TICK for fact in facts)))


def _existence_fact(identifier: Identifier) -> LinkFact:
    return LinkFact(_EARLIEST, identifier, identifier)
