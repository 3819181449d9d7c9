"""What a person may decide about who is who: to merge two people, to take a name out of one again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

from domain.core.errors import InvalidRequest
from domain.core.identifiers import Identifier, is_blocked
from domain.events.message import MergePolicy
from domain.identity.resolution import (
    Component,
    IdentityFact,
    LinkFact,
    MergeFact,
    UnmergeFact,
    resolve_components,
)
from domain.identity.resolved_profile import strongest_first

_TICK = timedelta(microseconds=1)
_BEGINNING = datetime.min.replace(tzinfo=UTC)


def component_of(facts: Iterable[IdentityFact], identifier: Identifier) -> Component:
    """Return whose an identifier is that exists, whether or not a fact names it."""
    return resolve_components([*facts, _existence_fact(identifier)])[identifier]


def split_components(
    facts: Iterable[IdentityFact], whole: Component, identifier: Identifier
) -> list[Component]:
    """Return what a component has become, the part with the identifier last.

    What only an alias guessed is nobody by itself.
    """
    now = resolve_components([*facts, *map(_existence_fact, whole.members - whole.guessed)])
    found = {it.canonical: it for it in map(now.__getitem__, whole.members)}
    real = [it for it in found.values() if it.members - it.guessed]
    strongest = strongest_first(it.canonical for it in real)
    return sorted(real, key=lambda it: (identifier in it.members, strongest.index(it.canonical)))


def plan_merge(
    facts: Collection[IdentityFact],
    primary: Identifier,
    secondary: Identifier,
    policy: MergePolicy,
    now: datetime,
) -> MergeFact | None:
    """Return what makes one person of two; None if they are one already.

    The names of the people themselves are merged, so that an unmerge of either undoes it.  Raises
    InvalidRequest for names that stand for nobody.
    """
    one, other = component_of(facts, primary), component_of(facts, secondary)
    if one.members == other.members:
        return None
    for it in (one.canonical, other.canonical):
        if is_blocked(it):
            raise InvalidRequest(f"{it} stands for nobody: clients send it for many people at once")
    return MergeFact(_effective_at(facts, now), one.canonical, other.canonical, policy)


def plan_unmerge(
    facts: Collection[IdentityFact], identifier: Identifier, now: datetime
) -> UnmergeFact | None:
    """Return what takes a name out of the person that it is a part of; None if it is alone.

    If a merge of this name brought it there, undoing the merge is enough, and what belongs to the name
    goes with it.  Else it leaves alone.
    """
    whole = component_of(facts, identifier)
    others = whole.members - {identifier}
    if not others:
        return None
    at = _effective_at(facts, now)
    merged = frozenset(other for fact in facts for other in _merged_with(fact, identifier)) & others
    if merged:
        cut = UnmergeFact(at, identifier, merged)
        if not component_of([*facts, cut], identifier).members & merged:
            return cut
    return UnmergeFact(at, identifier, others)


def _merged_with(fact: IdentityFact, identifier: Identifier) -> set[Identifier]:
    if isinstance(fact, MergeFact) and identifier in (fact.primary, fact.secondary):
        return {fact.primary, fact.secondary} - {identifier}
    return set()


def _effective_at(facts: Iterable[IdentityFact], now: datetime) -> datetime:
    """Return an instant at which a decision takes effect, whatever the clocks of sources said."""
    return max((now, *(fact.at + _TICK for fact in facts)))


def _existence_fact(identifier: Identifier) -> LinkFact:
    return LinkFact(_BEGINNING, identifier, identifier)
