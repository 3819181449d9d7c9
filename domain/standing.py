"""A person as it is told which segments they are in: whose streams they are, and where they stand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from domain.known import KnownOf, Stream
from domain.rules import Rules

if TYPE_CHECKING:
    from domain.since import Since


class Standing:
    """Which segments a person is in, and when that may change by itself."""

    __slots__ = ("changed", "due", "inside", "stale")

    def __init__(self, inside: Iterable[int] = (), due: int | None = None) -> None:
        self.inside: dict[int, Since | None] = dict.fromkeys(inside)
        """Places of the segments, and when the person entered each; None: before the events at hand."""

        self.due = due
        """When to ask again if nothing happens: no later than an answer changes by itself.

        It may be too early, for events put changes off, and are not asked by how much.
        """

        self.changed = self.stale = False
        """``stale``: there are segments in it as it is kept that are no more."""

    def wait_until(self, due: int | None) -> None:
        """Ask again at that instant."""
        if due != self.due:
            self.due, self.changed = due, True


class Person:
    """A person: whose streams they are, and where they stand."""

    __slots__ = ("id", "known", "standing", "streams")

    def __init__(self, id_: UUID, standing: Standing | None = None) -> None:
        self.id, self.standing = id_, standing or Standing()
        self.streams: dict[UUID, Stream] = {}
        self.known: KnownOf | None = None
        """What is known of them from their streams; None: it has not been asked since those changed."""

    def met(self) -> set[UUID]:
        """Take note that something happens to them, and return their streams."""
        self.standing.changed |= self.standing.stale
        return set(self.streams)

    def asked(self, rules: Rules) -> KnownOf:
        """Return what is known of them."""
        if self.known is None:
            streams = [self.streams[it] for it in sorted(self.streams)]
            place, inside = rules.place, self.standing.inside
            self.known = KnownOf(rules, streams, lambda segment: place.get(segment) in inside)
        return self.known
