"""A person as it is told which segments they are in: whose streams they are, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from domain.evaluation.profile_context import KnownOf, Stream
from domain.evaluation.segment_index import Rules

if TYPE_CHECKING:
    from domain.core.ledger_time import Since


class Standing:
    """Which segments a person is in, and when that may change by itself."""

    __slots__ = ("_due", "due", "entered", "inside", "moved", "stale")

    def __init__(self, inside: dict[int, int] | None = None, due: int | None = None) -> None:
        self.inside = {} if inside is None else inside
        """Places of the segments, and when the person entered each, in microseconds: what is given is taken over."""

        self.entered: dict[int, Since] = {}
        """Places of those among them that were entered by the events at hand."""

        self.due = self._due = due
        """When to ask again if nothing happens: no later than an answer changes by itself.

        It may be too early, for events put changes off, and are not asked by how much.
        """

        self.moved = self.stale = False
        """``moved``: in other segments than before; ``stale``: kept with segments that are no more."""

    def enter(self, place: int, at: Since) -> None:
        """Be in a segment from then on."""
        self.inside[place], self.entered[place] = at.at, at
        self.moved = True

    def enter_all(self, places: Sequence[int], at: Since) -> None:
        """Be in several from then on: at once, for of a stranger most segments hold that hold of whoever did nothing."""
        self.inside.update(dict.fromkeys(places, at.at))
        self.entered.update(dict.fromkeys(places, at))
        self.moved |= bool(places)

    def leave(self, place: int) -> Since | int:
        """Be in a segment no more, and return when it was entered: as a mere instant if not by the events at hand."""
        self.moved, at = True, self.inside.pop(place)
        return self.entered.pop(place, at)

    @property
    def changed(self) -> bool:
        """Whether it is another than before the events at hand."""
        return self.moved or self.due != self._due


class Person:
    """A person: whose streams they are, and where they stand."""

    __slots__ = ("id", "known", "met", "standing", "streams")

    def __init__(self, id_: UUID, standing: Standing | None = None) -> None:
        self.id, self.standing = id_, standing or Standing()
        self.streams: dict[UUID, Stream] = {}
        self.known: KnownOf | None = None
        """What is known of them from their streams; None: it has not been asked since those changed."""

        self.met = False
        """Whether something happened to them: else all of theirs is as it was."""

    def meet(self) -> None:
        """Take note that something happens to them."""
        self.met = True
        self.standing.moved |= self.standing.stale

    def asked(self, rules: Rules) -> KnownOf:
        """Return what is known of them."""
        if self.known is None:
            streams = [it for _, it in sorted(self.streams.items())]
            place, inside = rules.place, self.standing.inside
            self.known = KnownOf(rules, streams, lambda segment: place.get(segment) in inside)
        return self.known
