"""Conditions on order: A, then B, within a time, without C in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec

from domain.conditions.base import Leaf
from domain.conditions.event_names import EventName, compile_event_name
from domain.conditions.events import compile_where
from domain.conditions.schema_fragments import OPTIONAL_DURATION
from domain.conditions.summary import EventView, Summary
from domain.conditions.values import Comparison
from domain.core.errors import InvalidRequest
from domain.core.time import format_utc, parse_duration

MAX_STEPS = 20


class EventStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step: an event name or pattern, with conditions on properties."""

    event: EventName
    where: tuple[Comparison, ...] = ()


class StepCandidate(NamedTuple):
    """An event that can be one of the steps, or is forbidden by `without`."""

    occurred_at: int
    id: bytes
    step_bits: int
    """One bit for each step, then one for each of `without`."""


class SequenceCondition(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The profile performed these events in order, within a time and without certain others.

    A step may have the same instant as the one before, but is always another event.  ``within`` runs
    from the first step, and a sequence may take exactly that long.  ``without`` forbids events from the
    first to the last step, those instants included.  The summary is every event that can be a step.
    """

    KEY: ClassVar[str] = "sequence"
    EXAMPLES = (
        {
            "sequence": [{"event": "search"}, {"event": "select"}],
            "within": "1h",
            "without": [{"event": "checkout"}],
        },
    )
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "properties": {
            "sequence": {"minItems": 2, "maxItems": MAX_STEPS},
            "without": {"maxItems": MAX_STEPS},
            "within": OPTIONAL_DURATION,
        }
    }

    sequence: tuple[EventStep, ...]
    within: str | None = None
    without: tuple[EventStep, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= len(self.sequence) <= MAX_STEPS or len(self.without) > MAX_STEPS:
            raise InvalidRequest(
                f"a sequence has 2 to {MAX_STEPS} steps, and at most {MAX_STEPS} in `without`"
            )
        if self.within is not None:
            parse_duration(self.within)

    @property
    def events(self) -> tuple[EventName, ...]:
        """The names of all steps and of the forbidden events."""
        return tuple(step.event for step in (*self.sequence, *self.without))

    def count_can_flip(self, result: bool, size: int) -> bool:
        """It needs an event for each step to hold; only a forbidden event can undo it."""
        steps = len(self.sequence)
        return size >= steps if result else bool(self.without) and size > steps

    def extractor(self) -> Callable[[EventView], Summary]:
        """Returns a function that gives the steps that an event can be."""
        steps = (*self.sequence, *self.without)
        tests = [(compile_event_name(step.event), compile_where(step.where)) for step in steps]

        def extract(event: EventView) -> Summary:
            bits = 0
            for index, (name_matches, matches) in enumerate(tests):
                if name_matches(event.name) and matches(event.document):
                    bits |= 1 << index
            return [[event.occurred_at, event.id, bits]] if bits else None

        return extract

    def merge_settled(self, left: Summary, right: Summary) -> Summary:
        """Returns the events of both, in order."""
        return sorted([*left, *right])

    def holds_for_summary(self, summary: Summary, clock: int) -> bool:
        """Returns whether the events contain the sequence."""
        return self._find_match(summary, clock) is not None

    def summary_changes_at(self, summary: Summary, clock: int) -> int | None:  # noqa: ARG002
        """Returns None: only an event can change the order of events."""
        return None

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Returns the times of the steps."""
        steps = self._find_match(summary, clock) or ()
        return {"times": [format_utc(step.occurred_at) for step in steps]}

    def _find_match(self, summary: Summary, clock: int) -> Sequence[StepCandidate] | None:
        steps, seen = len(self.sequence), 0
        for _, _, bits in summary or ():
            seen |= bits
        all_steps = (1 << steps) - 1
        if seen & all_steps != all_steps:  # the case of most profiles
            return None
        candidates = [StepCandidate(*event) for event in summary if event[0] <= clock]
        span = None if self.within is None else parse_duration(self.within)
        forbidden = [event.occurred_at for event in candidates if event.step_bits >> steps]
        for first in candidates:
            if not first.step_bits & 1:
                continue
            match = _complete_match(candidates, (first,), steps)
            if match is None:
                continue
            last_at = match[-1].occurred_at
            in_time = span is None or last_at - first.occurred_at <= span
            if in_time and not any(first.occurred_at <= at <= last_at for at in forbidden):
                return match
        return None


def _complete_match(
    candidates: Sequence[StepCandidate], match: tuple[StepCandidate, ...], steps: int
) -> tuple[StepCandidate, ...] | None:
    """Returns the match with its missing steps, each as early as possible: no other ends sooner.

    Tries each of several events of the same instant, because a later step may need one of them.
    """
    step = len(match)
    if step == steps:
        return match
    since, used = match[-1].occurred_at, {event.id for event in match}
    possible = [
        event
        for event in candidates
        if event.occurred_at >= since and event.step_bits >> step & 1 and event.id not in used
    ]
    if not possible:
        return None
    for event in possible:
        if event.occurred_at != possible[0].occurred_at:
            break
        completed = _complete_match(candidates, (*match, event), steps)
        if completed is not None:
            return completed
    return None
