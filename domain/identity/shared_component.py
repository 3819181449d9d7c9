"""A component of identifiers that all its members share, and that changes in place."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from domain.core.identifiers import Identifier
from domain.identity.facts import LinkFact
from domain.identity.resolution import Component


@dataclass(slots=True, eq=False)
class SharedComponent:
    """A component; `domain.identity.resolution.Component` is its unchangeable form."""

    members: set[Identifier]
    canonical: Identifier
    has_user_id: bool
    has_merges: bool = False
    last_link: LinkFact | None = None
    """None of its links is later."""

    absorbed: set[Identifier] = field(default_factory=set)
    demoted: dict[Identifier, datetime] = field(default_factory=dict)

    def add(self, other: SharedComponent) -> None:
        """Adds all of another component but its canonical identifier."""
        self.members |= other.members
        self.absorbed |= other.absorbed
        self.demoted |= other.demoted
        self.has_user_id |= other.has_user_id
        self.has_merges |= other.has_merges
        if other.last_link is not None:
            self.last_link = max(other.last_link, self.last_link or other.last_link)

    def remove(self, identifier: Identifier) -> None:
        """Removes a member that is not canonical."""
        self.members.discard(identifier)
        self.absorbed.discard(identifier)
        self.demoted.pop(identifier, None)


def singleton(identifier: Identifier) -> SharedComponent:
    """Returns the component of an identifier that no fact joins to another."""
    return SharedComponent({identifier}, identifier, identifier.kind == "user_id")


def from_component(component: Component) -> SharedComponent:
    """Returns a resolved component, without what its facts say."""
    return SharedComponent(
        set(component.members),
        component.canonical,
        any(member.kind == "user_id" for member in component.members),
        absorbed=set(component.absorbed),
        demoted=dict(component.demoted),
    )


def merges_may_change(left: SharedComponent, right: SharedComponent) -> bool:
    """Returns whether joining components may change what their merges absorbed.

    A component that gains its first ``user_id`` has it at the time of all its links, of which those between
    merged members become inactive.
    """
    return (
        left.has_merges and (right.has_merges or (right.has_user_id and not left.has_user_id))
    ) or (right.has_merges and left.has_user_id and not right.has_user_id)


def is_later_than_links(fact: LinkFact, *components: SharedComponent) -> bool:
    """Returns whether a link is later than all links of the components."""
    return all(c.last_link is None or fact > c.last_link for c in components)
