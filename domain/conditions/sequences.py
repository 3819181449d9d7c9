"""A, then B, within so long, and no C in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec

from domain.conditions.base import Leaf
from domain.conditions.event_names import EventName, compile_event_name
from domain.conditions.events import compile_where
from domain.conditions.summary import EventView, Summary
from domain.conditions.values import Comparison, format_utc
from domain.core.errors import InvalidRequest
from domain.core.time import parse_duration

MAX_STEPS = 20


class EventStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event with a name, or a name that matches, and perhaps certain properties."""

    event: EventName
    where: tuple[Comparison, ...] = ()


class StepCandidate(NamedTuple):
    """An event of the person's, and which steps it can be: one bit each, then those of `without`."""

    occurred_at: int
    id: bytes
    step_bits: int


class SequenceCondition(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The person did these one after the other, all within a time, without doing certain others.

    A step may carry the same instant as the one before, but is always another event.  ``within`` runs
    from the first step and may be taken exactly.  What is forbidden is so from the first to the last
    step, their own instants included.  The summary is every event that can be one of the steps.
    """

    KEY: ClassVar[str] = "sequence"

    sequence: tuple[EventStep, ...]
    within: str | None = None
    without: tuple[EventStep, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= len(self.sequence) <= MAX_STEPS or len(self.without) > MAX_STEPS:
            raise InvalidRequest(f"a sequence has 2 to {MAX_STEPS} steps")
        if self.within is not None:
            parse_duration(self.within)

    @property
    def events(self) -> tuple[EventName, ...]:
        """The names of all steps, and of what is forbidden."""
        return tuple(it.event for it in (*self.sequence, *self.without))

    def count_can_flip(self, result: bool, size: int) -> bool:
        """Say whether there is one for each step; only what is forbidden can undo it."""
        steps = len(self.sequence)
        return size >= steps if result else bool(self.without) and size > steps

    def extractor(self) -> Callable[[EventView], Summary]:
        """Return what notes which of the steps an event can be."""
        steps = (*self.sequence, *self.without)
        tests = [(compile_event_name(it.event), compile_where(it.where)) for it in steps]

        def note(happened: EventView) -> Summary:
            bits = 0
            for place, (named, matches) in enumerate(tests):
                if named(happened.name) and matches(happened.document):
                    bits |= 1 << place
            return [[happened.occurred_at, happened.id, bits]] if bits else None

        return note

    def merge_settled(self, one: Summary, other: Summary) -> Summary:
        """Return the events of both, in order."""
        return sorted([*one, *other])

    def holds_for_summary(self, summary: Summary, clock: int) -> bool:
        """Look for the steps."""
        return self._find_match(summary, clock) is not None

    def summary_changes_at(self, summary: Summary, clock: int) -> int | None:  # noqa: ARG002
        """Return None: only an event can change what was done in which order."""
        return None

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Return when the steps were taken."""
        found = self._find_match(summary, clock) or ()
        return {"times": [format_utc(it.occurred_at) for it in found]}

    def _find_match(self, summary: Summary, clock: int) -> Sequence[StepCandidate] | None:
        allowed, seen = len(self.sequence), 0
        for _, _, bits in summary or ():
            seen |= bits
        every = (1 << allowed) - 1
        if seen & every != every:  # so it is of most people
            return None
        events = [StepCandidate(*it) for it in summary if it[0] <= clock]
        span = None if self.within is None else parse_duration(self.within)
        forbidden = [it.occurred_at for it in events if it.step_bits >> allowed]
        for first in events:
            if not first.step_bits & 1:
                continue
            taken = _complete_match(events, (first,), allowed)
            if taken is None:
                continue
            last = taken[-1].occurred_at
            in_time = span is None or last - first.occurred_at <= span
            if in_time and not any(first.occurred_at <= at <= last for at in forbidden):
                return taken
        return None


def _complete_match(
    events: Sequence[StepCandidate], taken: tuple[StepCandidate, ...], steps: int
) -> tuple[StepCandidate, ...] | None:
    """Return the steps, each as early as it can be: no other choice ends sooner.

    Among events of the same instant each is tried, for one may be needed for a later step.
    """
    place = len(taken)
    if place == steps:
        return taken
    since, used = taken[-1].occurred_at, {it.id for it in taken}
    able = [
        it
        for it in events
        if it.occurred_at >= since and it.step_bits >> place & 1 and it.id not in used
    ]
    if not able:
        return None
    for each in able:
        if each.occurred_at != able[0].occurred_at:
            break
        found = _complete_match(events, (*taken, each), steps)
        if found is not None:
            return found
    return None
