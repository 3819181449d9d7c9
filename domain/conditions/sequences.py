"""A, then B, within so long, and no C in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec

from domain.conditions.base import Leaf
from domain.conditions.events import matcher
from domain.conditions.names import EventName, name_test
from domain.conditions.summary import Happened, Summary
from domain.conditions.values import Comparison, shown
from domain.core.errors import InvalidRequest
from domain.core.time import parse_duration

MOST_STEPS = 20


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event with a name, or a name that matches, and perhaps certain properties."""

    event: EventName
    where: tuple[Comparison, ...] = ()


class Did(NamedTuple):
    """An event of the person's, and which steps it can be: one bit each, then those of `without`."""

    at: int
    id: bytes
    bits: int


class InOrder(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person did these one after the other, all within a time, without doing certain others.

    A step may carry the same instant as the one before, but is always another event.  ``within`` runs
    from the first step and may be taken exactly.  What is forbidden is so from the first to the last
    step, their own instants included.  The summary is every event that can be one of the steps.
    """

    KEY: ClassVar[str] = "sequence"

    sequence: tuple[Step, ...]
    within: str | None = None
    without: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= len(self.sequence) <= MOST_STEPS or len(self.without) > MOST_STEPS:
            raise InvalidRequest(f"a sequence has 2 to {MOST_STEPS} steps")
        if self.within is not None:
            parse_duration(self.within)

    @property
    def events(self) -> tuple[EventName, ...]:
        """The names of all steps, and of what is forbidden."""
        return tuple(it.event for it in (*self.sequence, *self.without))

    def made(self, answer: bool, size: int) -> bool:
        """Say whether there is one for each step; only what is forbidden can undo it."""
        steps = len(self.sequence)
        return size >= steps if answer else bool(self.without) and size > steps

    def noter(self) -> Callable[[Happened], Summary]:
        """Return what notes which of the steps an event can be."""
        steps = (*self.sequence, *self.without)
        tests = [(name_test(it.event), matcher(it.where)) for it in steps]

        def note(happened: Happened) -> Summary:
            bits = 0
            for place, (named, matches) in enumerate(tests):
                if named(happened.name) and matches(happened.document):
                    bits |= 1 << place
            return [[happened.at, happened.id, bits]] if bits else None

        return note

    def joined(self, one: Summary, other: Summary) -> Summary:
        """Return the events of both, in order."""
        return sorted([*one, *other])

    def holds_of(self, summary: Summary, clock: int) -> bool:
        """Look for the steps."""
        return self._found(summary, clock) is not None

    def changes_of(self, summary: Summary, clock: int) -> int | None:  # noqa: ARG002
        """Return None: only an event can change what was done in which order."""
        return None

    def evidence_of(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Return when the steps were taken."""
        found = self._found(summary, clock) or ()
        return {"times": [shown(it.at) for it in found]}

    def _found(self, summary: Summary, clock: int) -> Sequence[Did] | None:
        allowed, seen = len(self.sequence), 0
        for _, _, bits in summary or ():
            seen |= bits
        every = (1 << allowed) - 1
        if seen & every != every:  # so it is of most people
            return None
        events = [Did(*it) for it in summary if it[0] <= clock]
        span = None if self.within is None else parse_duration(self.within)
        forbidden = [it.at for it in events if it.bits >> allowed]
        for first in events:
            if not first.bits & 1:
                continue
            taken = _follow(events, (first,), allowed)
            if taken is None:
                continue
            last = taken[-1].at
            in_time = span is None or last - first.at <= span
            if in_time and not any(first.at <= at <= last for at in forbidden):
                return taken
        return None


def _follow(events: Sequence[Did], taken: tuple[Did, ...], steps: int) -> tuple[Did, ...] | None:
    """Return the steps, each as early as it can be: no other choice ends sooner.

    Among events of the same instant each is tried, for one may be needed for a later step.
    """
    place = len(taken)
    if place == steps:
        return taken
    since, used = taken[-1].at, {it.id for it in taken}
    able = [it for it in events if it.at >= since and it.bits >> place & 1 and it.id not in used]
    if not able:
        return None
    for each in able:
        if each.at != able[0].at:
            break
        found = _follow(events, (*taken, each), steps)
        if found is not None:
            return found
    return None
