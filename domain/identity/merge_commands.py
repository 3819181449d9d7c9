"""What a person may decide about who is who: to merge two people, to take a name out of one again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

from domain.core.errors import InvalidRequest
from domain.core.identifiers import Identifier, is_blocked
from domain.events.message import Policy
from domain.identity.resolution import Absorbed, Component, Fact, Linked, Separated, resolve
from domain.identity.resolved_profile import strongest_first

_NEXT = timedelta(microseconds=1)
_EVER = datetime.min.replace(tzinfo=UTC)


def component(facts: Iterable[Fact], identifier: Identifier) -> Component:
    """Return whose an identifier is that exists, whether or not a fact names it."""
    return resolve([*facts, _exists(identifier)])[identifier]


def parts(facts: Iterable[Fact], whole: Component, identifier: Identifier) -> list[Component]:
    """Return what a component has become, the part with the identifier last.

    What only an alias guessed is nobody by itself.
    """
    now = resolve([*facts, *map(_exists, whole.members - whole.guessed)])
    found = {it.canonical: it for it in map(now.__getitem__, whole.members)}
    real = [it for it in found.values() if it.members - it.guessed]
    strongest = strongest_first(it.canonical for it in real)
    return sorted(real, key=lambda it: (identifier in it.members, strongest.index(it.canonical)))


def merge(
    facts: Collection[Fact],
    primary: Identifier,
    secondary: Identifier,
    policy: Policy,
    now: datetime,
) -> Absorbed | None:
    """Return what makes one person of two; None if they are one already.

    The names of the people themselves are merged, so that an unmerge of either undoes it.  Raises
    InvalidRequest for names that stand for nobody.
    """
    one, other = component(facts, primary), component(facts, secondary)
    if one.members == other.members:
        return None
    for it in (one.canonical, other.canonical):
        if is_blocked(it):
            raise InvalidRequest(f"{it} stands for nobody: clients send it for many people at once")
    return Absorbed(_after(facts, now), one.canonical, other.canonical, policy)


def unmerge(facts: Collection[Fact], identifier: Identifier, now: datetime) -> Separated | None:
    """Return what takes a name out of the person that it is a part of; None if it is alone.

    If a merge of this name brought it there, undoing the merge is enough, and what belongs to the name
    goes with it.  Else it leaves alone.
    """
    whole = component(facts, identifier)
    others = whole.members - {identifier}
    if not others:
        return None
    at = _after(facts, now)
    merged = frozenset(other for fact in facts for other in _merged_with(fact, identifier)) & others
    if merged:
        cut = Separated(at, identifier, merged)
        if not component([*facts, cut], identifier).members & merged:
            return cut
    return Separated(at, identifier, others)


def _merged_with(fact: Fact, identifier: Identifier) -> set[Identifier]:
    if isinstance(fact, Absorbed) and identifier in (fact.primary, fact.secondary):
        return {fact.primary, fact.secondary} - {identifier}
    return set()


def _after(facts: Iterable[Fact], now: datetime) -> datetime:
    """Return an instant at which a decision takes effect, whatever the clocks of sources said."""
    return max((now, *(fact.at + _NEXT for fact in facts)))


def _exists(identifier: Identifier) -> Linked:
    return Linked(_EVER, identifier, identifier)
